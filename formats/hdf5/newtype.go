package hdf5

// NewInteger returns the type of little-endian integers of size bytes: 1, 2, 4
// or 8.
func NewInteger(size int, signed bool) *Datatype {
	return &Datatype{Class: ClassInteger, Size: size, Signed: signed, Precision: 8 * size}
}

// NewFloat returns the type of little-endian IEEE 754 floats of size bytes: 2,
// 4 or 8.
func NewFloat(size int) *Datatype {
	f := map[int]FloatFormat{2: ieee16, 4: ieee32, 8: ieee64}[size]
	return &Datatype{Class: ClassFloat, Size: size, Precision: 8 * size, Float: &f}
}

// NewBFloat16 returns the type of little-endian bfloat16 numbers.
func NewBFloat16() *Datatype {
	f := bfloat
	return &Datatype{Class: ClassFloat, Size: 2, Precision: 16, Float: &f}
}

// NewFixedString returns the type of strings in fields of size bytes.
func NewFixedString(size int, pad StrPad, cset Cset) *Datatype {
	return &Datatype{Class: ClassString, Size: size, StrPad: pad, Cset: cset}
}

// NewVarString returns the type of strings of any length, kept in a global
// heap.
//
//go:noinline
func NewVarString(cset Cset) *Datatype {
	return &Datatype{Class: ClassVLen, Size: 16, VarString: true, Cset: cset, Base: NewInteger(1, false)}
}

// NewBool returns the enumeration in which h5py stores booleans.
func NewBool() *Datatype {
	return &Datatype{Class: ClassEnum, Size: 1, Signed: true, Precision: 8, Base: NewInteger(1, true),
		EnumNames: []string{"FALSE", "TRUE"}, EnumValues: [][]byte{{0}, {1}}}
}

// encodeType appends a datatype message to b, in the oldest version that can
// express the type, which is what libhdf5 writes by default.
func encodeType(b []byte, t *Datatype) ([]byte, error) {
	version := 1
	if hasArray(t) {
		version = 2
	}
	return encodeTypeV(b, t, version)
}

func hasArray(t *Datatype) bool {
	if t.Class == ClassArray || t.Base != nil && hasArray(t.Base) {
		return true
	}
	for _, m := range t.Members {
		if hasArray(m.Type) {
			return true
		}
	}
	return false
}

func typeHead(b []byte, t *Datatype, version, bits int) []byte {
	b = append(b, byte(version<<4)|byte(t.Class), byte(bits), byte(bits>>8), byte(bits>>16))
	return le32(b, uint32(t.Size))
}

func le16(b []byte, v int) []byte { return append(b, byte(v), byte(v>>8)) }

//go:noinline
func le32(b []byte, v uint32) []byte { return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24)) }

//go:noinline
func le64(b []byte, v uint64) []byte { return le32(le32(b, uint32(v)), uint32(v>>32)) }

// padded appends s and one to eight NULs, up to a multiple of 8 bytes.
func padded(b []byte, s string) []byte {
	b = append(b, s...)
	return append(b, make([]byte, 8-len(s)%8)...)
}

func encodeTypeV(b []byte, t *Datatype, version int) ([]byte, error) {
	order := 0
	if t.Order == BigEndian {
		order = 1
	}
	switch t.Class {
	case ClassInteger, ClassBitfield:
		if t.Signed && t.Class == ClassInteger {
			order |= 8
		}
		b = typeHead(b, t, version, order)
		return le16(le16(b, t.BitOffset), t.Precision), nil
	case ClassFloat:
		if t.Order == VAX {
			return nil, unsupported("writing VAX floats")
		}
		f := t.Float
		b = typeHead(b, t, version, order|f.Norm<<4|f.SignPos<<8)
		b = le16(le16(b, t.BitOffset), t.Precision)
		b = append(b, byte(f.ExpPos), byte(f.ExpSize), byte(f.MantPos), byte(f.MantLen))
		return le32(b, f.Bias), nil
	case ClassString:
		return typeHead(b, t, version, int(t.StrPad)|int(t.Cset)<<4), nil
	case ClassOpaque:
		tag := padded(nil, t.Tag)
		if len(t.Tag)%8 == 0 {
			tag = tag[:len(t.Tag)]
		}
		if len(tag) > 255 {
			return nil, unsupported("opaque tag of %d bytes", len(t.Tag))
		}
		return append(typeHead(b, t, version, len(tag)), tag...), nil
	case ClassEnum:
		return encodeEnum(b, t, version)
	case ClassCompound:
		return encodeCompound(b, t, version)
	case ClassArray:
		b = append(typeHead(b, t, 2, 0), byte(len(t.Dims)), 0, 0, 0)
		for _, d := range t.Dims {
			b = le32(b, uint32(d))
		}
		for range t.Dims {
			b = le32(b, 0)
		}
		return encodeTypeV(b, t.Base, version)
	case ClassVLen:
		if !t.VarString {
			return nil, unsupported("writing variable-length sequences")
		}
		b = typeHead(b, t, version, 1|int(t.StrPad)<<4|int(t.Cset)<<8)
		return encodeTypeV(b, t.Base, version)
	}
	return nil, unsupported("writing %s elements", t.Class)
}

func encodeEnum(b []byte, t *Datatype, version int) ([]byte, error) {
	b, err := encodeTypeV(typeHead(b, t, version, len(t.EnumNames)), t.Base, version)
	if err != nil {
		return nil, err
	}
	for _, n := range t.EnumNames {
		b = padded(b, n)
	}
	for _, v := range t.EnumValues {
		b = append(b, v...)
	}
	return b, nil
}

func encodeCompound(b []byte, t *Datatype, version int) ([]byte, error) {
	b = typeHead(b, t, version, len(t.Members))
	var err error
	for _, m := range t.Members {
		b = le32(padded(b, m.Name), uint32(m.Offset))
		if version == 1 {
			b = append(b, make([]byte, 28)...) // not an array
		}
		if b, err = encodeTypeV(b, m.Type, version); err != nil {
			return nil, err
		}
	}
	return b, nil
}
