package classes

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

type cut struct {
	Depth float64 `json:"depth"`
	Axis  []int   `json:"axis"`
}

type other struct{}

func table() Table {
	return Table{Package: "cuts", Kind: "cut", Rows: []Row{{Default: cut{Depth: 2, Axis: []int{0}}, Names: []string{"Cut", "cut", "snip"}}}}
}

func TestTable(t *testing.T) {
	tab := table()
	for _, name := range []string{"Cut", "cut", "snip"} {
		v, err := tab.Decode(name, nil)
		require.NoError(t, err)
		require.Equal(t, cut{Depth: 2, Axis: []int{0}}, v)
	}
	v, err := tab.Decode("snip", json.RawMessage(`{"depth":3}`))
	require.NoError(t, err)
	require.Equal(t, cut{Depth: 3, Axis: []int{0}}, v, "an absent key takes the default")

	class, cfg, err := tab.Encode(v)
	require.NoError(t, err)
	require.Equal(t, "Cut", class)
	require.JSONEq(t, `{"depth":3,"axis":[0]}`, string(cfg))
	require.Equal(t, "Cut", tab.Names())
	require.Empty(t, tab.ClassName(other{}))
}

func TestTableRefuses(t *testing.T) {
	_, err := table().Decode("saw", nil)
	require.EqualError(t, err, `cuts: unknown cut "saw"`)
	_, err = table().Decode("cut", json.RawMessage(`{"depth":"deep"}`))
	require.ErrorContains(t, err, "cuts: cut config: ")
	_, _, err = table().Encode(other{})
	require.EqualError(t, err, "cuts: classes.other is none of Keras'")
}

// A config that names the elements of a default's slice must not write into the table.
func TestDecodeLeavesTheDefaultsAlone(t *testing.T) {
	tab := table()
	_, err := tab.Decode("cut", json.RawMessage(`{"axis":[7]}`))
	require.NoError(t, err)
	v, err := tab.Decode("cut", nil)
	require.NoError(t, err)
	require.Equal(t, []int{0}, v.(cut).Axis)
}

// Floats stay floats, at any depth; what knows its own form keeps it.
func TestMarshal(t *testing.T) {
	type base struct {
		Rate  float64  `json:"rate"`
		Limit *float64 `json:"limit"`
	}
	one := 1.0
	v := struct {
		base
		Steps  int             `json:"steps"`
		Any    any             `json:"any"`
		Raw    json.RawMessage `json:"raw"`
		List   []float64       `json:"list"`
		Hidden int             `json:"-"`
		Name   string          `json:"name"`
	}{base{0, &one}, 2, map[string]any{"b": 3.0, "a": nil}, json.RawMessage(`{"x": 1}`), []float64{1e-7, 0.5}, 9, "a\"b"}
	p, err := Marshal(v)
	require.NoError(t, err)
	require.Equal(t, `{"rate":0.0,"limit":1.0,"steps":2,"any":{"a":null,"b":3.0},"raw":{"x":1},"list":[1e-07,0.5],"name":"a\"b"}`, string(p))
	_, err = Marshal(math.NaN())
	require.Error(t, err)
}
