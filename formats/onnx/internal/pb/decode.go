package pb

import (
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits bound what decoding may do. A zero field means its default.
type Limits struct {
	MaxAlloc      int64 // bytes of decoded structs, strings and numbers; default min(4 GiB, 2×input + 64 MiB)
	MaxDepth      int   // nesting of messages; default 100
	MaxString     int   // bytes of one string field; default 16 MiB
	MaxNodes      int   // nodes in all graphs and functions; default 1e6
	MaxGraphDepth int   // nesting of graphs; default 32
}

func (l Limits) withDefaults(input int) Limits {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&l.MaxDepth, 100)
	set(&l.MaxString, 16<<20)
	set(&l.MaxNodes, 1e6)
	set(&l.MaxGraphDepth, 32)
	if l.MaxAlloc == 0 {
		l.MaxAlloc = min(4<<30, 2*int64(input)+64<<20)
	}
	return l
}

// Error is a decoding failure: where it is in the input, which field, and what.
type Error struct {
	Offset int64  // bytes from the start of the input
	Path   string // for example graph.node[3].attribute[0].t
	Msg    string
	Cut    int // the number of the outermost field that reaches beyond the end of the input, else 0
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("offset %d: %s", e.Offset, e.Msg)
	}
	return fmt.Sprintf("offset %d: %s: %s", e.Offset, e.Path, e.Msg)
}

// A Message is one of this package's structs.
type Message interface {
	decode(f *field) error
	encode(w *writer)
}

// Unmarshal decodes b into m, which should be zero. Byte fields of m alias b,
// which must not change afterwards. Unknown fields are skipped. A failure is an
// *Error.
func Unmarshal(b []byte, m Message, lim Limits) error {
	d := &decoder{lim: lim.withDefaults(len(b))}
	d.left = d.lim.MaxAlloc
	return d.message(b, 0, m)
}

type decoder struct {
	lim               Limits
	left              int64 // allocation budget
	depth, graphDepth int
	nodes             int
}

// field is one field on the wire. Exactly one of u, b is meaningful.
type field struct {
	d   *decoder
	num protowire.Number
	typ protowire.Type
	u   uint64
	b   []byte
	off int // offset of the value in the input
}

func (d *decoder) message(b []byte, base int, m Message) error {
	if d.depth++; d.depth > d.lim.MaxDepth {
		return &Error{Offset: int64(base), Msg: fmt.Sprintf("messages nested deeper than %d", d.lim.MaxDepth)}
	}
	defer func() { d.depth-- }()
	switch m.(type) {
	case *GraphProto:
		if d.graphDepth++; d.graphDepth > d.lim.MaxGraphDepth {
			return &Error{Offset: int64(base), Msg: fmt.Sprintf("graphs nested deeper than %d", d.lim.MaxGraphDepth)}
		}
		defer func() { d.graphDepth-- }()
	case *NodeProto:
		if d.nodes++; d.nodes > d.lim.MaxNodes {
			return &Error{Offset: int64(base), Msg: fmt.Sprintf("more than %d nodes", d.lim.MaxNodes)}
		}
	}
	f := field{d: d}
	for pos := 0; pos < len(b); {
		n, err := f.consume(b[pos:], base+pos)
		if err != nil {
			return err
		}
		if err := m.decode(&f); err != nil {
			return err
		}
		pos += n
	}
	if a, ok := m.(*AttributeProto); ok && a.Type == AttrUndefined {
		a.Type = a.impliedType()
	}
	return nil
}

// consume reads one tag and value from the start of b, which is at offset off.
func (f *field) consume(b []byte, off int) (int, error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, &Error{Offset: int64(off), Msg: "bad field tag: " + protowire.ParseError(n).Error()}
	}
	f.num, f.typ, f.u, f.b, f.off = num, typ, 0, nil, off+n
	v := b[n:]
	var m int
	switch typ {
	case protowire.VarintType:
		f.u, m = protowire.ConsumeVarint(v)
	case protowire.Fixed32Type:
		var u uint32
		u, m = protowire.ConsumeFixed32(v)
		f.u = uint64(u)
	case protowire.Fixed64Type:
		f.u, m = protowire.ConsumeFixed64(v)
	case protowire.BytesType:
		var size uint64
		if size, m = protowire.ConsumeVarint(v); m >= 0 {
			if size > uint64(len(v)-m) {
				return 0, &Error{Offset: int64(off), Cut: int(num), Msg: fmt.Sprintf("field %d: length %d exceeds the %d bytes left", num, size, len(v)-m)}
			}
			end := m + int(size)
			f.b = v[m:end:end]
			f.off += m
			m = end
		}
	default: // groups: ONNX has none, and one that is well formed is skipped
		m = protowire.ConsumeFieldValue(num, typ, v)
	}
	if m < 0 {
		return 0, &Error{Offset: int64(off), Cut: int(num), Msg: fmt.Sprintf("field %d: %v", num, protowire.ParseError(m))}
	}
	return n + m, nil
}

func (f *field) fail(name, format string, args ...any) error {
	return &Error{Offset: int64(f.off), Path: name, Msg: fmt.Sprintf(format, args...)}
}

func (f *field) want(name string, typ protowire.Type) error {
	if f.typ != typ {
		return f.fail(name, "wire type %d, want %d", f.typ, typ)
	}
	return nil
}

func (f *field) charge(name string, n int64) error {
	if f.d.left -= n; f.d.left < 0 {
		return f.fail(name, "decoding needs more than the limit of %d bytes", f.d.lim.MaxAlloc)
	}
	return nil
}

// under puts the enclosing field in front of err's path.
func under(err error, name string, index int) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	if index >= 0 {
		name = fmt.Sprintf("%s[%d]", name, index)
	}
	if e.Path != "" {
		name += "." + e.Path
	}
	e.Path = name
	return e
}

// messagePtr is a pointer to a message. What is generic over it alone is compiled once, for pointers are of one shape;
// the message's own type is known to reflect.
type messagePtr interface {
	comparable
	Message
}

// one decodes a message field; one that comes again is merged into the first, as the encoding wants.
func one[P messagePtr](f *field, name string, dst *P) error {
	var none P
	size := uintptr(0)
	if *dst == none {
		t := reflect.TypeFor[P]().Elem()
		*dst, size = reflect.New(t).Interface().(P), t.Size()
	}
	return f.element(name, -1, size, *dst)
}

// many decodes one element of a repeated message field.
func many[P messagePtr](f *field, name string, dst *[]P) error {
	t := reflect.TypeFor[P]().Elem()
	m := reflect.New(t).Interface().(P)
	*dst = append(*dst, m)
	return f.element(name, len(*dst)-1, t.Size()+unsafe.Sizeof(m), m)
}

// element decodes a message, for which size bytes were taken, that is element i of a field, or all of it where i
// is negative.
//
//go:noinline
func (f *field) element(name string, i int, size uintptr, m Message) error {
	if err := f.want(name, protowire.BytesType); err != nil {
		return err
	}
	if err := f.charge(name, int64(size)); err != nil {
		return err
	}
	if err := f.d.message(f.b, f.off, m); err != nil {
		return under(err, name, i)
	}
	return nil
}

func (f *field) text(name string) (string, error) {
	if err := f.want(name, protowire.BytesType); err != nil {
		return "", err
	}
	if len(f.b) > f.d.lim.MaxString {
		return "", f.fail(name, "string of %d bytes, limit %d", len(f.b), f.d.lim.MaxString)
	}
	return string(f.b), f.charge(name, int64(len(f.b)))
}

//go:noinline
func (f *field) str(name string, dst *string) (err error) {
	*dst, err = f.text(name)
	return err
}

func (f *field) strs(name string, dst *[]string) error {
	s, err := f.text(name)
	if err == nil {
		err = f.charge(name, int64(unsafe.Sizeof(s)))
	}
	if err != nil {
		return err
	}
	*dst = append(*dst, s)
	return nil
}

func (f *field) bytes(name string, dst *[]byte) error {
	if err := f.want(name, protowire.BytesType); err != nil {
		return err
	}
	*dst = f.b
	return nil
}

func (f *field) byteses(name string, dst *[][]byte) error {
	if err := f.want(name, protowire.BytesType); err != nil {
		return err
	}
	if err := f.charge(name, int64(unsafe.Sizeof(f.b))); err != nil {
		return err
	}
	*dst = append(*dst, f.b)
	return nil
}

func (f *field) int64(name string, dst *int64) error {
	*dst = int64(f.u)
	return f.want(name, protowire.VarintType)
}

func (f *field) int32(name string, dst *int32) error {
	*dst = int32(f.u)
	return f.want(name, protowire.VarintType)
}

// enum decodes an enum whose values are the indices of names.
func enum[T ~int32](f *field, name string, dst *T, names []string) error {
	if err := f.want(name, protowire.VarintType); err != nil {
		return err
	}
	if f.u >= uint64(len(names)) {
		return f.fail(name, "unknown enum value %d, largest known is %d (%s)", int64(f.u), len(names)-1, names[len(names)-1])
	}
	*dst = T(f.u)
	return nil
}

func (f *field) dataType(name string, dst *DataType) error {
	return enum(f, name, dst, dataTypeNames[:])
}

func (f *field) float(name string, dst *float32) error {
	*dst = math.Float32frombits(uint32(f.u))
	return f.want(name, protowire.Fixed32Type)
}

// varints decodes a repeated integer field, packed or not.
func varints[T int32 | int64 | uint64](f *field, name string, dst *[]T) error {
	var zero T
	if f.typ != protowire.BytesType {
		if err := f.want(name, protowire.VarintType); err != nil {
			return err
		}
		*dst = append(*dst, T(f.u))
		return f.charge(name, int64(unsafe.Sizeof(zero)))
	}
	count := 0
	for _, c := range f.b {
		if c < 0x80 {
			count++
		}
	}
	if err := f.charge(name, int64(count)*int64(unsafe.Sizeof(zero))); err != nil {
		return err
	}
	out := grow(*dst, count)
	for b := f.b; len(b) > 0; {
		u, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.off += len(f.b) - len(b)
			return f.fail(fmt.Sprintf("%s[%d]", name, len(out)), "%v", protowire.ParseError(n))
		}
		out = append(out, T(u))
		b = b[n:]
	}
	*dst = out
	return nil
}

// grow gives s room for n more, exactly so when it is empty.
func grow[T any](s []T, n int) []T {
	if len(s) == 0 {
		return make([]T, 0, n)
	}
	return s
}

func (f *field) floats(name string, dst *[]float32) error {
	if f.typ != protowire.BytesType {
		if err := f.want(name, protowire.Fixed32Type); err != nil {
			return err
		}
		*dst = append(*dst, math.Float32frombits(uint32(f.u)))
		return f.charge(name, 4)
	}
	if len(f.b)%4 != 0 {
		return f.fail(name, "packed floats of %d bytes, not a multiple of 4", len(f.b))
	}
	if err := f.charge(name, int64(len(f.b))); err != nil {
		return err
	}
	out := grow(*dst, len(f.b)/4)
	for b := f.b; len(b) > 0; b = b[4:] {
		u, _ := protowire.ConsumeFixed32(b)
		out = append(out, math.Float32frombits(u))
	}
	*dst = out
	return nil
}

func (f *field) doubles(name string, dst *[]float64) error {
	if f.typ != protowire.BytesType {
		if err := f.want(name, protowire.Fixed64Type); err != nil {
			return err
		}
		*dst = append(*dst, math.Float64frombits(f.u))
		return f.charge(name, 8)
	}
	if len(f.b)%8 != 0 {
		return f.fail(name, "packed doubles of %d bytes, not a multiple of 8", len(f.b))
	}
	if err := f.charge(name, int64(len(f.b))); err != nil {
		return err
	}
	out := grow(*dst, len(f.b)/8)
	for b := f.b; len(b) > 0; b = b[8:] {
		u, _ := protowire.ConsumeFixed64(b)
		out = append(out, math.Float64frombits(u))
	}
	*dst = out
	return nil
}
