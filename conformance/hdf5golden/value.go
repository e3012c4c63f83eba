package hdf5golden

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"github.com/nnrt/nnrt/formats/hdf5"
	"github.com/nnrt/nnrt/internal/errs"
)

// describe gives a datatype the form that the JSON uses.
func describe(t *hdf5.Datatype) map[string]any {
	num := func(class string) map[string]any {
		order := "little"
		if t.Order == hdf5.BigEndian && t.Size > 1 {
			order = "big"
		}
		return map[string]any{"class": class, "size": t.Size, "order": order}
	}
	switch {
	case t.IsBool():
		return num("bool")
	case t.IsString():
		m := map[string]any{"class": "string", "length": nil, "charset": "ascii"}
		if t.Class == hdf5.ClassString {
			m["length"] = t.Size
		}
		if t.Cset == hdf5.UTF8 {
			m["charset"] = "utf-8"
		}
		return m
	}
	switch t.Class {
	case hdf5.ClassInteger:
		if t.Signed {
			return num("int")
		}
		return num("uint")
	case hdf5.ClassReference:
		return num("object")
	case hdf5.ClassEnum:
		return describeEnum(t)
	case hdf5.ClassArray:
		return map[string]any{"class": "array", "base": describe(t.Base), "dims": t.Dims}
	case hdf5.ClassVLen:
		return map[string]any{"class": "vlen", "base": describe(t.Base)}
	case hdf5.ClassCompound:
		if isComplex(t) {
			m := num("complex")
			if t.Members[0].Type.Order == hdf5.BigEndian {
				m["order"] = "big"
			}
			return m
		}
		fields := []any{}
		for _, f := range t.Members {
			fields = append(fields, []any{f.Name, describe(f.Type), f.Offset})
		}
		return map[string]any{"class": "compound", "fields": fields, "size": t.Size}
	}
	return num(t.Class.String())
}

// isComplex recognises the compound in which h5py keeps complex numbers.
func isComplex(t *hdf5.Datatype) bool {
	m := t.Members
	return len(m) == 2 && m[0].Name == "r" && m[1].Name == "i" &&
		m[0].Type.Class == hdf5.ClassFloat && m[1].Type.Class == hdf5.ClassFloat
}

// describeEnum names the base type as NumPy does: order, kind, size.
func describeEnum(t *hdf5.Datatype) map[string]any {
	order, kind := "<", "u"
	if t.Base.Order == hdf5.BigEndian {
		order = ">"
	}
	if t.Size == 1 {
		order = "|"
	}
	if t.Base.Signed {
		kind = "i"
	}
	members := map[string]any{}
	for i, n := range t.EnumNames {
		v := uint64(0)
		for j := range t.EnumValues[i] {
			k := j
			if t.Base.Order == hdf5.LittleEndian {
				k = t.Size - 1 - j
			}
			v = v<<8 | uint64(t.EnumValues[i][k])
		}
		if s := 64 - 8*t.Size; t.Base.Signed {
			v = uint64(int64(v<<s) >> s)
		}
		members[n] = int64(v)
	}
	return map[string]any{"class": "enum", "members": members, "base": fmt.Sprintf("%s%s%d", order, kind, t.Size)}
}

func compareType(t *hdf5.Datatype, want map[string]any) error {
	got, err := json.Marshal(describe(t))
	if err != nil {
		return err
	}
	w, err := json.Marshal(want)
	if err != nil {
		return err
	}
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal(w, &b) != nil || !reflect.DeepEqual(a, b) {
		return errs.Errorf("type %s, want %s", got, w)
	}
	return nil
}

// valued is what datasets and attributes have in common.
type valued interface {
	Type() *hdf5.Datatype
	Space() hdf5.Space
	Value() (any, error)
}

func compareValue(v valued, want any) error {
	got, err := v.Value()
	if err != nil {
		return err
	}
	if v.Space().Null {
		if m, isMap := want.(map[string]any); got != nil || want != nil && (!isMap || m["empty"] == nil) {
			return errs.Errorf("value %v in a null dataspace, want %v", got, want)
		}
		return nil
	}
	dims := v.Space().Dims
	if len(dims) == 0 {
		return compareElem(v.Type(), got, want)
	}
	return compareList(v.Type(), got, dims, want)
}

// compareList compares a slice of elements with lists nested to the depth of
// dims.
func compareList(t *hdf5.Datatype, got any, dims []uint64, want any) error {
	v := reflect.ValueOf(got)
	if v.Kind() != reflect.Slice {
		return errs.Errorf("%v, want a list", got)
	}
	rest, err := compareNested(t, v, 0, dims, want)
	if err == nil && rest != v.Len() {
		err = errs.Errorf("%d elements, want %d", v.Len(), rest)
	}
	return err
}

// compareNested compares elements from at on; it returns where the next list
// starts.
func compareNested(t *hdf5.Datatype, elems reflect.Value, at int, dims []uint64, want any) (int, error) {
	if len(dims) == 0 {
		if at >= elems.Len() {
			return at, errs.Errorf("only %d elements", elems.Len())
		}
		if err := compareElem(t, elems.Index(at).Interface(), want); err != nil {
			return at, errs.Errorf("element %d: %w", at, err)
		}
		return at + 1, nil
	}
	list, ok := want.([]any)
	if !ok || uint64(len(list)) != dims[0] {
		return at, errs.Errorf("dimension of %d, want %v", dims[0], want)
	}
	for _, w := range list {
		var err error
		if at, err = compareNested(t, elems, at, dims[1:], w); err != nil {
			return at, err
		}
	}
	return at, nil
}

// compareElem compares one element of type t. Numbers must be equal.
func compareElem(t *hdf5.Datatype, got, want any) error {
	ok := false
	switch g := got.(type) {
	case bool:
		ok = g == want
	case string:
		ok = g == want || sameBytes([]byte(g), want)
	case hdf5.Reference:
		m, isMap := want.(map[string]any)
		ok = isMap && m["reference"] == (g.Addr != 0)
	case hdf5.Compound:
		return compareCompound(t, g, want)
	case complex128:
		l, isList := want.([]any)
		ok = isList && len(l) == 2 && sameNumber(real(g), l[0]) && sameNumber(imag(g), l[1])
	default:
		switch t.Class {
		case hdf5.ClassArray:
			var dims []uint64
			for _, d := range t.Dims {
				dims = append(dims, uint64(d))
			}
			return compareList(t.Base, got, dims, want)
		case hdf5.ClassVLen:
			l, _ := want.([]any)
			return compareList(t.Base, got, []uint64{uint64(len(l))}, want)
		case hdf5.ClassOpaque:
			b, _ := got.([]byte)
			ok = sameBytes(b, want)
		default:
			ok = sameNumber(got, want)
		}
	}
	if !ok {
		return errs.Errorf("%v, want %v", got, want)
	}
	return nil
}

func compareCompound(t *hdf5.Datatype, g hdf5.Compound, want any) error {
	if isComplex(t) {
		l, ok := want.([]any)
		if !ok || len(l) != 2 || !sameNumber(g[0].Value, l[0]) || !sameNumber(g[1].Value, l[1]) {
			return errs.Errorf("%v, want %v", g, want)
		}
		return nil
	}
	m, ok := want.(map[string]any)
	if !ok || len(m) != len(g) {
		return errs.Errorf("%v, want %v", g, want)
	}
	for i, f := range g {
		if err := compareElem(t.Members[i].Type, f.Value, m[f.Name]); err != nil {
			return errs.Errorf("member %q: %w", f.Name, err)
		}
	}
	return nil
}

func sameBytes(got []byte, want any) bool {
	m, _ := want.(map[string]any)
	s, _ := m["bytes"].(string)
	b, err := base64.StdEncoding.DecodeString(s)
	return m["bytes"] != nil && err == nil && string(b) == string(got)
}

// sameNumber compares a Go number with a JSON number or "nan", "inf", "-inf".
func sameNumber(got, want any) bool {
	v := reflect.ValueOf(got)
	n, isNum := want.(json.Number)
	switch {
	case v.CanInt():
		return isNum && n.String() == fmt.Sprint(v.Int())
	case v.CanUint():
		return isNum && n.String() == fmt.Sprint(v.Uint())
	case !v.CanFloat():
		return false
	}
	g := v.Float()
	switch want {
	case "nan":
		return math.IsNaN(g)
	case "inf":
		return math.IsInf(g, 1)
	case "-inf":
		return math.IsInf(g, -1)
	}
	w, err := n.Float64()
	return isNum && err == nil && g == w && math.Signbit(g) == math.Signbit(w)
}

// compareSummary compares the parts of a large dataset that the JSON holds, as
// float64, which is how it was summarised. The sum may differ by the rounding of another order of summation.
func compareSummary(d *hdf5.Dataset, want *summary) error {
	xs, err := d.ReadFloat64s()
	if err != nil {
		return err
	}
	if len(xs) != want.Count {
		return errs.Errorf("%d elements, want %d", len(xs), want.Count)
	}
	sum, abs := 0.0, 0.0
	for _, x := range xs {
		sum += x
		abs += math.Abs(x)
	}
	if tol := abs * float64(len(xs)) * 0x1p-53; math.Abs(sum-want.Sum) > tol {
		return errs.Errorf("sum %v, want %v within %v", sum, want.Sum, tol)
	}
	check := func(w []any, at func(i int) int) error {
		for i, x := range w {
			if !sameNumber(xs[at(i)], x) {
				return errs.Errorf("element %d: %v, want %v", at(i), xs[at(i)], x)
			}
		}
		return nil
	}
	if err := check(want.First, func(i int) int { return i }); err != nil {
		return err
	}
	if err := check(want.Last, func(i int) int { return len(xs) - len(want.Last) + i }); err != nil {
		return err
	}
	return check(want.Every, func(i int) int { return 97 * i })
}
