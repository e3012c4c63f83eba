package pb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// allMessages is one of every top-level message: what is reachable from them is every type here.
func allMessages() []Message {
	return []Message{&ModelProto{}, &SequenceProto{}, &MapProto{}, &OptionalProto{}, &TensorProto{}, &TypeProto{}}
}

// fill sets every exported field of v at random, down to the given depth.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth == 0 || r.IntN(4) == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), depth-1)
	case reflect.Slice:
		n := r.IntN(4)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n = []int{0, 3, 100, 5000}[n]
		}
		if n == 0 || v.Type().Elem().Kind() == reflect.Pointer && depth == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			e := v.Index(i)
			if e.Kind() == reflect.Pointer {
				e.Set(reflect.New(e.Type().Elem()))
				e = e.Elem()
			}
			fill(r, e, depth-1)
			if e.Kind() == reflect.Slice && e.IsNil() {
				e.Set(reflect.MakeSlice(e.Type(), 0, 0)) // an element is never absent
			}
		}
	case reflect.Struct:
		if d, ok := v.Addr().Interface().(*DimValue); ok {
			*d = []DimValue{{}, {Kind: DimIsValue, Value: r.Int64N(5) - 1}, {Kind: DimIsParam, Param: "N"}, {Kind: DimIsParam}}[r.IntN(4)]
			return
		}
		for i := range v.NumField() {
			fill(r, v.Field(i), depth)
		}
		if a, ok := v.Addr().Interface().(*AttributeProto); ok {
			a.RefAttrName = ""
			if a.Type == AttrUndefined || a.Type == AttrString && a.S == nil {
				*a = AttributeProto{Name: a.Name, Type: AttrInt}
			}
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(40)))
	case reflect.Int32:
		if names := enumOf(v.Type()); names > 0 {
			v.SetInt(int64(r.IntN(names)))
			return
		}
		v.SetInt(int64(int32(r.Uint32())))
	case reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(r.IntN(100)) - 50)
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(256)))
	}
}

func enumOf(t reflect.Type) int {
	switch t {
	case reflect.TypeFor[DataType]():
		return len(dataTypeNames)
	case reflect.TypeFor[AttributeType]():
		return len(attributeTypeNames)
	case reflect.TypeFor[DataLocation]():
		return len(dataLocationNames)
	case reflect.TypeFor[ElemKind]():
		return len(elemKindNames)
	}
	return 0
}

func TestEveryFieldRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 12 {
		for _, m := range allMessages() {
			fill(r, reflect.ValueOf(m).Elem(), 6)
			b := Marshal(m)
			require.EqualValues(t, len(b), Encode(m).Size())
			back := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
			require.NoError(t, Unmarshal(b, back, Limits{}))
			if !reflect.DeepEqual(m, back) {
				require.Equal(t, m, back)
			}
			requireAscending(t, b)
		}
	}
}

// requireAscending holds the encoder to protobuf's canonical order of fields.
func requireAscending(t *testing.T, b []byte) {
	last := protowire.Number(0)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		require.GreaterOrEqual(t, num, last)
		last = num
		b = b[n+protowire.ConsumeFieldValue(num, typ, b[n:]):]
	}
}

func roundTrip(t *testing.T, name string, b []byte, fresh func() Message) (same bool) {
	m, again := fresh(), fresh()
	require.NoError(t, Unmarshal(b, m, Limits{}), name)
	out := Marshal(m)
	require.NoError(t, Unmarshal(out, again, Limits{}), name)
	if !bytes.Equal(out, Marshal(again)) { // not DeepEqual: constants hold NaN
		require.Equal(t, m, again, name)
	}
	return bytes.Equal(out, b)
}

func TestRealModelsRoundTrip(t *testing.T) {
	models, same := 0, 0
	for _, dir := range []string{"models", "onnx-light"} {
		err := filepath.WalkDir(testdata.Dir(t, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".onnx" {
				return err
			}
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			models++
			if roundTrip(t, path, b, func() Message { return new(ModelProto) }) {
				same++
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, models, 30)
	t.Logf("%d models, %d byte-identical", models, same)
}

func TestBackendCasesRoundTrip(t *testing.T) {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "onnx-backend"), "cases.tar.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	models, tensors, same := 0, 0, 0
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
			models++
			if roundTrip(t, h.Name, b, func() Message { return new(ModelProto) }) {
				same++
			}
		case ".pb":
			var tp TensorProto
			if Unmarshal(b, &tp, Limits{}) != nil {
				continue // a sequence or an optional: the file does not say
			}
			tensors++
			roundTrip(t, h.Name, b, func() Message { return new(TensorProto) })
		}
	}
	require.Equal(t, 1574, models)
	require.Greater(t, tensors, 3000)
	t.Logf("%d models, %d byte-identical; %d tensors", models, same, tensors)
}

// raw builds messages by hand, so that the decoder is not only tested against its own encoder.
func raw(parts ...any) (b []byte) {
	for i := 0; i+1 < len(parts); i += 2 {
		num := protowire.Number(parts[i].(int))
		switch v := parts[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
		case float32:
			b = protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), uint32(v))
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
		}
	}
	return b
}

func TestPackedAndUnpacked(t *testing.T) {
	var packed []byte
	for _, v := range []int64{1, -2, 300} {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	var m TensorProto
	require.NoError(t, Unmarshal(raw(1, packed, 1, 7, 5, packed, 7, -1, 7, packed, 4, []byte{0, 0, 128, 63}, 99, "unknown"), &m, Limits{}))
	require.Equal(t, []int64{1, -2, 300, 7}, m.Dims)
	require.Equal(t, []int32{1, -2, 300}, m.Int32Data)
	require.Equal(t, []int64{-1, 1, -2, 300}, m.Int64Data)
	require.Equal(t, []float32{1}, m.FloatData)
}

func TestBytesAlias(t *testing.T) {
	b := raw(9, "abcd", 6, "x")
	var m TensorProto
	require.NoError(t, Unmarshal(b, &m, Limits{}))
	b[2] = 'Z'
	require.Equal(t, "Zbcd", string(m.RawData))
	require.Equal(t, 4, cap(m.RawData))
	var empty TensorProto
	require.NoError(t, Unmarshal(raw(9, ""), &empty, Limits{}))
	require.NotNil(t, empty.RawData)
}

func TestEncodeAliasesLargeTensors(t *testing.T) {
	big := make([]byte, 1<<20)
	m := &ModelProto{Graph: &GraphProto{Initializer: []*TensorProto{{RawData: big, DataType: Uint8, Dims: []int64{1 << 20}}}}}
	e := Encode(m)
	big[5] = 42
	var out bytes.Buffer
	n, err := e.WriteTo(&out)
	require.NoError(t, err)
	require.EqualValues(t, out.Len(), n)
	require.EqualValues(t, e.Size(), n)
	require.Equal(t, Marshal(m), out.Bytes())
	require.Less(t, testing.AllocsPerRun(5, func() { Encode(m) }), 20.0)
	_, err = (&Encoded{size: MaxSize + 1}).WriteTo(io.Discard)
	require.ErrorContains(t, err, "exceeds protobuf's limit")
}

func TestImpliedAttributeType(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want AttributeType
	}{
		{raw(1, "a", 3, 0), AttrInt}, {raw(2, float32(0)), AttrFloat}, {raw(4, ""), AttrString}, {raw(5, ""), AttrTensor},
		{raw(8, 3), AttrInts}, {raw(9, "s"), AttrStrings}, {raw(3, 5, 20, 7), AttrInts}, {raw(20, 7, 3, 5), AttrInts}, {raw(1, "a"), AttrUndefined},
	} {
		var a AttributeProto
		require.NoError(t, Unmarshal(c.b, &a, Limits{}))
		require.Equal(t, c.want, a.Type)
	}
}

func nested(levels int, leaf []byte, nums ...int) []byte {
	for range levels {
		for i := len(nums) - 1; i >= 0; i-- {
			leaf = raw(nums[i], leaf)
		}
	}
	return leaf
}

func TestRefusals(t *testing.T) {
	nodes := bytes.Repeat(raw(1, ""), 11)
	for _, c := range []struct {
		name string
		b    []byte
		lim  Limits
		want string
	}{
		{"truncated length", []byte{0x3a, 0x05, 0x01}, Limits{}, "offset 0: field 7: length 5 exceeds the 1 bytes left"},
		{"length near 2^64", append([]byte{0x3a}, protowire.AppendVarint(nil, 1<<64-1)...), Limits{}, "exceeds"},
		{"bad tag", []byte{0x00}, Limits{}, "bad field tag"},
		{"varint cut", []byte{0x08, 0x80}, Limits{}, "field 1"},
		{"end of group", []byte{0x0c}, Limits{}, "field 1"},
		{"inside", raw(7, raw(1, "", 1, raw(5, []byte{0x0a, 0x09}))), Limits{}, "offset 8: graph.node[1].attribute[0]: field 1: length 9 exceeds the 0 bytes left"},
		{"wrong wire type", raw(7, raw(1, 5)), Limits{}, "graph.node: wire type 0, want 2"},
		{"packed varint cut", raw(7, raw(5, raw(1, []byte{1, 0x80}))), Limits{}, "graph.initializer[0].dims[1]"},
		{"packed floats odd", raw(7, raw(5, raw(4, "abc"))), Limits{}, "packed floats of 3 bytes"},
		{"unknown data type", raw(7, raw(5, raw(2, 27))), Limits{}, "graph.initializer[0].data_type: unknown enum value 27"},
		{"unknown attribute type", raw(7, raw(1, raw(5, raw(20, 15)))), Limits{}, "type: unknown enum value 15"},
		{"string too long", raw(2, "123456789"), Limits{MaxString: 8}, "producer_name: string of 9 bytes, limit 8"},
		{"string over default", raw(6, make([]byte, 16<<20+1)), Limits{}, "doc_string: string of 16777217 bytes"},
		{"nodes", raw(7, nodes), Limits{MaxNodes: 10}, "graph.node[10]: more than 10 nodes"},
		{"graphs deep", raw(7, nested(33, nil, 1, 5, 6)), Limits{}, "graphs nested deeper than 32"},
		{"types deep", raw(7, raw(11, raw(2, nested(60, nil, 4, 1)))), Limits{}, "messages nested deeper than 100"},
		{"budget", raw(7, nodes), Limits{MaxAlloc: 1000}, "limit of 1000 bytes"},
		{"budget, integers", raw(7, raw(5, raw(7, make([]byte, 1000)))), Limits{MaxAlloc: 4000}, "limit of 4000 bytes"},
		{"default budget", raw(7, bytes.Repeat(raw(1, ""), 900_000)), Limits{}, "decoding needs more"},
	} {
		err := Unmarshal(c.b, new(ModelProto), c.lim)
		require.ErrorContains(t, err, c.want, c.name)
		var e *Error
		require.True(t, errors.As(err, &e), c.name)
	}
	require.NoError(t, Unmarshal(raw(7, nested(31, nil, 1, 5, 6)), new(ModelProto), Limits{}))
}

func TestEveryTruncationIsRefusedOrDecodes(t *testing.T) {
	m := &ModelProto{}
	fill(rand.New(rand.NewPCG(9, 9)), reflect.ValueOf(m).Elem(), 4)
	b := Marshal(m)
	refused := 0
	for i := 0; i < len(b); i += 1 + len(b)/2000 {
		if Unmarshal(b[:i], new(ModelProto), Limits{}) != nil {
			refused++
		}
	}
	require.Greater(t, refused, 100)
}

func TestLookups(t *testing.T) {
	n := &NodeProto{Attribute: []*AttributeProto{{Name: "axis", I: 3}}}
	require.EqualValues(t, 3, n.Attr("axis").I)
	require.Nil(t, n.Attr("axes"))
	tp := &TensorProto{ExternalData: []*StringStringEntryProto{{Key: "location", Value: "w.bin"}}}
	v, ok := tp.External("location")
	require.True(t, ok)
	require.Equal(t, "w.bin", v)
	_, ok = tp.External("offset")
	require.False(t, ok)
	require.Equal(t, "FLOAT4E2M1 DataType(99) TYPE_PROTO", strings.Join([]string{Float4E2M1.String(), DataType(99).String(), AttrTypeProto.String()}, " "))
}

// convert makes the values that m describes, if it does: it must not panic.
func convert(m Message) {
	src := &Source{MaxDense: 1 << 16}
	switch m := m.(type) {
	case *TensorProto:
		_, _ = src.Tensor(m)
	case *SequenceProto:
		_, _ = src.Sequence(m)
	case *OptionalProto:
		_, _ = src.Optional(m)
	case *MapProto:
		_, _ = src.Map(m)
	case *ModelProto:
		m.walkTensors(func(t *TensorProto) { _, _ = src.Tensor(t) })
		if m.Graph != nil {
			for _, s := range m.Graph.SparseInitializer {
				_, _ = src.Dense(s)
			}
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, m := range allMessages() {
		fill(r, reflect.ValueOf(m).Elem(), 1)
		f.Add(Marshal(m))
	}
	f.Add(raw(7, nested(40, nil, 1, 5, 6)))
	f.Add(raw(7, raw(5, raw(7, []byte{1, 2, 0x80}))))
	f.Add(raw(1, 2, 2, 22, 9, "\x21"))
	f.Add(raw(1, 3, 2, 1, 13, raw(1, "location", 2, "../x"), 14, 1))
	f.Add(raw(7, raw(15, raw(1, raw(1, 1, 2, 1, 9, "\x00\x00\x80\x3f"), 2, raw(1, 1, 2, 7, 7, []byte{1}), 3, 4))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range allMessages() {
			if Unmarshal(b, m, Limits{}) != nil {
				continue
			}
			convert(m)
			out := Marshal(m)
			again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
			if err := Unmarshal(out, again, Limits{MaxAlloc: 1 << 30}); err != nil {
				t.Fatalf("%T: own encoding refused: %v", m, err)
			}
			if second := Marshal(again); !bytes.Equal(out, second) {
				t.Fatalf("%T: encoding is not stable", m)
			}
		}
	})
}
