package graph_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func lookup(name string) (graph.Op, bool) {
	in, ok := ops.Lookup(name)
	return in.Op, ok
}

func sample(t testing.TB) *graph.Graph {
	g := &graph.Graph{Name: "two\nlines", Doc: `a "doc"`, Meta: map[string]string{"k": "v"}}
	b := graph.NewBuilder(g)
	b.SetOrigin("dense/1")
	x := b.Input("x:0", graph.TensorOf(tensor.Float32, graph.Sym("N").Add(graph.D(2)), graph.D(4)))
	w := b.Param("weird name", tensor.Of([]float32{1, 2, 3, 4}))
	y := b.Add(ops.Relu{}, b.Add(ops.Mul{}, b.Add(ops.Add{}, x, w), b.Float(0.5)))
	s := b.Add(ops.Shape{Start: 1, End: -1, HasEnd: true}, y)
	b.Output(y, s, b.Add(ops.SumTo{}, y, b.Ints(1, 4)))
	g.Updates = []graph.Update{{Param: w, Value: b.Add(ops.Add{}, w, b.Float(1))}}
	require.NoError(t, b.Err())
	return g
}

func TestTextRoundTrip(t *testing.T) {
	g := sample(t)
	require.NoError(t, g.Verify())
	var one, two strings.Builder
	require.NoError(t, g.Print(&one, graph.PrintOptions{Data: true}))
	h, err := graph.Parse(one.String(), lookup)
	require.NoError(t, err, one.String())
	require.NoError(t, h.Verify())
	require.NoError(t, h.Print(&two, graph.PrintOptions{Data: true}))
	require.Equal(t, one.String(), two.String())
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "line 1: expected \"graph\"",
		"graph g {":                          "does not end",
		"graph g {\n input x: float33[2]\n}": "line 2",
		"graph g { y = Relu(x) }":            `"x" is not defined`,
		"graph g { y = Nope() }":             `unknown operator "Nope"`,
		"graph g { input x: float32[2] y = Relu{A: 1}(x) }": `no attribute "A"`,
		"graph g { const c: float32[99999999999] = \"\" }":  "no type for data",
	} {
		_, err := graph.Parse(text, lookup)
		require.ErrorContains(t, err, want, text)
	}
}

func TestDims(t *testing.T) {
	n, h := graph.Sym("N"), graph.Sym("H")
	for want, d := range map[string]graph.Dim{
		"N":                     n.Add(graph.D(3)).Sub(graph.D(3)),
		"2*N":                   n.Add(n),
		"H*N+3":                 n.Mul(h).Add(graph.D(3)),
		"floor(H/2)":            h.Div(graph.D(2)),
		"H":                     h.Mul(graph.D(4)).Div(graph.D(4)),
		"N*floor(H/2)":          h.Div(graph.D(2)).Mul(n),
		"max(H,N)":              n.Max(h),
		"7":                     graph.D(7),
		"-N+1":                  graph.D(1).Sub(n),
		"H*N-2":                 h.Mul(n).Sub(graph.D(2)),
		"floor(H*N/3)":          n.Mul(h).Div(graph.D(3)),
		"floor(floor(H/2)+1/3)": h.Div(graph.D(2)).Add(graph.D(1)).Div(graph.D(3)),
	} {
		require.Equal(t, want, d.String())
		back, err := graph.ParseDim(want)
		require.NoError(t, err)
		require.True(t, back == d, want)
		v, err := d.Eval(map[string]int64{"N": 5, "H": 11})
		require.NoError(t, err)
		w, err := back.Eval(map[string]int64{"N": 5, "H": 11})
		require.NoError(t, err)
		require.Equal(t, w, v)
	}
	v, err := h.Div(graph.D(2)).Mul(n).Add(graph.D(1)).Eval(map[string]int64{"N": 5, "H": 11})
	require.NoError(t, err)
	require.EqualValues(t, 26, v)
	_, err = n.Eval(nil)
	require.ErrorIs(t, err, graph.ErrUnbound)
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f).String())
	f.Add("graph g { input x: seq(float32[...]) }")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := graph.Parse(s, lookup)
		if err != nil {
			return
		}
		if text := g.String(); text == "" {
			t.Fatal("no text")
		}
	})
}
