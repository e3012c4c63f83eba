package onnx_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/tensor"
)

// schema is one version of an operator as ONNX's documents describe it.
type schema struct {
	domain, name string
	since        int
	attrs        map[string]string // name to type
	defaults     map[string]string
	in, out      []param
	types        map[string][]string // type variable to types
}

type param struct {
	name, typ string
	flag      byte // - ? * ~ as in testdata/schemas.go
}

// key is how messages and lists name the version.
func (s *schema) key() string {
	return strings.TrimPrefix(s.domain+".", "ai.onnx.") + s.name + "-" + strconv.Itoa(s.since)
}

// at is the description of operand i: the last one repeats where it is variadic.
func at(list []param, i int) (param, bool) {
	if i < len(list) {
		return list[i], true
	}
	if n := len(list); n > 0 && (list[n-1].flag == '*' || list[n-1].flag == '~') {
		return list[n-1], true
	}
	return param{}, false
}

// schemas reads testdata/schemas.txt.
func schemas(t *testing.T) []*schema {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "schemas.txt"))
	require.NoError(t, err)
	defer f.Close()
	var all []*schema
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if w[0] == "op" {
			v, err := strconv.Atoi(w[3])
			require.NoError(t, err)
			d := w[1]
			if d == "ai.onnx" {
				d = ""
			}
			all = append(all, &schema{domain: d, name: w[2], since: v, attrs: map[string]string{}, defaults: map[string]string{}, types: map[string][]string{}})
			continue
		}
		c := all[len(all)-1]
		switch w[0] {
		case "a":
			if c.attrs[w[1]] = w[2]; len(w) == 4 {
				c.defaults[w[1]] = w[3]
			}
		case "i":
			c.in = append(c.in, param{w[1], w[3], w[2][0]})
		case "o":
			c.out = append(c.out, param{w[1], w[3], w[2][0]})
		case "t":
			c.types[w[1]] = w[2:]
		}
	}
	require.Greater(t, len(all), 600)
	return all
}

// dataTypes is the element types as schemas spell them.
var dataTypes = map[string]pb.DataType{"float": pb.Float, "uint8": pb.Uint8, "int8": pb.Int8, "uint16": pb.Uint16, "int16": pb.Int16,
	"int32": pb.Int32, "int64": pb.Int64, "string": pb.String, "bool": pb.Bool, "float16": pb.Float16, "double": pb.Double,
	"uint32": pb.Uint32, "uint64": pb.Uint64, "complex64": pb.Complex64, "complex128": pb.Complex128, "bfloat16": pb.BFloat16,
	"float8e4m3fn": pb.Float8E4M3FN, "float8e4m3fnuz": pb.Float8E4M3FNUZ, "float8e5m2": pb.Float8E5M2,
	"float8e5m2fnuz": pb.Float8E5M2FNUZ, "uint4": pb.Uint4, "int4": pb.Int4, "float4e2m1": pb.Float4E2M1,
	"float8e8m0": pb.Float8E8M0, "uint2": pb.Uint2, "int2": pb.Int2}

var innermost = regexp.MustCompile(`tensor\((\w+)\)`)

// split takes the element type out of a type: "seq(tensor(%))" and its element type.
func split(typ string) (string, pb.DataType, bool) {
	m := innermost.FindStringSubmatchIndex(typ)
	if m == nil {
		return typ, 0, false
	}
	dt, ok := dataTypes[typ[m[2]:m[3]]]
	return typ[:m[2]] + "%" + typ[m[3]:], dt, ok
}

// spell is a declared type as schemas have it.
func spell(p *pb.TypeProto) string {
	switch {
	case p == nil:
	case p.TensorType != nil:
		for name, dt := range dataTypes {
			if dt == p.TensorType.ElemType {
				return "tensor(" + name + ")"
			}
		}
	case p.SequenceType != nil:
		return "seq(" + spell(p.SequenceType.ElemType) + ")"
	case p.OptionalType != nil:
		return "optional(" + spell(p.OptionalType.ElemType) + ")"
	}
	return ""
}

// example is a model of one node with inputs.
type example struct {
	name  string
	model *pb.ModelProto
	in    [][]byte
}

func (e *example) node() *pb.NodeProto { return e.model.Graph.Node[0] }

// opset is the version that the example asks for.
func (e *example) opset() int {
	for _, o := range e.model.OpsetImport {
		if strings.TrimPrefix(o.Domain, "ai.onnx") == strings.TrimPrefix(e.node().Domain, "ai.onnx") {
			return int(o.Version)
		}
	}
	return 1
}

// examples is the cases of one node in ONNX's suite, by domain and operator.
func examples(t *testing.T) map[[2]string][]*example {
	t.Helper()
	f, err := os.Open(filepath.Join(testdata.Dir(t, "onnx-backend"), "cases.tar.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	files := map[string]map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		w := strings.Split(h.Name, "/")
		if len(w) < 4 || w[1] != "node" || strings.Contains(w[2], "_expanded") || h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		if files[w[2]] == nil {
			files[w[2]] = map[string][]byte{}
		}
		if len(w) == 4 || w[3] == "test_data_set_0" {
			files[w[2]][path.Base(h.Name)] = b
		}
	}
	out := map[[2]string][]*example{}
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		e := &example{name: n, model: &pb.ModelProto{}}
		require.NoError(t, pb.Unmarshal(files[n]["model.onnx"], e.model, pb.Limits{}))
		if len(e.model.Graph.Node) != 1 || len(e.model.Functions) > 0 {
			continue
		}
		for i := 0; files[n]["input_"+strconv.Itoa(i)+".pb"] != nil; i++ {
			e.in = append(e.in, files[n]["input_"+strconv.Itoa(i)+".pb"])
		}
		k := [2]string{e.node().Domain, e.node().OpType}
		out[k] = append(out[k], e)
	}
	return out
}

// fits reports whether an example says nothing that a version of its operator lacks.
func (s *schema) fits(e *example) bool {
	n := e.node()
	for _, a := range n.Attribute {
		if _, ok := s.attrs[a.Name]; !ok {
			return false
		}
	}
	for i := range n.Input {
		if _, ok := at(s.in, i); !ok {
			return false
		}
	}
	for i, p := range s.in {
		if p.flag == '-' && (i >= len(n.Input) || n.Input[i] == "") {
			return false
		}
	}
	for i := range n.Output {
		if _, ok := at(s.out, i); !ok {
			return false
		}
	}
	return true
}

// written reads testdata/examples.txt into the examples.
func written(t *testing.T, into map[[2]string][]*example) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "examples.txt"))
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if line[0] != '#' {
			writtenText(t, line, into)
		}
	}
}

// writtenText reads one line.
func writtenText(t *testing.T, line string, into map[[2]string][]*example) {
	t.Helper()
	w := strings.Split(line, "|")
	require.Len(t, w, 4, line)
	name, version, _ := strings.Cut(strings.TrimSpace(w[0]), "-")
	d := ""
	if rest, ok := strings.CutPrefix(name, "ml."); ok {
		d, name = "ai.onnx.ml", rest
	}
	v, err := strconv.Atoi(version)
	require.NoError(t, err)
	n := &pb.NodeProto{OpType: name, Domain: d}
	e := &example{name: "written " + w[0], model: &pb.ModelProto{IRVersion: 10, Graph: &pb.GraphProto{Name: "g", Node: []*pb.NodeProto{n}},
		OpsetImport: []*pb.OperatorSetIdProto{{Domain: d, Version: int64(v)}}}}
	for _, a := range strings.Fields(w[1]) {
		n.Attribute = append(n.Attribute, writtenAttr(t, a))
	}
	for i, text := range strings.Fields(w[2]) {
		if text == "-" {
			n.Input = append(n.Input, "")
			continue
		}
		in := "x" + strconv.Itoa(i)
		n.Input = append(n.Input, in)
		typ, val := writtenValue(t, text)
		e.model.Graph.Input = append(e.model.Graph.Input, &pb.ValueInfoProto{Name: in, Type: typ})
		raw, err := onnx.MarshalValue(in, val)
		require.NoError(t, err)
		e.in = append(e.in, raw)
	}
	outs, err := strconv.Atoi(strings.TrimSpace(w[3]))
	require.NoError(t, err)
	for i := range outs {
		out := "y" + strconv.Itoa(i)
		n.Output = append(n.Output, out)
		e.model.Graph.Output = append(e.model.Graph.Output, &pb.ValueInfoProto{Name: out})
	}
	k := [2]string{d, name}
	into[k] = append(into[k], e)
}

// writtenAttr reads name=7, name=0.5, name='text' or name=[a list of one of these].
func writtenAttr(t *testing.T, text string) *pb.AttributeProto {
	name, v, ok := strings.Cut(text, "=")
	require.True(t, ok, text)
	a := &pb.AttributeProto{Name: name}
	list, isList := strings.CutPrefix(v, "[")
	parts := []string{v}
	if isList {
		parts = strings.Split(strings.TrimSuffix(list, "]"), ",")
	}
	for _, s := range parts {
		i, err := strconv.ParseInt(s, 10, 64)
		f, ferr := strconv.ParseFloat(s, 32)
		switch {
		case s[0] == '\'':
			a.S, a.Type = []byte(strings.Trim(s, "'")), pb.AttrString
			a.Strings = append(a.Strings, a.S)
		case err == nil:
			a.I, a.Type = i, pb.AttrInt
			a.Ints = append(a.Ints, i)
		default:
			require.NoError(t, ferr, text)
			a.F, a.Type = float32(f), pb.AttrFloat
			a.Floats = append(a.Floats, a.F)
		}
	}
	if isList {
		a.Type += pb.AttrFloats - pb.AttrFloat
		a.I, a.F, a.S = 0, 0, nil
	} else {
		a.Ints, a.Floats, a.Strings = nil, nil, nil
	}
	return a
}

// writtenValue reads type[dims], type[dims]:elements or seq:value;value.
func writtenValue(t *testing.T, text string) (*pb.TypeProto, tensor.Value) {
	if rest, ok := strings.CutPrefix(text, "seq:"); ok {
		s := &tensor.Sequence{}
		var elem *pb.TypeProto
		for _, part := range strings.Split(rest, ";") {
			typ, v := writtenValue(t, part)
			elem = &pb.TypeProto{TensorType: &pb.TensorType{ElemType: typ.TensorType.ElemType}}
			s.Elems = append(s.Elems, v)
			s.DType = v.(*tensor.Tensor).DType()
		}
		return &pb.TypeProto{SequenceType: &pb.SequenceType{ElemType: elem}}, s
	}
	head, elems, given := strings.Cut(text, ":")
	name, dims, _ := strings.Cut(strings.TrimSuffix(head, "]"), "[")
	var shape []int
	for _, d := range strings.FieldsFunc(dims, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(d)
		require.NoError(t, err, text)
		shape = append(shape, n)
	}
	dt, err := dataTypes[name].DType()
	require.NoError(t, err, text)
	x := tensor.New(dt, shape...)
	words := strings.FieldsFunc(elems, func(r rune) bool { return r == ',' })
	if dt == tensor.String {
		copy(x.Strings(), words)
	} else {
		vs := make([]float64, x.Len())
		for i := range vs {
			if vs[i] = float64(i*7%11)/4 - 1; given {
				vs[i], err = strconv.ParseFloat(words[i], 64)
				require.NoError(t, err, text)
			}
		}
		require.NoError(t, x.SetFloat64s(vs))
	}
	s := &pb.TensorShapeProto{}
	for _, d := range shape {
		s.Dim = append(s.Dim, &pb.Dimension{DimValue: pb.DimValue{Kind: pb.DimIsValue, Value: int64(d)}})
	}
	return &pb.TypeProto{TensorType: &pb.TensorType{ElemType: dataTypes[name], Shape: s}}, x
}
