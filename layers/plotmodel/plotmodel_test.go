package plotmodel

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/layers"
	"github.com/stretchr/testify/require"
)

// residual is a model with a skip connection over two layers and an inner model.
func residual() *layers.Model {
	m := layers.NewModel("residual")
	x := m.AddInput("x", 8, 8, 3)
	y := m.Apply(&layers.Conv2D{Base: layers.Named("a"), Filters: 3, KernelSize: []int{3, 3}, Padding: "same"}, x)
	y = m.Apply(&layers.Conv2D{Base: layers.Named("b"), Filters: 3, KernelSize: []int{3, 3}, Padding: "same"}, y)
	y = m.Apply(&layers.Add{Base: layers.Named("sum")}, y, x)
	head := layers.NewSequential("head", &layers.Flatten{Base: layers.Named("flat")}, &layers.Dense{Base: layers.Named("out"), Units: 2})
	return m.SetOutputs(m.Apply(head, y))
}

func TestLayoutKeepsBoxesApart(t *testing.T) {
	m := residual()
	require.NoError(t, m.Build())
	p := panels(m, Options{})[0]
	require.Len(t, p.boxes, 5)
	for i, a := range p.boxes {
		require.GreaterOrEqual(t, a.x-a.w/2, 0.0)
		require.LessOrEqual(t, a.x+a.w/2, p.w)
		for _, b := range p.boxes[i+1:] {
			apart := abs(a.x-b.x) >= (a.w+b.w)/2 || abs(a.y-b.y) >= (a.h+b.h)/2
			require.True(t, apart, "%v and %v overlap", a.lines, b.lines)
		}
	}
	for _, e := range p.edges { // lines run downwards, one rank at a time
		for i := 1; i < len(e); i++ {
			require.Equal(t, e[i-1].rank+1, e[i].rank)
		}
	}
}

func TestFormats(t *testing.T) {
	m := residual()
	for _, opts := range []Options{{}, {ExpandNested: true}, {HideNames: true, HideShapes: true}} {
		var dot, svg, raster bytes.Buffer
		require.NoError(t, DOT(&dot, m, opts))
		require.NoError(t, SVG(&svg, m, opts))
		require.NoError(t, PNG(&raster, m, opts))
		_, err := png.Decode(&raster)
		require.NoError(t, err)
		d := xml.NewDecoder(strings.NewReader(svg.String()))
		for err == nil {
			_, err = d.Token()
		}
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, opts.ExpandNested, strings.Contains(dot.String(), "out (Dense)"))
		require.Equal(t, !opts.HideShapes, strings.Contains(svg.String(), "(None, 8, 8, 3)"))
	}
}
