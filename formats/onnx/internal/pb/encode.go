package pb

import (
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nnrt/nnrt/internal/errs"
)

// MaxSize is the most bytes a protobuf message may have: sizes are int32 in
// the C++ and Java libraries that read .onnx files.
const MaxSize = math.MaxInt32

// aliasFrom is the size from which byte fields are referenced, not copied.
const aliasFrom = 4096

// Encoded is a message ready to be written. It refers to the message's large
// byte fields, which must not change before it is.
type Encoded struct {
	chunks [][]byte // in reverse order
	size   int64
}

// Encode serialises m, fields in ascending order of number. It copies no byte
// field of 4 KiB or more.
func Encode(m Message) *Encoded {
	var w writer
	m.encode(&w)
	w.flush()
	return &Encoded{chunks: w.chunks, size: w.size}
}

// Size is the number of bytes WriteTo writes.
func (e *Encoded) Size() int64 { return e.size }

// WriteTo writes the message. It refuses one over MaxSize, before the first byte.
func (e *Encoded) WriteTo(w io.Writer) (int64, error) {
	if e.size > MaxSize {
		return 0, errs.Errorf("message of %d bytes exceeds protobuf's limit of %d", e.size, MaxSize)
	}
	var n int64
	for i := len(e.chunks) - 1; i >= 0; i-- {
		k, err := w.Write(e.chunks[i])
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Marshal is the whole of Encode(m) in one slice.
func Marshal(m Message) []byte {
	e := Encode(m)
	out := make([]byte, 0, e.size)
	for i := len(e.chunks) - 1; i >= 0; i-- {
		out = append(out, e.chunks[i]...)
	}
	return out
}

// writer builds a message from its end to its start, so that a nested
// message's length is known when its prefix is due. Hence fields are written
// in descending order of number, and lists from the last element.
type writer struct {
	chunks  [][]byte // finished, last first
	buf     []byte
	at, end int // buf[at:end] is written but not yet in chunks
	size    int64
}

const writerBlock = 16 << 10

//go:noinline
func (w *writer) flush() {
	if w.at < w.end {
		w.chunks = append(w.chunks, w.buf[w.at:w.end:w.end])
	}
	w.end = w.at
}

// room is the n bytes before what is already written, to be filled.
//
//go:noinline
func (w *writer) room(n int) []byte {
	if w.at < n {
		w.flush()
		size := max(n, writerBlock)
		w.buf, w.at, w.end = make([]byte, size), size, size
	}
	w.at -= n
	w.size += int64(n)
	return w.buf[w.at : w.at+n : w.at+n]
}

func (w *writer) raw(b []byte) {
	if len(b) < aliasFrom {
		copy(w.room(len(b)), b)
		return
	}
	w.flush()
	w.chunks = append(w.chunks, b)
	w.size += int64(len(b))
}

func (w *writer) varint(u uint64) {
	protowire.AppendVarint(w.room(protowire.SizeVarint(u))[:0], u)
}

func (w *writer) tag(num protowire.Number, typ protowire.Type) {
	w.varint(protowire.EncodeTag(num, typ))
}

// prefix ends a length-delimited field whose content began at size start.
func (w *writer) prefix(num protowire.Number, start int64) {
	w.varint(uint64(w.size - start))
	w.tag(num, protowire.BytesType)
}

// bytes writes b, also when it is empty.
func (w *writer) bytes(num protowire.Number, b []byte) {
	start := w.size
	w.raw(b)
	w.prefix(num, start)
}

// presentStr writes s, also when it is empty.
func (w *writer) presentStr(num protowire.Number, s string) {
	start := w.size
	copy(w.room(len(s)), s)
	w.prefix(num, start)
}

//go:noinline
func (w *writer) str(num protowire.Number, s string) {
	if s != "" {
		w.presentStr(num, s)
	}
}

func (w *writer) strs(num protowire.Number, s []string) {
	for i := len(s) - 1; i >= 0; i-- {
		w.presentStr(num, s[i])
	}
}

func (w *writer) byteses(num protowire.Number, s [][]byte) {
	for i := len(s) - 1; i >= 0; i-- {
		w.bytes(num, s[i])
	}
}

// presentInt writes v, also when it is zero.
func (w *writer) presentInt(num protowire.Number, v int64) {
	w.varint(uint64(v))
	w.tag(num, protowire.VarintType)
}

func (w *writer) int(num protowire.Number, v int64) {
	if v != 0 {
		w.presentInt(num, v)
	}
}

func (w *writer) float(num protowire.Number, v float32) {
	protowire.AppendFixed32(w.room(4)[:0], math.Float32bits(v))
	w.tag(num, protowire.Fixed32Type)
}

// ints writes an unpacked list.
func (w *writer) ints(num protowire.Number, v []int64) {
	for i := len(v) - 1; i >= 0; i-- {
		w.presentInt(num, v[i])
	}
}

// floats writes an unpacked list.
func (w *writer) floats(num protowire.Number, v []float32) {
	for i := len(v) - 1; i >= 0; i-- {
		w.float(num, v[i])
	}
}

func packedInts[T int32 | int64 | uint64](w *writer, num protowire.Number, v []T) {
	if len(v) == 0 {
		return
	}
	start := w.size
	for i := len(v) - 1; i >= 0; i-- {
		w.varint(uint64(v[i])) // negative int32 extends to ten bytes, as protobuf has it
	}
	w.prefix(num, start)
}

func (w *writer) packedFloats(num protowire.Number, v []float32) {
	if len(v) == 0 {
		return
	}
	start := w.size
	b := w.room(4 * len(v))[:0]
	for _, x := range v {
		b = protowire.AppendFixed32(b, math.Float32bits(x))
	}
	w.prefix(num, start)
}

func (w *writer) packedDoubles(num protowire.Number, v []float64) {
	if len(v) == 0 {
		return
	}
	start := w.size
	b := w.room(8 * len(v))[:0]
	for _, x := range v {
		b = protowire.AppendFixed64(b, math.Float64bits(x))
	}
	w.prefix(num, start)
}

// msg writes m unless it is nil.
func msg[P messagePtr](w *writer, num protowire.Number, m P) {
	var none P
	if m == none {
		return
	}
	start := w.size
	m.encode(w)
	w.prefix(num, start)
}

func msgs[P messagePtr](w *writer, num protowire.Number, list []P) {
	for i := len(list) - 1; i >= 0; i-- {
		msg(w, num, list[i])
	}
}
