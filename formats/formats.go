// Package formats is what the model formats below it have in common: recognising a file by its content,
// the limits that a loader keeps, and the two kinds of refusal.
package formats

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Format is a kind of model file.
type Format uint8

// The formats. A .keras archive is told by its zip signature, an architecture by its JSON.
const (
	Unknown   Format = iota
	ONNX             // a ModelProto
	HDF5             // .h5, .hdf5, .weights.h5, whatever it holds
	KerasZip         // .keras
	KerasJSON        // an architecture without weights
)

// String is the format's name in messages.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

var formatNames = [...]string{"unknown", "ONNX", "HDF5", "Keras", "Keras JSON"}

// Options are the limits that every loader keeps. A zero field means its default.
type Options struct {
	// MaxAlloc bounds the bytes allocated while loading. Default: 4 GiB or twice the file's size plus
	// 64 MiB, whichever is smaller.
	MaxAlloc int64
	// MaxDepth bounds the nesting of messages, groups or JSON values. Default 100.
	MaxDepth int
	// MaxString bounds one string, in bytes. Default 16 MiB.
	MaxString int
	// MaxNodes bounds the nodes or layers, functions expanded. Default 1e6.
	MaxNodes int
	// MaxGraphDepth bounds the nesting of subgraphs, function calls or models. Default 32.
	MaxGraphDepth int
}

// WithDefaults is o with its zero fields filled in, for a file of size bytes.
func (o Options) WithDefaults(size int64) Options {
	if o.MaxAlloc == 0 {
		o.MaxAlloc = min(4<<30, 2*size+64<<20)
	}
	if o.MaxDepth == 0 {
		o.MaxDepth = 100
	}
	if o.MaxString == 0 {
		o.MaxString = 16 << 20
	}
	if o.MaxNodes == 0 {
		o.MaxNodes = 1e6
	}
	if o.MaxGraphDepth == 0 {
		o.MaxGraphDepth = 32
	}
	return o
}

// FormatError says that a file is malformed, and where.
type FormatError struct {
	Format Format
	Offset int64 // bytes from the file's start; -1 where no place in the file is meant
	Msg    string
	Err    error // what Msg was made of, if anything
}

// Error is one line: format, place, reason.
func (e *FormatError) Error() string {
	s := e.Msg
	if e.Offset >= 0 {
		s = fmt.Sprintf("offset %d: %s", e.Offset, s)
	}
	if e.Format == Unknown { // what is no model file has no format to name
		return s
	}
	return fmt.Sprintf("%v: %s", e.Format, s)
}

// Unwrap is the underlying error.
func (e *FormatError) Unwrap() error { return e.Err }

// Unsupported is one thing in a file that nnrt has no equal for.
type Unsupported struct {
	What   string // operator, layer or feature: "Foo", "com.example.Foo", "sparse tensor input"
	Node   string // the node's or layer's name
	Detail string // version and reason
}

// String is `Foo "node": reason`.
func (u Unsupported) String() string {
	s := u.What
	if u.Node != "" {
		s += fmt.Sprintf(" %q", u.Node)
	}
	if u.Detail != "" {
		s += ": " + u.Detail
	}
	return s
}

// UnsupportedError lists everything in a file that can't be loaded, or in a graph that can't be written.
// It matches errors.ErrUnsupported.
type UnsupportedError struct {
	Format Format
	Items  []Unsupported
}

// Error is one line that lists every item.
func (e *UnsupportedError) Error() string {
	parts := make([]string, len(e.Items))
	for i, it := range e.Items {
		parts[i] = it.String()
	}
	if len(parts) == 1 {
		return fmt.Sprintf("%v: not supported: %s", e.Format, parts[0])
	}
	return fmt.Sprintf("%v: %d things are not supported: %s", e.Format, len(parts), strings.Join(parts, "; "))
}

// Is matches errors.ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

const hdf5Signature = "\x89HDF\r\n\x1a\n"

// Detect recognises the format of the size bytes in r by their content. A file that is none of the formats
// is Unknown, without an error; errors are those of reading.
func Detect(r io.ReaderAt, size int64) (Format, error) {
	head := make([]byte, min(size, 4096))
	if n, err := r.ReadAt(head, 0); err != nil && (err != io.EOF || n < len(head)) {
		return Unknown, errs.Errorf("formats: %w", err)
	}
	switch trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"); {
	case bytes.HasPrefix(head, []byte(hdf5Signature)):
		return HDF5, nil
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return KerasZip, nil
	case len(trimmed) > 0 && trimmed[0] == '{':
		return KerasJSON, nil
	}
	// A user block may precede HDF5's superblock: it is then at a power of two from 512 on.
	for off := int64(512); off <= size-8 && off <= 1<<20; off *= 2 {
		var b [8]byte
		if _, err := r.ReadAt(b[:], off); err == nil && string(b[:]) == hdf5Signature {
			return HDF5, nil
		}
	}
	if isModelProto(r, size) {
		return ONNX, nil
	}
	return Unknown, nil
}

// modelFields is the wire type of each field of ModelProto.
var modelFields = map[uint64]uint64{1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}

// isModelProto walks the outermost fields: ONNX has no signature, but few other files spell nothing but
// fields of a ModelProto up to their last byte, its graph among them. A file that was cut short is one too
// where it starts as every writer starts: with the version of the format, and another field behind it.
func isModelProto(r io.ReaderAt, size int64) bool {
	graph, versioned, fields := false, false, 0
	for pos := int64(0); pos < size; fields++ {
		var b [20]byte
		n, _ := r.ReadAt(b[:min(20, size-pos)], pos)
		tag, k := binary.Uvarint(b[:n])
		if k <= 0 {
			return versioned && fields > 1
		}
		if want, ok := modelFields[tag>>3]; !ok || want != tag&7 {
			return false
		}
		v, m := binary.Uvarint(b[k:n])
		if m <= 0 {
			return versioned && size-pos < 12 // its length, or value, is cut
		}
		if fields == 0 {
			versioned = tag>>3 == 1 && v > 0 && v < 100
		}
		pos += int64(k + m)
		if tag&7 == 2 {
			if v > uint64(size-pos) {
				return versioned
			}
			pos += int64(v)
		}
		graph = graph || tag>>3 == 7
	}
	return graph || versioned && fields > 1
}
