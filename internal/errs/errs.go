// Package errs makes errors out of line.
package errs

import "fmt"

// Errorf is fmt.Errorf, errors that %w wraps included. The compiler inlines the standard library's, which costs
// 170 bytes of every program that links nnrt at each of more than a thousand places.
//
//go:noinline
func Errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }
