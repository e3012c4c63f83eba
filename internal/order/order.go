// Package order sorts slices by a comparison, as package slices does, with one sorting routine for all types: each
// element type that slices.SortFunc meets costs a command some twenty kilobytes.
package order

import "sort"

// Sort sorts s; cmp is negative where a comes before b. Equal elements may change places.
func Sort[T any](s []T, cmp func(a, b T) int) { sort.Sort(by[T]{s, cmp}) }

// Stable is Sort that leaves equal elements in their order.
func Stable[T any](s []T, cmp func(a, b T) int) { sort.Stable(by[T]{s, cmp}) }

type by[T any] struct {
	s   []T
	cmp func(a, b T) int
}

func (b by[T]) Len() int           { return len(b.s) }
func (b by[T]) Less(i, j int) bool { return b.cmp(b.s[i], b.s[j]) < 0 }
func (b by[T]) Swap(i, j int)      { b.s[i], b.s[j] = b.s[j], b.s[i] }
