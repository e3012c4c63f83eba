// Package lint holds the house rules that a compiler does not check, as tests: which package may import
// which, how long files and functions may be, and what must not appear at all.
package lint
