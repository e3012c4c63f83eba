package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/cpuid"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// eachDevice runs f on a device of every level that this processor has.
func eachDevice(t *testing.T, f func(t *testing.T, d *Device)) {
	for l := cpuid.Generic; l <= cpuid.NEON; l++ {
		if !cpuid.Has(l) {
			continue
		}
		t.Run(l.String(), func(t *testing.T) {
			d, err := New(Options{Threads: 2, Level: l.String()})
			require.NoError(t, err)
			defer d.Close()
			f(t, d)
		})
	}
}

func randTensor(r *rand.Rand, shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.As[float32](t) {
		tensor.As[float32](t)[i] = float32(r.NormFloat64())
	}
	return t
}

// apply runs one op through kernel selection; consts says which inputs are known beforehand. It requires a kernel of this
// package, not one of the reference device, if own.
func apply(t *testing.T, d *Device, op graph.Op, own bool, consts []bool, in ...*tensor.Tensor) *tensor.Tensor {
	t.Helper()
	return applyAll(t, d.Kernels(), op, own, consts, in...)[0]
}

// applyRef runs one op on the reference kernels.
func applyRef(t *testing.T, op graph.Op, in ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	return applyAll(t, devices.NewTable(ref.Kernels()), op, false, make([]bool, len(in)), in...)
}

func applyAll(t *testing.T, table *devices.Table, op graph.Op, own bool, consts []bool, in ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	n := &graph.Node{Op: op, Origin: "test"}
	r := devices.Request{Node: n}
	args := &devices.Args{}
	for i, x := range in {
		v := &graph.Value{}
		ty := graph.Type{}
		var c *tensor.Tensor
		if x == nil {
			v = nil
			args.In = append(args.In, nil)
		} else {
			ty = graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...)
			if consts[i] {
				ty.Const, c = x, x
			}
			v.Type = ty
			args.In = append(args.In, x)
		}
		n.In = append(n.In, v)
		r.In, r.Const = append(r.In, ty), append(r.Const, c)
	}
	outs, err := op.Infer(r.In)
	require.NoError(t, err)
	for _, o := range outs {
		r.Out = append(r.Out, o)
		n.Out = append(n.Out, &graph.Value{Type: o, Def: n})
		shape, _ := o.Shape()
		args.Out = append(args.Out, tensor.New(o.DType, shape...))
	}
	k, err := table.Select(r)
	require.NoError(t, err)
	if own {
		require.NotContains(t, k.Name, "ref/")
	}
	s, err := k.Prepare(r)
	require.NoError(t, err)
	args.Scratch = tensor.AlignedBytes(s.Scratch())
	b := floats(args.Scratch)
	for i := range b {
		b[i] = float32(math.NaN())
	}
	require.NoError(t, s.Run(args))
	var res []*tensor.Tensor
	for i := range args.Out {
		res = append(res, args.OutTensor(i))
	}
	return res
}

func requireClose(t *testing.T, want, got *tensor.Tensor, tol float64, what string) {
	t.Helper()
	require.Equal(t, want.Shape(), got.Shape(), what)
	w, g := tensor.As[float32](want), tensor.As[float32](got)
	for i := range w {
		a, b := float64(w[i]), float64(g[i])
		if a == b || math.IsNaN(a) && math.IsNaN(b) {
			continue
		}
		if !(math.Abs(a-b) <= tol*max(1, math.Abs(a))) {
			t.Fatalf("%s: element %d of %v: want %v, got %v", what, i, want.Shape(), w[i], g[i])
		}
	}
}

// naiveConv is the definition, in float64: x [n,h,w,c], w [kh,kw,c/g,m], both channels last.
func naiveConv(x, w *tensor.Tensor, win ops.Window, group int) *tensor.Tensor {
	n, c := x.Shape()[0], x.Shape()[3]
	cg, m := w.Shape()[2], w.Shape()[3]
	y := tensor.New(tensor.Float32, n, win.Out[0], win.Out[1], m)
	xs, ws, ys := tensor.As[float32](x), tensor.As[float32](w), tensor.As[float32](y)
	i := 0
	for b := range n {
		for oh := range win.Out[0] {
			for ow := range win.Out[1] {
				for o := range m {
					s := 0.0
					for kh := range win.Kernel[0] {
						for kw := range win.Kernel[1] {
							ih, iw := oh*win.Strides[0]-win.Begin[0]+kh*win.Dilations[0], ow*win.Strides[1]-win.Begin[1]+kw*win.Dilations[1]
							if ih < 0 || iw < 0 || ih >= win.In[0] || iw >= win.In[1] {
								continue
							}
							for k := range cg {
								s += float64(xs[((b*win.In[0]+ih)*win.In[1]+iw)*c+o/(m/group)*cg+k]) * float64(ws[((kh*win.Kernel[1]+kw)*cg+k)*m+o])
							}
						}
					}
					ys[i] = float32(s)
					i++
				}
			}
		}
	}
	return y
}

// permute is numpy.transpose.
func permute(x *tensor.Tensor, perm ...int) *tensor.Tensor {
	shape := make([]int, len(perm))
	for i, p := range perm {
		shape[i] = x.Shape()[p]
	}
	y := tensor.New(tensor.Float32, shape...)
	st := tensor.Strides(x.Shape())
	for i := range tensor.As[float32](y) {
		rest, off := i, 0
		for k := len(shape) - 1; k >= 0; k-- {
			off += rest % shape[k] * st[perm[k]]
			rest /= shape[k]
		}
		tensor.As[float32](y)[i] = tensor.As[float32](x)[off]
	}
	return y
}

func silu(x float64) float64 { return x / (1 + math.Exp(-x)) }

func TestConv(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(1, 1))
		pick := func(vs ...int) int { return vs[r.IntN(len(vs))] }
		for iter := range 250 {
			group := pick(1, 1, 1, 2)
			c, m := group*pick(1, 3, 8, 16, 17, 32), group*pick(1, 5, 8, 16, 32, 40)
			if iter%5 == 0 { // depthwise
				group = pick(3, 8, 20, 33)
				c, m = group, group
			}
			k := pick(1, 3, 3, 3, 5)
			kw := pick(k, k, 2)
			s := pick(1, 1, 1, 2, 3)
			op := ops.Conv{Group: group, Strides: []int{s, pick(s, 1)}, Dilations: []int{pick(1, 1, 2), 1},
				Pads: []int{r.IntN(3), r.IntN(3), r.IntN(3), r.IntN(3)}, Format: ops.NHWC}
			n, h, w := pick(1, 1, 2), 5+r.IntN(14), 5+r.IntN(14)
			if iter%3 == 0 && k == 3 && kw == 3 { // what Winograd takes
				op = ops.Conv{Group: group, Pads: []int{1, 1, 1, 1}, Format: ops.NHWC}
				h, w = 8+r.IntN(30), 8+r.IntN(30)
			}
			x, wt := randTensor(r, n, h, w, c), randTensor(r, k, kw, c/group, m)
			win, err := op.Window(x.Shape(), wt.Shape())
			if err != nil || win.Out[0] < 1 || win.Out[1] < 1 {
				continue
			}
			base := naiveConv(x, wt, win, group)
			bias := randTensor(r, m)
			what := fmt.Sprintf("%+v x %v w %v", op, x.Shape(), wt.Shape())
			checkConv(t, d, r, op, x, wt, bias, base, what)
			checkFused(t, d, r, op, x, wt, bias, base, what)
		}
	})
}

func checkConv(t *testing.T, d *Device, r *rand.Rand, op ops.Conv, x, wt, bias, base *tensor.Tensor, what string) {
	want := base.Clone()
	m := bias.Len()
	for i, v := range tensor.As[float32](base) {
		tensor.As[float32](want)[i] = v + tensor.As[float32](bias)[i%m]
	}
	known := r.IntN(2) == 0
	if r.IntN(2) == 0 {
		requireClose(t, want, apply(t, d, op, true, []bool{false, known, known}, x, wt, bias), 2e-4, what)
		return
	}
	op.Format = ops.NCHW
	got := apply(t, d, op, true, []bool{false, known, known}, permute(x, 0, 3, 1, 2), permute(wt, 3, 2, 0, 1), bias)
	requireClose(t, permute(want, 0, 3, 1, 2), got, 2e-4, "nchw "+what)
}

func checkFused(t *testing.T, d *Device, r *rand.Rand, op ops.Conv, x, wt, bias, base *tensor.Tensor, what string) {
	f := ops.FusedConv{Strides: op.Strides, Dilations: op.Dilations, Pads: op.Pads, Group: op.Group, Format: ops.NHWC, Kernel: ops.NHWC}
	scale, res := randTensor(r, bias.Len()), randTensor(r, base.Shape()...)
	in := []*tensor.Tensor{x, wt, scale, bias, res}
	for i := 2; i < 5; i++ {
		if r.IntN(3) == 0 {
			in[i] = nil
		}
	}
	if r.IntN(2) == 0 {
		f.Kernel = ops.NCHW
		in[1] = permute(wt, 3, 2, 0, 1)
	}
	f.Epilogue = []ops.Epilogue{{}, {Act: ops.ActClip, A: 0, B: math.Inf(1)}, {Act: ops.ActClip, A: 0, B: 6}, {Act: ops.ActSilu}}[r.IntN(4)]
	want := base.Clone()
	m := bias.Len()
	for i, v := range tensor.As[float32](base) {
		y := float64(v)
		if in[2] != nil {
			y *= float64(tensor.As[float32](scale)[i%m])
		}
		if in[3] != nil {
			y += float64(tensor.As[float32](bias)[i%m])
		}
		if in[4] != nil {
			y += float64(tensor.As[float32](res)[i])
		}
		switch f.Epilogue.Act {
		case ops.ActClip:
			y = min(max(y, f.Epilogue.A), f.Epilogue.B)
		case ops.ActSilu:
			y = silu(y)
		}
		tensor.As[float32](want)[i] = float32(y)
	}
	got := apply(t, d, f, true, []bool{false, true, true, true, false}, in...)
	requireClose(t, want, got, 5e-4, "fused "+what)
}

func TestMatMul(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(2, 1))
		for _, c := range [][2][]int{{{3, 4}, {4, 5}}, {{70, 400}, {400, 90}}, {{1, 500}, {500, 1000}}, {{2, 3, 40}, {40, 50}}, {{40}, {40, 50}},
			{{30, 40}, {40}}, {{2, 3, 30, 40}, {2, 3, 40, 20}}, {{2, 1, 30, 40}, {3, 40, 20}}, {{30, 40}, {3, 40, 20}}, {{5, 1, 40}, {5, 40, 1}}} {
			for _, known := range []bool{false, true} {
				a, b := randTensor(r, c[0]...), randTensor(r, c[1]...)
				got := apply(t, d, ops.MatMul{}, true, []bool{false, known}, a, b)
				requireClose(t, naiveMatMul(a, b, got.Shape()), got, 1e-4, fmt.Sprint(c, known))
			}
		}
	})
}

func naiveMatMul(a, b *tensor.Tensor, shape []int) *tensor.Tensor {
	p := newProduct(a.Shape(), b.Shape())
	y := tensor.New(tensor.Float32, shape...)
	for n := range p.batch {
		oa, ob, oy := 0, 0, 0
		if p.a != nil {
			oa, ob, oy = p.a[n], p.b[n], p.out[n]
		}
		for i := range p.m {
			for j := range p.n {
				s := 0.0
				for k := range p.k {
					s += float64(tensor.As[float32](a)[oa+i*p.k+k]) * float64(tensor.As[float32](b)[ob+k*p.n+j])
				}
				tensor.As[float32](y)[oy+i*p.n+j] = float32(s)
			}
		}
	}
	return y
}

func TestBinary(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(3, 1))
		for _, c := range [][2][]int{{{3, 4}, {3, 4}}, {{3, 4}, {}}, {{}, {3, 4}}, {{3, 4}, {4}}, {{3, 4}, {3, 1}}, {{3, 1}, {4}}, {{2, 5, 6, 7}, {2, 1, 1, 7}},
			{{2, 1, 6, 1}, {5, 1, 7}}, {{100, 700}, {100, 700}}, {{}, {}}, {{0, 3}, {3}}, {{1, 40000}, {40000}}} {
			a, b := randTensor(r, c[0]...), randTensor(r, c[1]...)
			for _, op := range []graph.Op{ops.Add{}, ops.Sub{}, ops.Mul{}, ops.Div{}} {
				got := apply(t, d, op, true, []bool{false, false}, a, b)
				want := got.Clone()
				sx, sy := broadcastStrides(a.Shape(), got.Shape()), broadcastStrides(b.Shape(), got.Shape())
				for i := range tensor.As[float32](want) {
					rest, ox, oy := i, 0, 0
					for k := len(sx) - 1; k >= 0; k-- {
						q := rest % got.Shape()[k]
						rest /= got.Shape()[k]
						ox, oy = ox+q*sx[k], oy+q*sy[k]
					}
					x, y := tensor.As[float32](a)[ox], tensor.As[float32](b)[oy]
					tensor.As[float32](want)[i] = map[string]float32{"Add": x + y, "Sub": x - y, "Mul": x * y, "Div": x / y}[op.Name()]
				}
				requireClose(t, want, got, 0, fmt.Sprint(op.Name(), c))
			}
		}
	})
}

// TestConvManyOutputs convolves small pictures of many channels, whose rows are gathered once for several tiles of columns.
func TestConvManyOutputs(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 1))
	for _, k := range [][]int{{3, 3, 2}, {1, 1, 2}, {1, 3, 1}} {
		x, wt := randTensor(r, 1, 7, 6, 96), randTensor(r, k[0], k[1], 96, 328)
		op := ops.Conv{Strides: []int{k[2], k[2]}, Pads: []int{k[0] / 2, k[1] / 2, k[0] / 2, k[1] / 2}, Format: ops.NHWC}
		win, err := op.Window(x.Shape(), wt.Shape())
		require.NoError(t, err)
		want := naiveConv(x, wt, win, 1)
		eachDevice(t, func(t *testing.T, d *Device) {
			for _, known := range []bool{true, false} {
				got := apply(t, d, op, true, []bool{false, known}, x, wt)
				requireClose(t, want, got, 1e-4, fmt.Sprint(k, known))
			}
		})
	}
}

// TestConvLines convolves with windows of height or width 1, which minimal filtering in one dimension takes.
func TestConvLines(t *testing.T) {
	r := rand.New(rand.NewPCG(26, 1))
	for iter := range 16 {
		k := []int{3, 7}[iter%2]
		c, m, n, h, w := 32*(1+r.IntN(2)), 32*(1+r.IntN(3)), 1+r.IntN(2), 5+r.IntN(16), 5+r.IntN(16)
		kh, kw, pads := k, 1, []int{r.IntN(k), 0, r.IntN(k), 0}
		if iter%4 < 2 {
			kh, kw, pads = 1, k, []int{0, r.IntN(k), 0, r.IntN(k)}
		}
		op := ops.FusedConv{Pads: pads, Format: ops.NHWC, Kernel: ops.NHWC, Epilogue: ops.Epilogue{Act: []ops.ActKind{ops.ActNone, ops.ActClip, ops.ActSilu}[iter%3], A: -1, B: 1}}
		x, wt := randTensor(r, n, h, w, c), randTensor(r, kh, kw, c, m)
		for i := range tensor.As[float32](wt) { // results of about 1, of which the error is a part
			tensor.As[float32](wt)[i] /= float32(math.Sqrt(float64(k * c)))
		}
		win, err := op.Window(x.Shape(), wt.Shape())
		require.NoError(t, err)
		if win.Out[0] < 1 || win.Out[1] < 1 {
			continue
		}
		base := naiveConv(x, wt, win, 1)
		bias, res := randTensor(r, m), randTensor(r, base.Shape()...)
		want := tensor.New(tensor.Float32, base.Shape()...)
		for i, v := range tensor.As[float32](base) {
			y := float64(v) + float64(tensor.As[float32](bias)[i%m]) + float64(tensor.As[float32](res)[i])
			switch op.Epilogue.Act {
			case ops.ActClip:
				y = min(max(y, -1), 1)
			case ops.ActSilu:
				y = silu(y)
			}
			tensor.As[float32](want)[i] = float32(y)
		}
		eachDevice(t, func(t *testing.T, d *Device) {
			p, err := d.planOf(op, devices.Request{In: []graph.Type{graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...), graph.ConstOf(wt)},
				Const: []*tensor.Tensor{nil, wt}})
			require.NoError(t, err)
			if len(d.k.Lines) > 0 && k == 7 && h > 7 && w > 7 {
				require.NotNil(t, d.lineFiltering(p), "%v %v", x.Shape(), wt.Shape())
			}
			got := apply(t, d, op, true, []bool{false, true, true, true, false}, x, wt, nil, bias, res)
			requireClose(t, want, got, 5e-5, fmt.Sprintf("x %v w %v %+v", x.Shape(), wt.Shape(), op))
		})
	}
}

// TestConvPair holds that a pair computes what its two convolutions do one after the other.
func TestConvPair(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(6, 1))
		for range 30 {
			c, m, k, s := 1+r.IntN(20), 1+r.IntN(60), []int{3, 5, 7, 2}[r.IntN(4)], 1+r.IntN(3)
			x := randTensor(r, 1+r.IntN(2), 6+r.IntN(60), 6+r.IntN(30), c)
			if r.IntN(2) == 0 { // small pictures of many channels
				m *= 8
				x = randTensor(r, 1+r.IntN(2), 6+r.IntN(10), 6+r.IntN(10), c)
			}
			first := ops.FusedConv{Format: ops.NHWC, Epilogue: ops.Epilogue{Act: []ops.ActKind{ops.ActSilu, ops.ActNone, ops.ActClip}[r.IntN(3)], B: 3}}
			second := ops.FusedConv{Format: ops.NHWC, Group: m, Strides: []int{s, s}, Pads: []int{k / 2, k / 2, k / 2, r.IntN(k)},
				Epilogue: ops.Epilogue{Act: ops.ActClip, A: 0, B: 6}}
			w1, s1, b1 := randTensor(r, m, c, 1, 1), randTensor(r, m), randTensor(r, m)
			w2, s2, b2 := randTensor(r, m, 1, k, k), randTensor(r, m), randTensor(r, m)
			if m == 1 {
				continue // not depthwise
			}
			known := []bool{false, true, true, true, true, true, true}
			mid := apply(t, d, first, true, known[:4], x, w1, s1, b1)
			want := apply(t, d, second, true, known[:4], mid, w2, s2, b2)
			got := apply(t, d, ops.ConvPair{First: first, Second: second}, true, known, x, w1, s1, b1, w2, s2, b2)
			requireClose(t, want, got, 1e-5, fmt.Sprintf("x %v %+v", x.Shape(), second))
		}
	})
}
