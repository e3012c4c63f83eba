package hdf5

import (
	"fmt"
	"strings"
)

// String describes the type as h5dump does.
func (t *Datatype) String() string {
	var b strings.Builder
	typeText(&b, t, 0)
	return b.String()
}

// typeText writes a type whose closing brace, if it has one, is indented by
// ind columns.
func typeText(b *strings.Builder, t *Datatype, ind int) {
	switch t.Class {
	case ClassString, ClassVLen:
		if t.IsString() {
			stringText(b, t, ind)
			return
		}
		b.WriteString("H5T_VLEN { ")
		typeText(b, t.Base, ind)
		b.WriteString("}")
	case ClassCompound:
		b.WriteString("H5T_COMPOUND {\n")
		for _, m := range t.Members {
			spaces(b, ind+3)
			typeText(b, m.Type, ind+3)
			fmt.Fprintf(b, " \"%s\";\n", printable(m.Name))
		}
		spaces(b, ind)
		b.WriteString("}")
	case ClassEnum:
		b.WriteString("H5T_ENUM {\n")
		spaces(b, ind+3)
		typeText(b, t.Base, ind+3)
		b.WriteString(";\n")
		for i, n := range t.EnumNames {
			spaces(b, ind+3)
			fmt.Fprintf(b, "%-18s %s;\n", `"`+printable(n)+`"`, numberText(t.Base, t.EnumValues[i]))
		}
		spaces(b, ind)
		b.WriteString("}")
	case ClassArray:
		b.WriteString("H5T_ARRAY { ")
		for _, d := range t.Dims {
			fmt.Fprintf(b, "[%d]", d)
		}
		b.WriteString(" ")
		typeText(b, t.Base, ind)
		b.WriteString(" }")
	case ClassOpaque:
		b.WriteString("H5T_OPAQUE {\n")
		spaces(b, ind+3)
		fmt.Fprintf(b, "OPAQUE_TAG \"%s\";\n", printable(t.Tag))
		spaces(b, ind)
		b.WriteString("}")
	case ClassReference:
		kind := [...]string{"H5T_STD_REF_OBJECT", "H5T_STD_REF_DSETREG"}[t.RefType]
		fmt.Fprintf(b, "H5T_REFERENCE { %s }", kind)
	case ClassComplex:
		b.WriteString("H5T_COMPLEX { ")
		typeText(b, t.Base, ind)
		b.WriteString(" }")
	case ClassTime:
		b.WriteString("H5T_TIME")
	default:
		b.WriteString(numberType(t))
	}
}

// numberType names a standard number type, or describes another one.
func numberType(t *Datatype) string {
	order := [...]string{"LE", "BE", "VAX"}[t.Order]
	whole := t.BitOffset == 0 && t.Precision == 8*t.Size
	bits := 8 * t.Size
	switch {
	case t.Class == ClassFloat && t.IsIEEE() && t.Size > 2:
		return fmt.Sprintf("H5T_IEEE_F%d%s", bits, order)
	case t.Class == ClassBitfield && whole:
		return fmt.Sprintf("H5T_STD_B%d%s", bits, order)
	case t.Class == ClassInteger && whole && t.Signed:
		return fmt.Sprintf("H5T_STD_I%d%s", bits, order)
	case t.Class == ClassInteger && whole:
		return fmt.Sprintf("H5T_STD_U%d%s", bits, order)
	}
	long := [...]string{" little-endian", " big-endian", " VAX"}[t.Order]
	if t.Size == 1 {
		long = ""
	}
	kind := "integer"
	switch {
	case t.Class == ClassFloat:
		kind = "floating-point"
	case t.Class == ClassBitfield:
		kind = "bitfield"
	case !t.Signed:
		kind = "unsigned integer"
	}
	return fmt.Sprintf("%d-bit%s %s %d-bit precision", bits, long, kind, t.Precision)
}

func stringText(b *strings.Builder, t *Datatype, ind int) {
	size := fmt.Sprint(t.Size)
	if t.Class == ClassVLen {
		size = "H5T_VARIABLE"
	}
	pad, cset := fmt.Sprint(uint8(t.StrPad)), fmt.Sprint(uint8(t.Cset))
	if t.StrPad <= SpacePad {
		pad = [...]string{"H5T_STR_NULLTERM", "H5T_STR_NULLPAD", "H5T_STR_SPACEPAD"}[t.StrPad]
	}
	if t.Cset <= UTF8 {
		cset = [...]string{"H5T_CSET_ASCII", "H5T_CSET_UTF8"}[t.Cset]
	}
	b.WriteString("H5T_STRING {\n")
	for _, l := range []string{"STRSIZE " + size, "STRPAD " + pad, "CSET " + cset, "CTYPE H5T_C_S1"} {
		spaces(b, ind+3)
		b.WriteString(l + ";\n")
	}
	spaces(b, ind)
	b.WriteString("}")
}

//go:noinline
func spaces(b *strings.Builder, n int) {
	for range n {
		b.WriteByte(' ')
	}
}

// printable replaces what could confuse a terminal or a reader by octal
// escapes: control characters and bytes that are not UTF-8.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 {
			clean = false
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 0xfffd && !strings.HasPrefix(s[i:], "\xef\xbf\xbd"), r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\%03o`, s[i])
		case r >= 0x80 && r < 0xa0:
			fmt.Fprintf(&b, `\%03o\%03o`, s[i], s[i+1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
