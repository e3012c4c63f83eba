package hdf5

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// element formats one element as h5dump does. ind is the column of the brace
// that closes a compound.
func (d *dumper) element(t *Datatype, b []byte, ind int, h *heapReader) (string, error) {
	switch t.Class {
	case ClassInteger, ClassFloat, ClassBitfield, ClassEnum:
		if err := checkNumber(t); err != nil {
			return "", err
		}
		return numberText(t, b), nil
	case ClassString:
		return fixedText(t, b), nil
	case ClassVLen:
		return d.vlenText(t, b, ind, h)
	case ClassOpaque:
		return hexText(b), nil
	case ClassReference:
		return d.refText(t, b, h)
	case ClassCompound:
		var s strings.Builder
		s.WriteString("{\n")
		for i, m := range t.Members {
			x, err := d.element(m.Type, b[m.Offset:m.Offset+m.Type.Size], ind+3, h)
			if err != nil {
				return "", errs.Errorf("member %q: %w", m.Name, err)
			}
			spaces(&s, ind+3)
			s.WriteString(x)
			if i < len(t.Members)-1 {
				s.WriteByte(',')
			}
			s.WriteByte('\n')
		}
		spaces(&s, ind)
		s.WriteByte('}')
		return s.String(), nil
	case ClassArray:
		return d.arrayText(t, b, ind, h)
	case ClassComplex:
		n := t.Base.Size
		if err := checkNumber(t.Base); err != nil {
			return "", err
		}
		return numberText(t.Base, b[:n]) + "+" + numberText(t.Base, b[n:]) + "i", nil
	}
	return fmt.Sprint(bitField(b, t.Order == BigEndian, 0, min(t.Precision, 64))), nil
}

func (d *dumper) arrayText(t *Datatype, b []byte, ind int, h *heapReader) (string, error) {
	var s strings.Builder
	s.WriteString("[ ")
	n, row, size := t.numElems(), t.Dims[len(t.Dims)-1], t.Base.Size
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
			if i%row == 0 {
				s.WriteByte('\n')
				spaces(&s, ind+3)
			} else {
				s.WriteByte(' ')
			}
		}
		x, err := d.element(t.Base, b[i*size:(i+1)*size], ind+3, h)
		if err != nil {
			return "", err
		}
		s.WriteString(x)
	}
	s.WriteString(" ]")
	return s.String(), nil
}

func (d *dumper) vlenText(t *Datatype, b []byte, ind int, h *heapReader) (string, error) {
	data, n, err := vlenBytes(t, b, h)
	if err != nil {
		return "", err
	}
	if t.VarString {
		if leUint(b[4:4+h.f.super.offs]) == 0 {
			return "NULL", nil
		}
		return `"` + printable(trimNull(data)) + `"`, nil
	}
	var s strings.Builder
	s.WriteByte('(')
	for i := range n {
		if i > 0 {
			s.WriteString(", ")
		}
		x, err := d.element(t.Base, data[i*t.Base.Size:(i+1)*t.Base.Size], ind+3, h)
		if err != nil {
			return "", err
		}
		s.WriteString(x)
	}
	s.WriteByte(')')
	return s.String(), nil
}

func fixedText(t *Datatype, b []byte) string {
	if t.StrPad == NullTerm {
		if i := bytes.IndexByte(b, 0); i >= 0 {
			b = b[:i]
		}
	}
	return `"` + printable(string(b)) + `"`
}

func hexText(b []byte) string {
	var s strings.Builder
	for i, x := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02x", x)
	}
	return s.String()
}

// numberText formats an integer, float, bitfield or enum.
func numberText(t *Datatype, b []byte) string {
	switch t.Class {
	case ClassFloat:
		return floatText(floatValue(t, b))
	case ClassBitfield:
		if len(b) == 1 {
			return fmt.Sprintf("0x%02x", b[0])
		}
		return hexText(b)
	case ClassEnum:
		for i, v := range t.EnumValues {
			if bytes.Equal(v, b) {
				return printable(t.EnumNames[i])
			}
		}
		return fmt.Sprintf("0x%x", b)
	}
	v := intBits(t, b)
	if t.Signed {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatUint(v, 10)
}

// floatText formats like C's %g.
func floatText(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

func (d *dumper) refText(t *Datatype, b []byte, h *heapReader) (string, error) {
	x, err := decodeRef(t, b, h)
	if err != nil {
		return "", err
	}
	r := x.(Reference)
	if r.Addr == 0 || r.Addr == undef {
		return "NULL", nil
	}
	o, err := d.f.Deref(r)
	if err != nil {
		return "", err
	}
	path, err := d.pathOf(r.Addr)
	if err != nil {
		return "", err
	}
	kind := "DATATYPE"
	switch o.(type) {
	case *Group:
		kind = "GROUP"
	case *Dataset:
		kind = "DATASET"
	}
	if t.RefType == 1 {
		return fmt.Sprintf("%s \"%s\" { REGION of %d bytes }", kind, printable(path), len(r.Region)), nil
	}
	return fmt.Sprintf("%s %d \"%s\"", kind, r.Addr, printable(path)), nil
}
