package hdf5

import (
	"errors"
	"fmt"
)

// ErrNotHDF5 is wrapped by the error that Open returns for a file without an
// HDF5 signature.
var ErrNotHDF5 = errors.New("not an HDF5 file")

// ErrNotFound is wrapped by the errors for names that do not exist in a group
// or among an object's attributes.
var ErrNotFound = errors.New("not found")

// FormatError reports a file that breaks the HDF5 file format.
type FormatError struct {
	Object string // path of the object being read, "" when it is not known
	Offset int64  // byte offset in the file of the structure at fault, -1 when not known
	Msg    string // what was found and what was expected
	Err    error  // underlying error, may be nil
}

func (e *FormatError) Error() string { return place("invalid", e.Object, e.Offset) + e.Msg }

// Unwrap returns the underlying error.
func (e *FormatError) Unwrap() error { return e.Err }

// UnsupportedError reports a valid feature of the format that this package
// does not read or write. It matches errors.ErrUnsupported.
type UnsupportedError struct {
	Object string // path of the object being read, "" when it is not known
	What   string // the feature, by name
}

func (e *UnsupportedError) Error() string {
	return place("unsupported", e.Object, -1) + e.What
}

// Unwrap returns errors.ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }

// LimitError reports a file that asks for more than Options allows.
type LimitError struct {
	Object string // path of the object being read, "" when it is not known
	What   string // what is limited, with the name of the option
	Got    int64  // what the file asks for
	Limit  int64  // what is allowed
}

func (e *LimitError) Error() string {
	return place("over a limit", e.Object, -1) + fmt.Sprintf("%s: %d, limit %d", e.What, e.Got, e.Limit)
}

func place(kind, object string, offset int64) string {
	s := "hdf5: " + kind
	if object != "" {
		s += fmt.Sprintf(" %q", object)
	}
	if offset >= 0 {
		s += fmt.Sprintf(" at offset %d", offset)
	}
	return s + ": "
}

// inObject names the object in errors that were made where its path was not known.
//
//go:noinline
func inObject(err error, path string) error {
	if err == nil || path == "" {
		return err
	}
	switch e := err.(type) {
	case *FormatError:
		if e.Object == "" {
			c := *e
			c.Object = path
			return &c
		}
	case *UnsupportedError:
		if e.Object == "" {
			return &UnsupportedError{Object: path, What: e.What}
		}
	case *LimitError:
		if e.Object == "" {
			c := *e
			c.Object = path
			return &c
		}
	}
	return err
}

//go:noinline
func formatErr(offset int64, format string, args ...any) error {
	return &FormatError{Offset: offset, Msg: fmt.Sprintf(format, args...)}
}

//go:noinline
func unsupported(format string, args ...any) error {
	return &UnsupportedError{What: fmt.Sprintf(format, args...)}
}
