package graph

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/tensor"
)

// PrintOptions steers Print.
type PrintOptions struct {
	// Data prints the elements of every constant and parameter, so that Parse gives the same graph.
	// Otherwise those of over 16 elements are left out and the text is for reading only.
	Data bool
}

// Print writes g's text form, one definition a line:
//
//	graph "name" {
//	  input x: float32[N,4]
//	  param w: float32[4,2] = "base64 of the elements"
//	  y = MatMul(x, w) @ "dense"
//	  z = Softmax{Axis: -1}(y)
//	  output z
//	}
func (g *Graph) Print(w io.Writer, opts PrintOptions) error {
	bw := bufio.NewWriter(w)
	p := printer{w: bw, opts: opts}
	p.graph(g, "")
	bw.WriteByte('\n')
	return bw.Flush()
}

// String is the text form without large data.
func (g *Graph) String() string {
	var b strings.Builder
	_ = g.Print(&b, PrintOptions{})
	return b.String()
}

type printer struct {
	w    *bufio.Writer
	opts PrintOptions
}

func (p *printer) graph(g *Graph, indent string) {
	in := indent + "  "
	fmt.Fprintf(p.w, "graph %s {\n", strconv.Quote(g.Name))
	if g.Doc != "" {
		fmt.Fprintf(p.w, "%sdoc %s\n", in, strconv.Quote(g.Doc))
	}
	for _, k := range slices.Sorted(maps.Keys(g.Meta)) {
		fmt.Fprintf(p.w, "%smeta %s = %s\n", in, strconv.Quote(k), strconv.Quote(g.Meta[k]))
	}
	for _, v := range g.Inputs {
		fmt.Fprintf(p.w, "%sinput %s: %s\n", in, name(v), v.Type.WithoutValue())
	}
	for _, v := range g.Params {
		fmt.Fprintf(p.w, "%sparam %s: %s = %s\n", in, name(v), v.Type.WithoutValue(), p.data(v.Data))
	}
	seen := map[*Value]bool{}
	konst := func(v *Value) {
		if v.IsConst() && !seen[v] {
			seen[v] = true
			fmt.Fprintf(p.w, "%sconst %s: %s = %s\n", in, name(v), v.Type.WithoutValue(), p.data(v.Type.Const))
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			konst(v)
		}
		p.node(n, in)
	}
	for _, v := range g.Outputs {
		konst(v)
		fmt.Fprintf(p.w, "%soutput %s\n", in, name(v))
	}
	for _, u := range g.Updates {
		konst(u.Value)
		fmt.Fprintf(p.w, "%supdate %s = %s\n", in, name(u.Param), name(u.Value))
	}
	p.w.WriteString(indent + "}")
}

func (p *printer) node(n *Node, indent string) {
	p.w.WriteString(indent)
	for i, v := range n.Out {
		if i > 0 {
			p.w.WriteString(", ")
		}
		p.w.WriteString(name(v))
	}
	p.w.WriteString(" = " + n.Op.Name())
	p.structFields(reflect.ValueOf(n.Op), indent)
	p.w.WriteByte('(')
	for i, v := range n.In {
		if i > 0 {
			p.w.WriteString(", ")
		}
		if v == nil {
			p.w.WriteByte('_')
		} else {
			p.w.WriteString(name(v))
		}
	}
	p.w.WriteByte(')')
	if n.Origin != "" {
		p.w.WriteString(" @ " + strconv.Quote(n.Origin))
	}
	p.w.WriteString("  # ")
	for i, v := range n.Out {
		if i > 0 {
			p.w.WriteString(", ")
		}
		p.w.WriteString(v.Type.WithoutValue().String())
	}
	p.w.WriteByte('\n')
}

// structFields prints the fields that are not zero as {Name: value, ...}; nothing where all are.
func (p *printer) structFields(v reflect.Value, indent string) {
	first := true
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || v.Field(i).IsZero() {
			continue
		}
		if first {
			p.w.WriteByte('{')
		} else {
			p.w.WriteString(", ")
		}
		first = false
		p.w.WriteString(f.Name + ": ")
		p.value(v.Field(i), indent)
	}
	if !first {
		p.w.WriteByte('}')
	}
}

func (p *printer) value(v reflect.Value, indent string) {
	switch x := v.Interface().(type) {
	case *tensor.Tensor:
		fmt.Fprintf(p.w, "tensor %s = %s", ConstOf(x).WithoutValue(), encode(x))
		return
	case *Graph:
		p.graph(x, indent)
		return
	}
	switch v.Kind() {
	case reflect.String:
		p.w.WriteString(strconv.Quote(v.String()))
	case reflect.Float32, reflect.Float64:
		p.w.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.Bool:
		p.w.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Slice, reflect.Array:
		p.w.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				p.w.WriteString(", ")
			}
			p.value(v.Index(i), indent)
		}
		p.w.WriteByte(']')
	case reflect.Struct:
		if v.IsZero() {
			p.w.WriteString("{}")
			return
		}
		p.structFields(v, indent)
	case reflect.Pointer:
		p.value(v.Elem(), indent)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.w.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.w.WriteString(strconv.FormatInt(v.Int(), 10))
	default:
		fmt.Fprintf(p.w, "%q", fmt.Sprint(v.Interface()))
	}
}

// data is a tensor's elements, or "..." where they are many and not asked for.
func (p *printer) data(t *tensor.Tensor) string {
	if !p.opts.Data && t.Len() > 16 {
		return "..."
	}
	return encode(t)
}

// encode spells integers and strings in full, and everything else as base64 of its memory.
func encode(t *tensor.Tensor) string {
	if t.DType() == tensor.String {
		parts := make([]string, t.Len())
		for i, s := range t.Strings() {
			parts[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if t.DType() == tensor.Int64 && t.Len() <= 64 {
		vs, _ := t.Int64s()
		parts := make([]string, len(vs))
		for i, v := range vs {
			parts[i] = strconv.FormatInt(v, 10)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strconv.Quote(base64.StdEncoding.EncodeToString(t.Bytes()))
}

// name quotes what isn't plain.
func name(v *Value) string {
	if v.Name == "" || v.Name == "_" {
		return strconv.Quote(v.Name)
	}
	for i := range len(v.Name) {
		c := v.Name[i]
		if !isIdent(c, i > 0) && (i == 0 || c != '.' && c != '/' && c != ':') {
			return strconv.Quote(v.Name)
		}
	}
	if v.Name[len(v.Name)-1] == ':' {
		return strconv.Quote(v.Name)
	}
	return v.Name
}
