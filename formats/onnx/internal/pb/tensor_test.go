package pb

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"unsafe"

	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, p *TensorProto) *tensor.Tensor {
	t.Helper()
	x, err := (&Source{}).Tensor(p)
	require.NoError(t, err)
	return x
}

func TestDataTypesAreOneToOne(t *testing.T) {
	for dt := DataType(1); int(dt) < len(dataTypeNames); dt++ {
		d, err := dt.DType()
		require.NoError(t, err)
		require.Equal(t, dt, DataTypeOf(d))
	}
	for _, bad := range []DataType{Undefined, -1, 27} {
		_, err := bad.DType()
		require.Error(t, err)
	}
	require.Equal(t, Undefined, DataTypeOf(tensor.Invalid))
}

func TestTypedFields(t *testing.T) {
	for _, c := range []struct {
		p    *TensorProto
		want any
	}{
		{&TensorProto{DataType: Float, FloatData: []float32{1, -2}}, []float32{1, -2}},
		{&TensorProto{DataType: Double, DoubleData: []float64{1, -2}}, []float64{1, -2}},
		{&TensorProto{DataType: Int64, Int64Data: []int64{1, -2}}, []int64{1, -2}},
		{&TensorProto{DataType: Int32, Int32Data: []int32{1, -2}}, []int32{1, -2}},
		{&TensorProto{DataType: Int16, Int32Data: []int32{300, -2}}, []int16{300, -2}},
		{&TensorProto{DataType: Int8, Int32Data: []int32{-128, 127}}, []int8{-128, 127}},
		{&TensorProto{DataType: Uint8, Int32Data: []int32{255, 0}}, []uint8{255, 0}},
		{&TensorProto{DataType: Uint16, Int32Data: []int32{65535, 0}}, []uint16{65535, 0}},
		{&TensorProto{DataType: Uint32, Uint64Data: []uint64{1<<32 - 1, 0}}, []uint32{1<<32 - 1, 0}},
		{&TensorProto{DataType: Uint64, Uint64Data: []uint64{1<<64 - 1, 0}}, []uint64{1<<64 - 1, 0}},
		{&TensorProto{DataType: Bool, Int32Data: []int32{2, 0}}, []bool{true, false}},
		{&TensorProto{DataType: Float16, Int32Data: []int32{0x3c00, 0xfc00}}, []uint16{0x3c00, 0xfc00}},
		{&TensorProto{DataType: BFloat16, Int32Data: []int32{0x3f80, -1}}, []uint16{0x3f80, 0xffff}},
		{&TensorProto{DataType: Float8E4M3FN, Int32Data: []int32{0x7e, 0x80}}, []uint8{0x7e, 0x80}},
		{&TensorProto{DataType: Float8E8M0, Int32Data: []int32{0xff, 0}}, []uint8{0xff, 0}},
		{&TensorProto{DataType: Complex64, FloatData: []float32{1, 2, 3, 4}}, []complex64{1 + 2i, 3 + 4i}},
		{&TensorProto{DataType: Complex128, DoubleData: []float64{1, 2, 3, 4}}, []complex128{1 + 2i, 3 + 4i}},
		{&TensorProto{DataType: Int4, Int32Data: []int32{0x7f}}, []int8{-1, 7}},
		{&TensorProto{DataType: Uint4, Int32Data: []int32{0x7f}}, []uint8{15, 7}},
		{&TensorProto{DataType: Float4E2M1, Int32Data: []int32{-1}}, []uint8{15, 15}},
		{&TensorProto{DataType: Int2, Int32Data: []int32{0x0b}}, []int8{-1, -2}},
		{&TensorProto{DataType: Uint2, Int32Data: []int32{0x0b}}, []uint8{3, 2}},
		{&TensorProto{DataType: Bool, RawData: []byte{7, 0}}, []bool{true, false}},
		{&TensorProto{DataType: Int16, RawData: []byte{1, 0, 0xff, 0xff}}, []int16{1, -1}},
		{&TensorProto{DataType: Int4, RawData: []byte{0x8e}}, []int8{-2, -8}},
		{&TensorProto{DataType: String, StringData: [][]byte{[]byte("a"), []byte("")}}, []string{"a", ""}},
	} {
		c.p.Dims = []int64{2, 1}
		x := get(t, c.p)
		require.Equal(t, []int{2, 1}, x.Shape())
		var got any
		switch c.want.(type) {
		case []float32:
			got = tensor.As[float32](x)
		case []float64:
			got = tensor.As[float64](x)
		case []int64:
			got = tensor.As[int64](x)
		case []int32:
			got = tensor.As[int32](x)
		case []int16:
			got = tensor.As[int16](x)
		case []int8:
			got = tensor.As[int8](x)
		case []uint8:
			got = tensor.As[uint8](x)
		case []uint16:
			got = tensor.As[uint16](x)
		case []uint32:
			got = tensor.As[uint32](x)
		case []uint64:
			got = tensor.As[uint64](x)
		case []bool:
			got = tensor.As[bool](x)
		case []complex64:
			got = tensor.As[complex64](x)
		case []complex128:
			got = tensor.As[complex128](x)
		case []string:
			got = x.Strings()
		}
		require.Equal(t, c.want, got, c.p.DataType)
		back, err := FromTensor("n", x)
		require.NoError(t, err)
		require.Equal(t, c.p.DataType, back.DataType)
		again := get(t, back)
		require.Equal(t, x.Bytes(), again.Bytes())
		require.Equal(t, x.Strings(), again.Strings())
	}
}

func TestPackedOddCount(t *testing.T) {
	x := get(t, &TensorProto{DataType: Uint2, Dims: []int64{5}, RawData: []byte{0b11100100, 0b10}})
	require.Equal(t, []byte{0, 1, 2, 3, 2}, x.Bytes())
	p, err := FromTensor("", x)
	require.NoError(t, err)
	require.Equal(t, []byte{0b11100100, 0b10}, p.RawData)
	y := get(t, &TensorProto{DataType: Int4, Dims: []int64{3}, RawData: []byte{0x21, 0xf}})
	require.Equal(t, []int8{1, 2, -1}, tensor.As[int8](y))
}

func TestRawDataAliases(t *testing.T) {
	raw := tensor.AlignedBytes(8)
	x, err := (&Source{Keep: "k"}).Tensor(&TensorProto{DataType: Float, Dims: []int64{2}, RawData: raw})
	require.NoError(t, err)
	require.Equal(t, unsafe.Pointer(&raw[0]), unsafe.Pointer(&x.Bytes()[0]))
	require.Equal(t, "k", x.Keep())
	p, err := FromTensor("", x)
	require.NoError(t, err)
	require.Equal(t, unsafe.Pointer(&raw[0]), unsafe.Pointer(&p.RawData[0]))
	empty, err := FromTensor("e", tensor.New(tensor.Float32, 0, 3))
	require.NoError(t, err)
	require.NotNil(t, empty.RawData)
	require.Equal(t, []int{0, 3}, get(t, &TensorProto{DataType: Float, Dims: []int64{0, 3}}).Shape())
}

func TestTensorRefusals(t *testing.T) {
	for want, p := range map[string]*TensorProto{
		"no element type UNDEFINED":                         {},
		"overflows":                                         {DataType: Float, Dims: []int64{1 << 40, 1 << 40}},
		"negative dimension":                                {DataType: Float, Dims: []int64{-1}},
		"rank 33 is over 32":                                {DataType: Float, Dims: make([]int64, 33)},
		"a segment":                                         {DataType: Float, Segment: &Segment{}},
		"no data for float32[2]":                            {DataType: Float, Dims: []int64{2}},
		"7 bytes of data, but float32[2] takes 8":           {DataType: Float, Dims: []int64{2}, RawData: make([]byte, 7)},
		"2 bytes of data, but int4[5] takes 3":              {DataType: Int4, Dims: []int64{5}, RawData: make([]byte, 2)},
		"raw_data is not empty, but shape [0]":              {DataType: Float, Dims: []int64{0}, RawData: make([]byte, 4)},
		"both raw_data and float_data":                      {DataType: Float, Dims: []int64{1}, RawData: make([]byte, 4), FloatData: []float32{1}},
		"float32 elements in int32_data, want float_data":   {DataType: Float, Dims: []int64{1}, Int32Data: []int32{1}},
		"1 entries in float_data, but complex64[1] takes 2": {DataType: Complex64, Dims: []int64{1}, FloatData: []float32{1}},
		"3 entries in int32_data, but int4[2] takes 1":      {DataType: Int4, Dims: []int64{2}, Int32Data: []int32{1, 2, 3}},
		"element 1: 128 is no int8":                         {DataType: Int8, Dims: []int64{2}, Int32Data: []int32{1, 128}},
		"element 0: -1 is no uint8":                         {DataType: Uint8, Dims: []int64{1}, Int32Data: []int32{-1}},
		"element 0: 65536 is no float16":                    {DataType: Float16, Dims: []int64{1}, Int32Data: []int32{65536}},
		"4294967296 is no uint32":                           {DataType: Uint32, Dims: []int64{1}, Uint64Data: []uint64{1 << 32}},
		"strings in raw_data":                               {DataType: String, Dims: []int64{1}, RawData: []byte{1}},
		"no folder to look for it in":                       {DataType: Float, Dims: []int64{1}, DataLocation: LocationExternal},
		"both external data and float_data":                 {DataType: Float, Dims: []int64{1}, DataLocation: LocationExternal, FloatData: []float32{1}},
	} {
		p.Name = "w"
		_, err := (&Source{}).Tensor(p)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, `tensor "w"`)
	}
}

// external describes where a tensor of n float32 lies.
func external(n int64, kv ...string) *TensorProto {
	p := &TensorProto{Name: "w", DataType: Float, Dims: []int64{n}, DataLocation: LocationExternal}
	for i := 0; i+1 < len(kv); i += 2 {
		p.ExternalData = append(p.ExternalData, &StringStringEntryProto{kv[i], kv[i+1]})
	}
	return p
}

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "model", "sub"), 0o700))
	content := make([]byte, 16)
	content[11] = 0x40 // element 2 is 2.0
	for _, name := range []string{"model/w.bin", "model/sub/w.bin", "secret.bin"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	root, err := os.OpenRoot(filepath.Join(dir, "model"))
	require.NoError(t, err)
	require.NoError(t, os.Symlink("w.bin", filepath.Join(dir, "model", "inside")))
	require.NoError(t, os.Symlink("../secret.bin", filepath.Join(dir, "model", "outside")))
	require.NoError(t, os.Symlink("..", filepath.Join(dir, "model", "up")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model", "a"), content, 0o600))
	require.NoError(t, os.Link(filepath.Join(dir, "model", "a"), filepath.Join(dir, "model", "hard")))
	src := &Source{External: NewExternal(root)}
	sum := fmt.Sprintf("%x", sha1.Sum(content))
	for _, p := range []*TensorProto{
		external(4, "location", "w.bin"), external(4, "location", "sub/w.bin", "offset", "0", "length", "16", "checksum", sum, "basepath", "/etc"),
	} {
		x, err := src.Tensor(p)
		require.NoError(t, err)
		require.Equal(t, []float32{0, 0, 2, 0}, tensor.As[float32](x))
		require.NotNil(t, x.Keep())
	}
	x, err := src.Tensor(external(2, "location", "w.bin", "offset", "8"))
	require.NoError(t, err)
	require.Equal(t, []float32{2, 0}, tensor.As[float32](x))

	cases := []struct {
		p    *TensorProto
		want string
	}{
		{external(4), "no location"},
		{external(4, "location", "w.bin", "location", "w.bin"), `"location" twice`},
		{external(4, "location", "w.bin", "offset", "-1"), `offset "-1"`},
		{external(4, "location", "w.bin", "offset", "9223372036854775808"), `offset "9223372036854775808"`},
		{external(4, "location", "w.bin", "length", "0x10"), `length "0x10"`},
		{external(4, "location", "w.bin", "length", "12"), "length 12, but FLOAT[4] takes 16"},
		{external(4, "location", "w.bin", "offset", "1"), "16 bytes at offset 1, but the file has 16"},
		{external(4, "location", "w.bin", "offset", "9223372036854775807"), "but the file has 16"},
		{external(1<<40, "location", "w.bin"), "but the file has 16"},
		{external(4, "location", "none.bin"), "none.bin"},
		{external(4, "location", "a", "checksum", "00"), "hard links"},
		{external(4, "location", "hard"), "2 hard links"},
		{external(4, "location", "../secret.bin"), "without .."},
		{external(4, "location", "sub/../../secret.bin"), "without .."},
		{external(4, "location", `..\secret.bin`), "without .."},
		{external(4, "location", filepath.Join(dir, "secret.bin")), "relative"},
		{external(4, "location", "inside"), "it is a symbolic link"},
		{external(4, "location", "outside"), "it is a symbolic link"},
		{external(4, "location", "up/secret.bin"), "escapes"},
		{external(4, "location", "sub"), "it is a folder"},
	}
	if runtime.GOOS == "windows" {
		cases = cases[:10]
	}
	for _, c := range cases {
		_, err := src.Tensor(c.p)
		require.ErrorContains(t, err, c.want, c.p.ExternalData)
	}
	loose := NewExternal(root)
	loose.AllowHardLinks = true
	_, err = (&Source{External: loose}).Tensor(external(4, "location", "hard"))
	require.NoError(t, err)
	_, err = (&Source{External: loose}).Tensor(external(4, "location", "w.bin", "checksum", "00"))
	require.ErrorContains(t, err, "checksum")
	mem := &Source{External: NewExternalFS(fstest.MapFS{"d/w": {Data: content}})}
	x, err = mem.Tensor(external(2, "location", "d/w", "offset", "8"))
	require.NoError(t, err)
	require.Equal(t, []float32{2, 0}, tensor.As[float32](x))
	_, err = mem.Tensor(external(2, "location", "d"))
	require.ErrorContains(t, err, "it is a folder")
}

func i64(shape []int64, v ...int64) *TensorProto {
	return &TensorProto{DataType: Int64, Dims: shape, Int64Data: v}
}

func TestDense(t *testing.T) {
	vals := &TensorProto{Name: "s", DataType: Float, Dims: []int64{2}, FloatData: []float32{5, 6}}
	for _, idx := range []*TensorProto{i64([]int64{2}, 1, 5), i64([]int64{2, 2}, 0, 1, 1, 2)} {
		x, err := (&Source{}).Dense(&SparseTensorProto{Values: vals, Indices: idx, Dims: []int64{2, 3}})
		require.NoError(t, err)
		require.Equal(t, []float32{0, 5, 0, 0, 0, 6}, tensor.As[float32](x))
	}
	for want, p := range map[string]*SparseTensorProto{
		"no values":               {Values: vals},
		"5 after 5":               {Values: vals, Indices: i64([]int64{2}, 5, 5), Dims: []int64{2, 3}},
		"6 after 1":               {Values: vals, Indices: i64([]int64{2}, 1, 6), Dims: []int64{2, 3}},
		"-1 after -1":             {Values: vals, Indices: i64([]int64{2}, -1, 1), Dims: []int64{2, 3}},
		"index 3 of axis 1":       {Values: vals, Indices: i64([]int64{2, 2}, 0, 3, 1, 2), Dims: []int64{2, 3}},
		"int64[3] for values [2]": {Values: vals, Indices: i64([]int64{3}, 0, 1, 2), Dims: []int64{2, 3}},
		"exceeds the limit":       {Values: vals, Indices: i64([]int64{2}, 0, 1), Dims: []int64{1 << 40}},
		"overflows":               {Values: vals, Indices: i64([]int64{2}, 0, 1), Dims: []int64{1 << 40, 1 << 40}},
	} {
		_, err := (&Source{}).Dense(p)
		require.ErrorContains(t, err, want)
	}
}

func strs(s ...string) *tensor.Tensor {
	t, err := tensor.FromStrings(s, len(s))
	if err != nil {
		panic(err)
	}
	return t
}

func TestValuesRoundTrip(t *testing.T) {
	a, b := tensor.Of([]float32{1, 2}), tensor.Of([]float32{3})
	seq := &tensor.Sequence{DType: tensor.Float32, Elems: []tensor.Value{a, b}}
	m := &tensor.Map{Keys: strs("x", "y"), Values: tensor.Of([]float32{1, 2})}
	mi := &tensor.Map{Keys: tensor.Of([]int64{7, -8}), Values: strs("p", "q")}
	src := &Source{}
	for _, v := range []tensor.Value{
		seq, &tensor.Sequence{}, &tensor.Sequence{Elems: []tensor.Value{seq, seq}}, &tensor.Sequence{Elems: []tensor.Value{m, mi}},
		&tensor.Sequence{Elems: []tensor.Value{&tensor.Optional{}, &tensor.Optional{Elem: seq}}},
		&tensor.Optional{}, &tensor.Optional{Elem: a}, &tensor.Optional{Elem: seq}, &tensor.Optional{Elem: m}, &tensor.Optional{Elem: &tensor.Optional{Elem: b}}, m, mi,
		&tensor.Map{Keys: tensor.New(tensor.Int64, 0), Values: tensor.New(tensor.Float32, 0)},
	} {
		msg, err := FromValue("v", v)
		require.NoError(t, err)
		bytes := Marshal(msg)
		var back tensor.Value
		switch v.(type) {
		case *tensor.Sequence:
			var p SequenceProto
			require.NoError(t, Unmarshal(bytes, &p, Limits{}))
			back, err = src.Sequence(&p)
		case *tensor.Optional:
			var p OptionalProto
			require.NoError(t, Unmarshal(bytes, &p, Limits{}))
			back, err = src.Optional(&p)
		case *tensor.Map:
			var p MapProto
			require.NoError(t, Unmarshal(bytes, &p, Limits{}))
			back, err = src.Map(&p)
		}
		require.NoError(t, err)
		again, err := FromValue("v", back)
		require.NoError(t, err)
		require.Equal(t, bytes, Marshal(again))
	}
}

func TestValueRefusals(t *testing.T) {
	src := &Source{}
	f := &TensorProto{DataType: Float, Dims: []int64{1}, FloatData: []float32{1}}
	d := &TensorProto{DataType: Double, Dims: []int64{1}, DoubleData: []float64{1}}
	two := &TensorProto{DataType: Float, Dims: []int64{2}, FloatData: []float32{1, 2}}
	seq := func(t ...*TensorProto) *SequenceProto { return &SequenceProto{ElemType: ElemTensor, TensorValues: t} }
	_, err := src.Sequence(seq(f, d))
	require.ErrorContains(t, err, "element 1: float64 in a sequence of float32")
	_, err = src.Sequence(&SequenceProto{ElemType: ElemMap, TensorValues: []*TensorProto{f}})
	require.ErrorContains(t, err, "holds 1 elements of other kinds")
	for want, p := range map[string]*MapProto{
		"keys of type float32":        {KeyType: Float},
		"no element type":             {},
		"2 keys, 1 values":            {KeyType: Int64, Keys: []int64{1, 2}, Values: seq(f)},
		"and 1 of another type":       {KeyType: Int64, Keys: []int64{1}, StringKeys: [][]byte{nil}, Values: seq(f)},
		"value 0 is no single":        {KeyType: Int64, Keys: []int64{1}, Values: seq(two)},
		`tensor "": no data for floa`: {KeyType: Int64, Keys: []int64{1}, Values: seq(&TensorProto{DataType: Float})},
	} {
		_, err := src.Map(p)
		require.ErrorContains(t, err, want)
	}
	_, err = FromValue("v", &tensor.Sequence{Elems: []tensor.Value{tensor.New(tensor.Int8), &tensor.Optional{}}})
	require.ErrorContains(t, err, "element 1 is a OPTIONAL, those before it are TENSOR")
}

// TestBackendValues reads the inputs and outputs of every backend case by the model's types.
func TestBackendValues(t *testing.T) {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "onnx-backend"), "cases.tar.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	models, files := map[string]*ModelProto{}, map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		switch filepath.Ext(h.Name) {
		case ".onnx":
			m := &ModelProto{}
			require.NoError(t, Unmarshal(b, m, Limits{}))
			models[filepath.Dir(h.Name)] = m
		case ".pb":
			files[h.Name] = b
		}
	}
	count := map[string]int{}
	src := &Source{}
	for name, b := range files {
		g := models[filepath.Dir(filepath.Dir(name))].Graph
		list := g.Output
		if strings.Contains(filepath.Base(name), "input") {
			list = g.Input
		}
		i := 0
		_, err := fmt.Sscanf(filepath.Base(name)[strings.LastIndexByte(filepath.Base(name), '_'):], "_%d.pb", &i)
		require.NoError(t, err)
		require.Less(t, i, len(list), name)
		var v tensor.Value
		switch typ := list[i].Type; {
		case typ.OptionalType != nil:
			var p OptionalProto
			require.NoError(t, Unmarshal(b, &p, Limits{}), name)
			v, err = src.Optional(&p)
			count["optional"]++
		case typ.SequenceType != nil:
			var p SequenceProto
			require.NoError(t, Unmarshal(b, &p, Limits{}), name)
			v, err = src.Sequence(&p)
			count["sequence"]++
		default:
			var p TensorProto
			require.NoError(t, Unmarshal(b, &p, Limits{}), name)
			v, err = src.Tensor(&p)
			if err == nil {
				want, _ := typ.TensorType.ElemType.DType()
				require.Equal(t, want, v.(*tensor.Tensor).DType(), name)
			}
			count["tensor"]++
		}
		require.NoError(t, err, name)
		msg, err := FromValue("", v)
		require.NoError(t, err, name)
		require.NotNil(t, msg)
	}
	t.Log(count)
	require.Greater(t, count["tensor"], 5000)
	require.Positive(t, count["sequence"])
	require.Positive(t, count["optional"])
}

func TestModelTensors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testdata.Dir(t, "models"), "*", "*.onnx"))
	require.NoError(t, err)
	light, err := filepath.Glob(filepath.Join(testdata.Dir(t, "onnx-light"), "*.onnx"))
	require.NoError(t, err)
	count := 0
	for _, path := range append(paths, light...) {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		var m ModelProto
		require.NoError(t, Unmarshal(b, &m, Limits{}), path)
		var graph func(g *GraphProto)
		graph = func(g *GraphProto) {
			list := g.Initializer
			for _, n := range g.Node {
				for _, a := range n.Attribute {
					if list = append(list, a.Tensors...); a.T != nil {
						list = append(list, a.T)
					}
					if a.G != nil {
						graph(a.G)
					}
				}
			}
			for _, p := range list {
				_, err := (&Source{}).Tensor(p)
				require.NoError(t, err, path)
				count++
			}
		}
		graph(m.Graph)
	}
	t.Log(count, "tensors")
	require.Greater(t, count, 500)
}
