package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// convRows is convolutions.
func convRows() []row { return autos(convPlain) }

// convPlain is those of convRows that are read as their fields say.
var convPlain = []plain{
	{"Col2Im", 18, ops.Col2Im{}},
	{"Conv", 1, ops.Conv{Group: 1}},
	{"ConvTranspose", 1, ops.ConvTranspose{Group: 1}},
	{"DeformConv", 19, ops.DeformConv{Group: 1, OffsetGroup: 1}},
}

// poolRows is pooling and regions.
func poolRows() []row {
	return autos(poolPlain,
		row{name: "GlobalLpPool", since: 1, imp: func(n *Node) []*graph.Value {
			return n.AddN(ops.GlobalLpPool{P: n.floatP()}, n.In...)
		}},
		row{name: "LpPool", since: 1, imp: func(n *Node) []*graph.Value {
			p := n.floatP()
			delete(n.attrs, "p")
			op, _ := fill(n, ops.LpPool{}).(ops.LpPool)
			op.P = p
			return n.AddN(op, n.In...)
		}},
		auto("MaxPool", 1, ops.MaxPool{}).adjusting(func(n *Node, op graph.Op) graph.Op {
			pool, _ := op.(ops.MaxPool)
			pool.Indices = n.NumOut > 1
			return pool
		}),
		auto("RoiAlign", 10, ops.RoiAlign{Mode: "avg", OutputHeight: 1, OutputWidth: 1, SpatialScale: 1}).adjusting(func(n *Node, op graph.Op) graph.Op {
			align, _ := op.(ops.RoiAlign)
			align.CoordinateTransformationMode = "output_half_pixel"
			return align
		}).exports(exportRoiAlign10),
	)
}

// poolPlain is those of poolRows that are read as their fields say.
var poolPlain = []plain{
	{"AveragePool", 1, ops.AveragePool{}},
	{"GlobalAveragePool", 1, ops.GlobalAveragePool{}},
	{"GlobalLpPool", 2, ops.GlobalLpPool{P: 2}},
	{"GlobalMaxPool", 1, ops.GlobalMaxPool{}},
	{"LpPool", 2, ops.LpPool{P: 2}},
	{"MaxRoiPool", 1, ops.MaxRoiPool{SpatialScale: 1}},
	{"MaxUnpool", 9, ops.MaxUnpool{}},
	{"RoiAlign", 16, ops.RoiAlign{Mode: "avg", OutputHeight: 1, OutputWidth: 1, SpatialScale: 1,
		CoordinateTransformationMode: "half_pixel"}},
}

// floatP is the exponent of the first pools, which was a float.
func (n *Node) floatP() int {
	p := n.Float("p", 2)
	if p != float64(int(p)) || p < 1 {
		n.Refuse("p is %v, not a positive integer", p)
	}
	return int(p)
}

// resizeRows is resampling.
func resizeRows() []row {
	full := ops.Resize{Mode: "nearest", CoordinateTransformationMode: "half_pixel", NearestMode: "round_prefer_floor",
		KeepAspectRatioPolicy: "stretch", CubicCoeffA: -0.75}
	old := full
	old.CoordinateTransformationMode, old.NearestMode = "asymmetric", "floor"
	return autos(resizePlain, []row{
		{name: "GridSample", since: 16, op: ops.GridSample{PaddingMode: "zeros"}, exp: exportGridSample16, imp: func(n *Node) []*graph.Value {
			op := ops.GridSample{Mode: "linear", PaddingMode: n.String("padding_mode", "zeros"), AlignCorners: n.Bool("align_corners", false)}
			switch mode := n.String("mode", "bilinear"); mode {
			case "bilinear":
			case "bicubic":
				op.Mode = "cubic"
			case "nearest":
				op.Mode = mode
			default:
				n.Refuse("mode is %q", mode)
			}
			return n.AddN(op, n.In...)
		}},
		row{name: "Resize", since: 10, imp: func(n *Node) []*graph.Value {
			op := old
			if op.Mode = resizeMode(n.String("mode", "nearest")); op.Mode == "nearest" {
				return n.resizeNearest10(op)
			}
			return one(n.Add(op, n.Input(0), nil, n.Input(1)))
		}}.steering(1),
		auto("Resize", 11, full).adjusting(func(n *Node, op graph.Op) graph.Op {
			resize, _ := op.(ops.Resize)
			for i := 1; i < len(n.In); i++ {
				if isEmpty(n.In[i]) {
					n.In[i] = nil
				}
			}
			if resize.CoordinateTransformationMode == forNN && resize.NearestMode == "floor" { // the same, as later versions say it
				resize.CoordinateTransformationMode, resize.NearestMode = "half_pixel", "round_prefer_ceil"
			}
			return resize
		}).steering(1, 2).exports(exportResize),
		{name: "Upsample", since: 1, until: 6, imp: func(n *Node) []*graph.Value {
			h, w := n.Float("height_scale", 1), n.Float("width_scale", 1)
			return n.upsample(old, n.Const("scales", tensor.Of([]float32{1, 1, float32(h), float32(w)})))
		}},
		{name: "Upsample", since: 7, until: 8, imp: func(n *Node) []*graph.Value {
			var scales []float32
			for _, s := range n.Floats("scales") {
				scales = append(scales, float32(s))
			}
			return n.upsample(old, n.Const("scales", tensor.Of(scales, len(scales))))
		}},
		row{name: "Upsample", since: 9, imp: func(n *Node) []*graph.Value {
			return n.upsample(old, n.Input(1))
		}}.steering(1),
	}...)
}

// resizePlain is those of resizeRows that are read as their fields say.
var resizePlain = []plain{
	{"AffineGrid", 20, ops.AffineGrid{}},
	{"CenterCropPad", 18, ops.CenterCropPad{}},
	{"DepthToSpace", 1, ops.DepthToSpace{Mode: "DCR"}},
	{"GridSample", 20, ops.GridSample{Mode: "linear", PaddingMode: "zeros"}},
	{"SpaceToDepth", 1, ops.SpaceToDepth{Mode: "DCR"}},
	{"TensorScatter", 24, ops.TensorScatter{Axis: -2, Mode: "linear"}},
}

// forNN is a way to place pixels that versions 11 and 12 of Resize had.
const forNN = "tf_half_pixel_for_nn"

func exportResize(x *graphWriter, r row, n *graph.Node) error {
	if op, ok := n.Op.(ops.Resize); ok && op.CoordinateTransformationMode == forNN {
		return cannot("%s was removed in operator set 13", forNN)
	}
	return x.auto(r, n)
}

// upsample is Upsample as a Resize.
func (n *Node) upsample(op ops.Resize, scales *graph.Value) []*graph.Value {
	op.Mode = resizeMode(n.String("mode", "nearest"))
	return one(n.Add(op, n.Input(0), nil, scales))
}

// resizeNearest10 reads the first Resize, which takes the element before where an axis grows, and the
// element behind where it shrinks: the example in the standard's text, and ONNX Runtime.
func (n *Node) resizeNearest10(op ops.Resize) []*graph.Value {
	shrink, scales := op, n.Input(1)
	shrink.NearestMode = "ceil"
	grows, shrinks := true, true
	if scales != nil && scales.Type.Const != nil {
		vs, err := scales.Type.Const.Float64s()
		if err != nil {
			n.Refuse("scales: %v", err)
			return nil
		}
		grows = slices.ContainsFunc(vs, func(v float64) bool { return v > 1 })
		shrinks = slices.ContainsFunc(vs, func(v float64) bool { return v < 1 })
	}
	switch {
	case !shrinks:
		return one(n.Add(op, n.Input(0), nil, scales))
	case !grows:
		return one(n.Add(shrink, n.Input(0), nil, scales))
	}
	unit := n.scalar(1, scales)
	y := n.Add(op, n.Input(0), nil, n.Add(ops.Max{}, scales, unit))
	return one(n.Add(shrink, y, nil, n.Add(ops.Min{}, scales, unit)))
}

// resizeMode spells the modes of Upsample as Resize does.
func resizeMode(mode string) string {
	if mode == "bilinear" || mode == "trilinear" {
		return "linear"
	}
	return mode
}

// isEmpty reports whether a value is a vector of no elements: how version 11 of Resize omits an input.
func isEmpty(v *graph.Value) bool {
	if v == nil || rank(v) != 1 {
		return false
	}
	d, ok := v.Type.Dims[0].Const()
	return ok && d == 0
}

// signalRows is transforms, windows and pictures.
func signalRows() []row {
	return autos(signalPlain, row{name: "DFT", since: 17, op: ops.DFT{}, exp: exportDFT17, imp: func(n *Node) []*graph.Value {
		axis := n.Const("axis", tensor.Scalar(int64(n.Int("axis", 1))))
		return one(n.Add(fill(n, ops.DFT{}), n.Input(0), n.Input(1), axis))
	}})
}

// signalPlain is those of signalRows that are read as their fields say.
var signalPlain = []plain{
	{"DFT", 20, ops.DFT{}},
	{"STFT", 17, ops.STFT{Onesided: true}},
	{"BlackmanWindow", 17, ops.BlackmanWindow{Periodic: true}},
	{"HammingWindow", 17, ops.HammingWindow{Periodic: true}},
	{"HannWindow", 17, ops.HannWindow{Periodic: true}},
	{"ImageDecoder", 20, ops.ImageDecoder{PixelFormat: "RGB"}},
	{"MelWeightMatrix", 17, ops.MelWeightMatrix{}},
}
