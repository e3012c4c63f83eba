// Package guard is the last line of defence against mistakes of nnrt's own that a hostile model or input
// finds: where models are read and run, a panic becomes an error. Nothing else may rely on it. Builds with
// the tag nnrtdebug let panics through, for a stack trace.
package guard

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// ErrInternal is wrapped by errors that were panics.
var ErrInternal = errors.New("internal error")

// Panic is a panic on its way from one goroutine to another.
type Panic struct {
	Value any
	Stack []byte // of the goroutine that panicked first
}

// Error is one line without the stack.
func (p *Panic) Error() string { return fmt.Sprintf("%v: %v", ErrInternal, p.Value) }

// Unwrap is ErrInternal.
func (p *Panic) Unwrap() error { return ErrInternal }

// Wrap makes a *Panic of what recover gave, with the stack of the first panic.
func Wrap(r any) *Panic {
	if p, ok := r.(*Panic); ok {
		return p
	}
	if e, ok := r.(runtime.Error); ok {
		r = e.Error()
	}
	return &Panic{Value: r, Stack: debug.Stack()}
}

// Catch makes a panic the error *err; to be deferred directly.
func Catch(err *error) {
	if On {
		if r := recover(); r != nil {
			*err = Wrap(r)
		}
	}
}

// CatchAs is Catch whose error wrap makes.
func CatchAs(err *error, wrap func(error) error) {
	if On {
		if r := recover(); r != nil {
			*err = wrap(Wrap(r))
		}
	}
}
