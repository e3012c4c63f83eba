package pb

import (
	"errors"
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// dtypes is the element type of every DataType but Undefined.
var dtypes = [...]tensor.DType{
	Float: tensor.Float32, Uint8: tensor.Uint8, Int8: tensor.Int8, Uint16: tensor.Uint16, Int16: tensor.Int16, Int32: tensor.Int32,
	Int64: tensor.Int64, String: tensor.String, Bool: tensor.Bool, Float16: tensor.Float16, Double: tensor.Float64,
	Uint32: tensor.Uint32, Uint64: tensor.Uint64, Complex64: tensor.Complex64, Complex128: tensor.Complex128,
	BFloat16: tensor.BFloat16, Float8E4M3FN: tensor.Float8E4M3FN, Float8E4M3FNUZ: tensor.Float8E4M3FNUZ,
	Float8E5M2: tensor.Float8E5M2, Float8E5M2FNUZ: tensor.Float8E5M2FNUZ, Uint4: tensor.Uint4, Int4: tensor.Int4,
	Float4E2M1: tensor.Float4E2M1, Float8E8M0: tensor.Float8E8M0, Uint2: tensor.Uint2, Int2: tensor.Int2,
}

// DType is t as nnrt's element type.
func (t DataType) DType() (tensor.DType, error) {
	if t > Undefined && int(t) < len(dtypes) {
		return dtypes[t], nil
	}
	return tensor.Invalid, errs.Errorf("no element type %v", t)
}

// DataTypeOf is d as ONNX has it; Undefined where d is no element type.
func DataTypeOf(d tensor.DType) DataType {
	for t, dt := range dtypes {
		if dt == d && d != tensor.Invalid {
			return DataType(t)
		}
	}
	return Undefined
}

// Source is what tensors are read from besides their messages. The zero value
// has no external data.
type Source struct {
	Keep     any       // owner of the memory that raw_data aliases
	External *External // where tensors in other files are; nil refuses them
	MaxDense int64     // bytes that a sparse tensor may take once dense; default 64 MiB
}

// Shape is dims as nnrt has them, checked: not negative, not too many, product
// without overflow, which is the second result.
func Shape(dims []int64) ([]int, int, error) {
	shape := make([]int, len(dims))
	for i, d := range dims {
		if d != int64(int(d)) {
			return nil, 0, errs.Errorf("%w: dimension %d", tensor.ErrShape, d)
		}
		shape[i] = int(d)
	}
	n, err := tensor.NumElements(shape)
	return shape, n, err
}

// Tensor makes the tensor that p describes. Raw and external data are not
// copied if they are aligned for their type; types below a byte are unpacked.
func (s *Source) Tensor(p *TensorProto) (*tensor.Tensor, error) {
	t, err := s.tensor(p)
	if err != nil {
		return nil, errs.Errorf("tensor %q: %w", p.Name, err)
	}
	return t, nil
}

func (s *Source) tensor(p *TensorProto) (*tensor.Tensor, error) {
	dt, err := p.DataType.DType()
	if err != nil {
		return nil, err
	}
	shape, n, err := Shape(p.Dims)
	if err != nil {
		return nil, err
	}
	if p.Segment != nil {
		return nil, errors.New("a segment of a larger tensor is not read")
	}
	used, err := p.usedField(n)
	if err != nil {
		return nil, err
	}
	if p.DataLocation == LocationExternal {
		if used != "" {
			return nil, errs.Errorf("both external data and %s", used)
		}
		if dt == tensor.String {
			return nil, errors.New("external data of strings")
		}
		raw, keep, err := s.External.bytes(p, packedSize(dt, n))
		if err != nil {
			return nil, err
		}
		return fromRaw(dt, shape, n, raw, keep)
	}
	switch {
	case used == "raw_data":
		return fromRaw(dt, shape, n, p.RawData, s.Keep)
	case n == 0:
		return tensor.Make(dt, shape)
	case used == "":
		return nil, errs.Errorf("no data for %v%v", dt, shape)
	case used != typedField(dt):
		return nil, errs.Errorf("%v elements in %s, want %s", dt, used, typedField(dt))
	}
	return p.fromTyped(dt, shape, n)
}

// usedField is the name of the field that holds p's elements, "" if none.
func (p *TensorProto) usedField(n int) (string, error) {
	used := ""
	for _, f := range []struct {
		name string
		size int
	}{
		{"raw_data", len(p.RawData)}, {"float_data", len(p.FloatData)}, {"int32_data", len(p.Int32Data)}, {"string_data", len(p.StringData)},
		{"int64_data", len(p.Int64Data)}, {"double_data", len(p.DoubleData)}, {"uint64_data", len(p.Uint64Data)},
	} {
		switch {
		case f.size == 0:
		case n == 0:
			return "", errs.Errorf("%s is not empty, but shape %v is", f.name, p.Dims)
		case used != "":
			return "", errs.Errorf("both %s and %s hold elements", used, f.name)
		default:
			used = f.name
		}
	}
	return used, nil
}

// typedField is the field other than raw_data that may hold elements of dt.
func typedField(dt tensor.DType) string {
	switch dt {
	case tensor.Float32, tensor.Complex64:
		return "float_data"
	case tensor.Float64, tensor.Complex128:
		return "double_data"
	case tensor.Int64:
		return "int64_data"
	case tensor.Uint32, tensor.Uint64:
		return "uint64_data"
	case tensor.String:
		return "string_data"
	}
	return "int32_data"
}

// packedSize is the bytes that n elements take in a file. It can not overflow:
// n is below 2^56.
func packedSize(dt tensor.DType, n int) int64 {
	if bits := dt.Bits(); bits < 8 {
		per := 8 / bits
		return (int64(n) + int64(per) - 1) / int64(per)
	}
	return int64(n) * int64(dt.Size())
}

func fromRaw(dt tensor.DType, shape []int, n int, raw []byte, keep any) (*tensor.Tensor, error) {
	if dt == tensor.String {
		return nil, errors.New("strings in raw_data")
	}
	if want := packedSize(dt, n); int64(len(raw)) != want {
		return nil, errs.Errorf("%d bytes of data, but %v%v takes %d", len(raw), dt, shape, want)
	}
	if dt.Bits() < 8 {
		t, err := tensor.Make(dt, shape)
		if err != nil {
			return nil, err
		}
		unpack(t.Bytes(), raw, dt)
		return t, nil
	}
	if dt == tensor.Bool {
		raw, keep = soundBools(raw, keep)
	}
	return tensor.FromBytes(dt, shape, raw, keep)
}

// soundBools is raw if every byte is 0 or 1, else a copy where every other
// non-zero byte is 1, as numpy takes it: a Go bool must be nothing else.
func soundBools(raw []byte, keep any) ([]byte, any) {
	for _, b := range raw {
		if b > 1 {
			c := tensor.AlignedBytes(len(raw))
			for i, b := range raw {
				c[i] = min(b, 1)
			}
			return c, nil
		}
	}
	return raw, keep
}

// unpack spreads elements of 4 or 2 bits, the lowest bits of a byte first.
func unpack(dst, packed []byte, dt tensor.DType) {
	bits := uint(dt.Bits())
	per := 8 / bits
	signed := dt.IsSigned()
	for i := range dst {
		v := packed[uint(i)/per] >> (uint(i) % per * bits) << (8 - bits)
		if signed {
			dst[i] = byte(int8(v) >> (8 - bits))
		} else {
			dst[i] = v >> (8 - bits)
		}
	}
}

func pack(src []byte, dt tensor.DType) []byte {
	bits := uint(dt.Bits())
	per := 8 / bits
	out := make([]byte, packedSize(dt, len(src)))
	for i, v := range src {
		out[uint(i)/per] |= v & (1<<bits - 1) << (uint(i) % per * bits)
	}
	return out
}

// fromTyped reads the typed field of dt; n is positive.
func (p *TensorProto) fromTyped(dt tensor.DType, shape []int, n int) (*tensor.Tensor, error) {
	count, want := 0, n
	switch typedField(dt) {
	case "float_data":
		count = len(p.FloatData)
	case "double_data":
		count = len(p.DoubleData)
	case "int64_data":
		count = len(p.Int64Data)
	case "uint64_data":
		count = len(p.Uint64Data)
	case "string_data":
		count = len(p.StringData)
	case "int32_data":
		count = len(p.Int32Data)
		if dt.Bits() < 8 {
			want = int(packedSize(dt, n))
		}
	}
	if dt.IsComplex() {
		want *= 2
	}
	if count != want {
		return nil, errs.Errorf("%d entries in %s, but %v%v takes %d", count, typedField(dt), dt, shape, want)
	}
	t, err := tensor.Make(dt, shape)
	if err != nil {
		return nil, err
	}
	switch dt {
	case tensor.Float32:
		copy(tensor.As[float32](t), p.FloatData)
	case tensor.Float64:
		copy(tensor.As[float64](t), p.DoubleData)
	case tensor.Int64:
		copy(tensor.As[int64](t), p.Int64Data)
	case tensor.Uint64:
		copy(tensor.As[uint64](t), p.Uint64Data)
	case tensor.Uint32:
		for i, v := range p.Uint64Data {
			if v > math.MaxUint32 {
				return nil, errs.Errorf("element %d: %d is no uint32", i, v)
			}
			tensor.As[uint32](t)[i] = uint32(v)
		}
	case tensor.String:
		for i, b := range p.StringData {
			t.Strings()[i] = string(b)
		}
	case tensor.Complex64:
		for i := range tensor.As[complex64](t) {
			tensor.As[complex64](t)[i] = complex(p.FloatData[2*i], p.FloatData[2*i+1])
		}
	case tensor.Complex128:
		for i := range tensor.As[complex128](t) {
			tensor.As[complex128](t)[i] = complex(p.DoubleData[2*i], p.DoubleData[2*i+1])
		}
	default:
		return t, p.fromInt32(t)
	}
	return t, nil
}

// fromInt32 fills t, of a type of at most 32 bits, from int32_data: integers
// as themselves, narrow floats and packed types as their bits.
func (p *TensorProto) fromInt32(t *tensor.Tensor) error {
	dt := t.DType()
	if dt == tensor.Int32 {
		copy(tensor.As[int32](t), p.Int32Data)
		return nil
	}
	bits := max(dt.Bits(), 8)
	lo, hi := -int32(1)<<(bits-1), int32(1)<<bits-1
	narrow := make([]byte, 0, len(p.Int32Data))
	for i, v := range p.Int32Data {
		// Bit patterns may come sign-extended.
		if v < lo || v > hi || dt.IsUnsigned() && dt.Bits() >= 8 && v < 0 || dt.IsSigned() && dt.Bits() >= 8 && v > hi/2 {
			return errs.Errorf("element %d: %d is no %v", i, v, dt)
		}
		if bits == 16 {
			t.Bytes()[2*i], t.Bytes()[2*i+1] = byte(v), byte(v>>8)
			continue
		}
		if dt == tensor.Bool && v != 0 {
			v = 1
		}
		narrow = append(narrow, byte(v))
	}
	switch {
	case dt.Bits() < 8:
		unpack(t.Bytes(), narrow, dt)
	case bits == 8:
		copy(t.Bytes(), narrow)
	}
	return nil
}

// Dense makes a dense tensor of a sparse one. Its indices are linear, [NNZ],
// or coordinates, [NNZ, rank], ascending.
func (s *Source) Dense(p *SparseTensorProto) (*tensor.Tensor, error) {
	if p.Values == nil || p.Indices == nil {
		return nil, errors.New("sparse tensor: no values or no indices")
	}
	vals, err := s.Tensor(p.Values)
	if err != nil {
		return nil, err
	}
	idx, err := s.Tensor(p.Indices)
	if err != nil {
		return nil, err
	}
	t, err := s.scatter(vals, idx, p.Dims)
	if err != nil {
		return nil, errs.Errorf("sparse tensor %q: %w", p.Values.Name, err)
	}
	return t, nil
}

func (s *Source) scatter(vals, idx *tensor.Tensor, dims []int64) (*tensor.Tensor, error) {
	shape, n, err := Shape(dims)
	if err != nil {
		return nil, err
	}
	limit := s.MaxDense
	if limit == 0 {
		limit = 64 << 20
	}
	dt := vals.DType()
	if size := max(dt.Size(), 16*boolInt(dt == tensor.String)); int64(n) > limit/int64(size) {
		return nil, errs.Errorf("%v%v exceeds the limit of %d bytes", dt, shape, limit)
	}
	linear := idx.Rank() == 1 && idx.Dim(0) == vals.Len()
	if idx.DType() != tensor.Int64 || vals.Rank() != 1 || !linear && !(idx.Rank() == 2 && idx.Dim(0) == vals.Len() && idx.Dim(1) == len(shape)) {
		return nil, errs.Errorf("indices %v%v for values %v of a tensor %v", idx.DType(), idx.Shape(), vals.Shape(), shape)
	}
	out, err := tensor.Make(dt, shape)
	if err != nil {
		return nil, err
	}
	at, prev := tensor.As[int64](idx), int64(-1)
	for i := range vals.Len() {
		off := int64(0)
		if linear {
			off = at[i]
		} else {
			for a, d := range shape {
				c := at[i*len(shape)+a]
				if c < 0 || c >= int64(d) {
					return nil, errs.Errorf("index %d of axis %d is outside %v", c, a, shape)
				}
				off = off*int64(d) + c
			}
		}
		if off <= prev || off >= int64(n) {
			return nil, errs.Errorf("index %d: %d after %d is not ascending below %d", i, off, prev, n)
		}
		prev = off
		if dt == tensor.String {
			out.Strings()[off] = vals.Strings()[i]
			continue
		}
		size := dt.Size()
		copy(out.Bytes()[int(off)*size:][:size], vals.Bytes()[i*size:])
	}
	return out, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FromTensor describes t under a name: strings in string_data, all else in
// raw_data, which aliases t's memory except for types below a byte.
func FromTensor(name string, t *tensor.Tensor) (*TensorProto, error) {
	p := &TensorProto{Name: name, DataType: DataTypeOf(t.DType())}
	if p.DataType == Undefined {
		return nil, errs.Errorf("tensor %q: no ONNX type for %v", name, t.DType())
	}
	for _, d := range t.Shape() {
		p.Dims = append(p.Dims, int64(d))
	}
	switch {
	case t.DType() == tensor.String:
		for _, s := range t.Strings() {
			p.StringData = append(p.StringData, []byte(s))
		}
	case t.DType().Bits() < 8:
		p.RawData = pack(t.Bytes(), t.DType())
	default:
		p.RawData = t.Bytes()
		if p.RawData == nil {
			p.RawData = []byte{}
		}
	}
	return p, nil
}
