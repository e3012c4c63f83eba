package hdf5

import "fmt"

// Class is a datatype's class.
type Class uint8

// The datatype classes, numbered as in the file format.
const (
	ClassInteger Class = iota
	ClassFloat
	ClassTime
	ClassString
	ClassBitfield
	ClassOpaque
	ClassCompound
	ClassReference
	ClassEnum
	ClassVLen // variable-length sequence or string
	ClassArray
	ClassComplex
)

func (c Class) String() string {
	names := [...]string{"integer", "float", "time", "string", "bitfield", "opaque",
		"compound", "reference", "enum", "vlen", "array", "complex"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Order is the byte order of a number.
type Order uint8

// Byte orders.
const (
	LittleEndian Order = iota
	BigEndian
	VAX // mixed; read as raw bytes only
)

// StrPad says how a string shorter than its field ends.
type StrPad uint8

// String paddings.
const (
	NullTerm StrPad = iota
	NullPad
	SpacePad
)

// Cset is the character set of a string.
type Cset uint8

// Character sets.
const (
	ASCII Cset = iota
	UTF8
)

// FloatFormat locates the fields of a floating-point number by bit, counted
// from the least significant bit of the number.
type FloatFormat struct {
	SignPos          int
	ExpPos, ExpSize  int
	MantPos, MantLen int
	Bias             uint32
	Norm             int // 0 none, 1 leading bit stored, 2 leading bit implied
}

// Member is a field of a compound type.
type Member struct {
	Name   string
	Offset int // bytes from the start of the element
	Type   *Datatype
}

// Datatype describes one element. Which fields are set depends on Class.
type Datatype struct {
	Class Class
	Size  int // bytes of one element as stored

	Order     Order        // numbers, bitfields and times
	Signed    bool         // integers
	BitOffset int          // numbers and bitfields: lowest significant bit
	Precision int          // numbers and bitfields: number of significant bits
	Float     *FloatFormat // floats

	StrPad StrPad // fixed and variable strings
	Cset   Cset   // fixed and variable strings

	Tag     string    // opaque
	Members []Member  // compound
	Base    *Datatype // enum, vlen, array, complex
	Dims    []int     // array

	EnumNames  []string // enum, in file order
	EnumValues [][]byte // enum, each Base.Size bytes in file order

	VarString bool // vlen: a string rather than a sequence
	RefType   int  // reference: 0 object, 1 dataset region

	Committed bool // named: an object of its own, which its users share
	owner     uint64
}

// IsString reports whether elements are strings, fixed or variable.
func (t *Datatype) IsString() bool {
	return t.Class == ClassString || t.Class == ClassVLen && t.VarString
}

// IsNumeric reports whether elements are integers, floats, enums or bitfields.
func (t *Datatype) IsNumeric() bool {
	switch t.Class {
	case ClassInteger, ClassFloat, ClassEnum, ClassBitfield:
		return true
	}
	return false
}

// IsBool reports whether the type is what h5py stores booleans in: an
// enumeration of FALSE and TRUE.
func (t *Datatype) IsBool() bool {
	return t.Class == ClassEnum && len(t.EnumNames) == 2 && t.Size == 1 &&
		t.EnumNames[0] == "FALSE" && t.EnumNames[1] == "TRUE" &&
		t.EnumValues[0][0] == 0 && t.EnumValues[1][0] == 1
}

// numElems returns the number of elements of an array type.
func (t *Datatype) numElems() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// hasRefs reports whether values hold addresses into global heaps.
func (t *Datatype) hasRefs() bool {
	switch t.Class {
	case ClassVLen:
		return true
	case ClassArray:
		return t.Base.hasRefs()
	case ClassCompound:
		for _, m := range t.Members {
			if m.Type.hasRefs() {
				return true
			}
		}
	}
	return false
}

// typeParser decodes datatype messages.
type typeParser struct {
	*cursor
	maxDepth int
}

// parseDatatype decodes the datatype at the cursor.
func parseDatatype(c *cursor, maxDepth int) (*Datatype, error) {
	p := typeParser{c, maxDepth}
	t := p.parse(0)
	if c.err != nil {
		return nil, c.err
	}
	return t, nil
}

func (p typeParser) parse(depth int) *Datatype {
	if depth > p.maxDepth {
		p.failf("nests deeper than %d", p.maxDepth)
		return nil
	}
	b := p.u8()
	version := b >> 4
	bits := int(p.uint(3))
	size := p.u32()
	if p.err != nil {
		return nil
	}
	if version < 1 || version > 5 {
		p.failf("datatype version %d", version)
		return nil
	}
	if size == 0 || size > 1<<31-1 {
		p.failf("element size %d", size)
		return nil
	}
	t := &Datatype{Class: Class(b & 15), Size: int(size)}
	switch t.Class {
	case ClassInteger, ClassBitfield:
		p.integer(t, bits)
	case ClassFloat:
		p.float(t, bits)
	case ClassTime:
		t.Order = Order(bits & 1)
		t.Precision = p.u16()
		p.bitsFit(t)
	case ClassString:
		t.StrPad, t.Cset = StrPad(bits&15), Cset(bits>>4&15)
	case ClassOpaque:
		p.opaque(t, bits)
	case ClassCompound:
		p.compound(t, bits, version, depth)
	case ClassReference:
		t.RefType = bits & 15
		if t.RefType > 1 && p.err == nil {
			p.err = unsupported("reference type %d (HDF5 1.12 references)", t.RefType)
		}
	case ClassEnum:
		p.enum(t, bits, version, depth)
	case ClassVLen:
		p.vlen(t, bits, depth)
	case ClassArray:
		p.array(t, version, depth)
	case ClassComplex:
		p.complex(t, depth)
	default:
		p.err = unsupported("datatype class %d", t.Class)
	}
	if p.err != nil {
		return nil
	}
	return t
}

func (p typeParser) integer(t *Datatype, bits int) {
	t.Order = Order(bits & 1)
	t.Signed = t.Class == ClassInteger && bits&8 != 0
	t.BitOffset, t.Precision = p.u16(), p.u16()
	p.bitsFit(t)
}

func (p typeParser) bitsFit(t *Datatype) {
	if p.err == nil && (t.Precision == 0 || t.BitOffset+t.Precision > 8*t.Size) {
		p.failf("%d bits at bit %d of a %d-byte number", t.Precision, t.BitOffset, t.Size)
	}
}

func (p typeParser) float(t *Datatype, bits int) {
	switch bits & 0x41 {
	case 0:
		t.Order = LittleEndian
	case 1:
		t.Order = BigEndian
	case 0x41:
		t.Order = VAX
	default:
		p.failf("byte order bits %#x", bits&0x41)
	}
	t.BitOffset, t.Precision = p.u16(), p.u16()
	f := &FloatFormat{SignPos: bits >> 8 & 255, Norm: bits >> 4 & 3}
	f.ExpPos, f.ExpSize = p.u8(), p.u8()
	f.MantPos, f.MantLen = p.u8(), p.u8()
	f.Bias = p.u32()
	t.Float = f
	p.bitsFit(t)
	total := 8 * t.Size
	if p.err == nil && (f.SignPos >= total || f.ExpPos+f.ExpSize > total || f.MantPos+f.MantLen > total ||
		f.ExpSize == 0 || f.ExpSize > 31 || f.MantLen == 0 || f.Norm > 2) {
		p.failf("fields of a %d-byte float: %+v", t.Size, *f)
	}
}

func (p typeParser) opaque(t *Datatype, bits int) {
	b := p.bytes(bits & 255)
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	t.Tag = string(b)
}

func (p typeParser) name(version int) string {
	start := p.pos
	s := p.cstring()
	if version < 3 {
		if r := (p.pos - start) % 8; r != 0 {
			p.skip(8 - r)
		}
	}
	return s
}

func (p typeParser) compound(t *Datatype, bits, version, depth int) {
	n, used := bits&0xffff, 0
	for i := 0; i < n && p.err == nil; i++ {
		m := Member{Name: p.name(version)}
		var dims []int
		switch {
		case version < 3:
			m.Offset = int(p.u32())
		default:
			m.Offset = int(p.uint(encodedSize(uint64(t.Size))))
		}
		if version == 1 {
			dims = p.oldMemberDims()
		}
		m.Type = p.parse(depth + 1)
		if p.err != nil {
			return
		}
		if len(dims) > 0 {
			m.Type = p.arrayOf(m.Type, dims)
		}
		if p.err != nil {
			return
		}
		if m.Offset < 0 || m.Offset > t.Size || m.Type.Size > t.Size-m.Offset {
			p.failf("member %q: %d bytes at %d of a %d-byte compound", m.Name, m.Type.Size, m.Offset, t.Size)
		}
		used += m.Type.Size
		t.Members = append(t.Members, m)
	}
	// Members never overlap, which bounds the work of decoding one element.
	if p.err == nil && (n == 0 || used > t.Size) {
		p.failf("compound of %d bytes with %d members of %d bytes", t.Size, n, used)
	}
}

// encodedSize is the number of bytes that hold numbers up to n.
func encodedSize(n uint64) int {
	s := 1
	for n > 255 {
		n >>= 8
		s++
	}
	return s
}

// oldMemberDims reads the array dimensions that version 1 kept in the member.
func (p typeParser) oldMemberDims() []int {
	rank := p.u8()
	p.skip(3 + 4 + 4)
	if p.err == nil && rank > 4 {
		p.failf("compound member of rank %d", rank)
	}
	var dims []int
	for i := range 4 {
		d := p.u32()
		if i < rank {
			dims = append(dims, int(d))
		}
	}
	return dims
}

func (p typeParser) arrayOf(base *Datatype, dims []int) *Datatype {
	size := uint64(base.Size)
	for _, d := range dims {
		if size *= uint64(d); d == 0 || size > 1<<31-1 {
			p.failf("array %v of %d-byte elements", dims, base.Size)
			return nil
		}
	}
	return &Datatype{Class: ClassArray, Size: int(size), Base: base, Dims: dims}
}

func (p typeParser) enum(t *Datatype, bits, version, depth int) {
	t.Base = p.parse(depth + 1)
	if p.err != nil {
		return
	}
	if t.Base.Class != ClassInteger || t.Base.Size != t.Size {
		p.failf("enumeration of %d bytes over %v of %d bytes", t.Size, t.Base.Class, t.Base.Size)
		return
	}
	t.Order, t.Signed, t.BitOffset, t.Precision = t.Base.Order, t.Base.Signed, t.Base.BitOffset, t.Base.Precision
	n := bits & 0xffff
	for i := 0; i < n && p.err == nil; i++ {
		t.EnumNames = append(t.EnumNames, p.name(version))
	}
	for i := 0; i < n && p.err == nil; i++ {
		t.EnumValues = append(t.EnumValues, p.bytes(t.Size))
	}
}

func (p typeParser) vlen(t *Datatype, bits, depth int) {
	kind := bits & 15
	if kind > 1 {
		p.failf("variable-length type %d", kind)
		return
	}
	t.VarString = kind == 1
	t.StrPad, t.Cset = StrPad(bits>>4&15), Cset(bits>>8&15)
	t.Base = p.parse(depth + 1)
	if want := 8 + p.offs; p.err == nil && t.Size != want {
		p.failf("variable-length element of %d bytes, want %d", t.Size, want)
	}
}

func (p typeParser) array(t *Datatype, version, depth int) {
	rank := p.u8()
	if version < 3 {
		p.skip(3)
	}
	if p.err == nil && (rank > 32 || rank == 0) {
		p.failf("array of rank %d", rank)
	}
	var dims []int
	for i := 0; i < rank && p.err == nil; i++ {
		dims = append(dims, int(p.u32()))
	}
	if version < 3 {
		p.skip(4 * rank) // permutation, never used
	}
	base := p.parse(depth + 1)
	if p.err != nil {
		return
	}
	a := p.arrayOf(base, dims)
	if p.err == nil && a.Size != t.Size {
		p.failf("array %v of %d-byte elements in %d bytes", dims, base.Size, t.Size)
	}
	t.Base, t.Dims = base, dims
}

func (p typeParser) complex(t *Datatype, depth int) {
	t.Base = p.parse(depth + 1)
	if p.err == nil && (t.Base.Class != ClassFloat || 2*t.Base.Size != t.Size) {
		p.failf("complex of %d bytes over %v of %d bytes", t.Size, t.Base.Class, t.Base.Size)
	}
}
