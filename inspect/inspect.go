// Package inspect describes models: inputs, outputs, operators, parameters, cost.
package inspect

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/bench"
	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/order"
)

// Info is what there is to know about a graph without running it.
type Info struct {
	Name       string            `json:"name,omitempty"`
	Format     string            `json:"format,omitempty"`
	Inputs     []Value           `json:"inputs"`
	Outputs    []Value           `json:"outputs"`
	Nodes      int               `json:"nodes"`
	Ops        map[string]int    `json:"ops"`
	Params     int64             `json:"params"`      // elements of parameters
	ParamBytes int64             `json:"param_bytes"` // and their size
	Constants  int64             `json:"constants"`   // elements of constants
	MulAdds    int64             `json:"mul_adds"`    // of one run with free dimensions at 1; 0 where shapes are open
	Meta       map[string]string `json:"meta,omitempty"`
}

// Value is an input or output.
type Value struct {
	Name  string   `json:"name"`
	DType string   `json:"dtype"`
	Shape []string `json:"shape"`
	Type  string   `json:"type"`
}

// Graph describes g.
func Graph(g *graph.Graph) Info {
	in := Info{Name: g.Name, Inputs: values(g.Inputs), Outputs: values(g.Outputs), Ops: map[string]int{}, Meta: maps.Clone(g.Meta)}
	maps.DeleteFunc(in.Meta, func(k, _ string) bool { return strings.HasPrefix(k, graph.NotePrefix) })
	for _, p := range g.Params {
		in.Params += int64(p.Data.Len())
		in.ParamBytes += int64(p.Data.Len() * p.Data.DType().Size())
	}
	seen := map[*graph.Value]bool{}
	countNodes(g, &in, seen)
	in.MulAdds = mulAdds(g)
	return in
}

// countNodes adds up nodes, also of nested graphs.
func countNodes(g *graph.Graph, in *Info, seen map[*graph.Value]bool) {
	for _, n := range g.Nodes {
		in.Nodes++
		in.Ops[n.Op.Name()]++
		for _, v := range n.In {
			if v.IsConst() && !seen[v] {
				seen[v] = true
				in.Constants += int64(v.Type.Const.Len())
			}
		}
		if s, ok := n.Op.(graph.Subgrapher); ok {
			for _, sub := range s.Subgraphs() {
				countNodes(sub, in, seen)
			}
		}
	}
}

func mulAdds(g *graph.Graph) int64 {
	types := make([]graph.Type, len(g.Inputs))
	for i, v := range g.Inputs {
		shape, err := feed.Bind(v.Type, nil)
		if err != nil {
			return 0
		}
		types[i] = graph.TensorOf(v.Type.DType, graph.Dims(shape...)...)
	}
	n, err := bench.MulAddsOf(g, types)
	if err != nil {
		return 0
	}
	return n
}

func values(vs []*graph.Value) []Value {
	out := make([]Value, len(vs))
	for i, v := range vs {
		x := Value{Name: v.Name, DType: v.Type.DType.String(), Type: v.Type.WithoutValue().String()}
		for _, d := range v.Type.Dims {
			x.Shape = append(x.Shape, d.String())
		}
		out[i] = x
	}
	return out
}

// Write prints the description in at most 100 columns.
func (in Info) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	if in.Name != "" {
		fmt.Fprintf(b, "%s", in.Name)
		if in.Format != "" {
			fmt.Fprintf(b, " (%s)", in.Format)
		}
		fmt.Fprintln(b)
	}
	table := func(title string, vs []Value) {
		fmt.Fprintln(b, title)
		for _, v := range vs {
			fmt.Fprintf(b, "  %-32s %s\n", v.Name, v.Type)
		}
	}
	table("inputs", in.Inputs)
	table("outputs", in.Outputs)
	fmt.Fprintf(b, "parameters  %s (%.1f MB), constants %s\n", Count(in.Params), float64(in.ParamBytes)/1e6, Count(in.Constants))
	if in.MulAdds > 0 {
		fmt.Fprintf(b, "cost        %.3g GFLOP a run with free dimensions at 1\n", 2*float64(in.MulAdds)/1e9)
	}
	names := slices.Collect(maps.Keys(in.Ops))
	order.Sort(names, func(x, y string) int {
		if in.Ops[x] != in.Ops[y] {
			return in.Ops[y] - in.Ops[x]
		}
		return strings.Compare(x, y)
	})
	fmt.Fprintf(b, "nodes       %d:", in.Nodes)
	col := 20
	for _, n := range names {
		s := fmt.Sprintf(" %s %d", n, in.Ops[n])
		if col+len(s) > 98 {
			fmt.Fprint(b, "\n           ")
			col = 12
		}
		fmt.Fprint(b, s)
		col += len(s)
	}
	fmt.Fprintln(b)
	for _, k := range slices.Sorted(maps.Keys(in.Meta)) {
		fmt.Fprintf(b, "%-11s %.86s\n", k, strings.ReplaceAll(in.Meta[k], "\n", " "))
	}
	return b.Flush()
}

// Weights prints every parameter: name, type, range.
func Weights(w io.Writer, g *graph.Graph) error {
	b := bufio.NewWriter(w)
	for _, p := range g.Params {
		lo, hi, mean := stats(p)
		fmt.Fprintf(b, "%-44.44s %-24s min %10.4g  max %10.4g  mean %10.4g\n", p.Name, p.Type.WithoutValue(), lo, hi, mean)
	}
	return b.Flush()
}

func stats(p *graph.Value) (lo, hi, mean float64) {
	v, err := p.Data.Float64s()
	if err != nil || len(v) == 0 {
		return 0, 0, 0
	}
	return slices.Min(v), slices.Max(v), sum(v) / float64(len(v))
}

func sum(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

// Count spells a number with separators: 25,636,712.
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
