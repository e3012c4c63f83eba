// Package vision shows what convnets see: what their layers answer to a picture, which pattern a filter likes best,
// and where in a picture the evidence for a class lies.
package vision

import (
	"context"
	"math"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
)

// A Viewer looks into a model of one input of pictures [n, h, w, c]. It is not safe for concurrent use.
type Viewer struct {
	m   *layers.Model
	dev devices.Device
}

// New looks into a model on a device.
func New(m *layers.Model, dev devices.Device) *Viewer { return &Viewer{m, dev} }

// Activations is what the named layers give for pictures, by name.
func (v *Viewer) Activations(ctx context.Context, x *tensor.Tensor, names ...string) (map[string]*tensor.Tensor, error) {
	g, taps, err := v.graph(names...)
	if err != nil {
		return nil, err
	}
	g.Outputs = taps
	out, err := v.run(ctx, g, x)
	if err != nil {
		return nil, err
	}
	res := map[string]*tensor.Tensor{}
	for i, name := range names {
		res[name] = out[i]
	}
	return res, nil
}

// graph is the model's inference graph, with the values of the named layers.
func (v *Viewer) graph(names ...string) (*graph.Graph, []*graph.Value, error) {
	g, err := v.m.Graph(layers.Options{Taps: names})
	if err != nil {
		return nil, nil, err
	}
	if len(g.Inputs) != 1 {
		return nil, nil, errs.Errorf("vision: the model has %d inputs; one of pictures is wanted", len(g.Inputs))
	}
	if len(g.Outputs) < len(names) {
		return nil, nil, errs.Errorf("vision: %d outputs for %d layers", len(g.Outputs), len(names))
	}
	return g, slices.Clone(g.Outputs[len(g.Outputs)-len(names):]), nil
}

func (v *Viewer) run(ctx context.Context, g *graph.Graph, x *tensor.Tensor) ([]*tensor.Tensor, error) {
	s, err := v.session(g)
	if err != nil {
		return nil, err
	}
	return values(s.RunValues(ctx, []tensor.Value{x}))
}

func (v *Viewer) session(g *graph.Graph) (*runtime.Session, error) {
	p, err := runtime.Compile(g, v.dev, runtime.Options{})
	if err != nil {
		return nil, err
	}
	return p.NewSession()
}

func values(vs []tensor.Value, err error) ([]*tensor.Tensor, error) {
	var out []*tensor.Tensor
	for _, v := range vs {
		t, ok := v.(*tensor.Tensor)
		if err == nil && !ok {
			err = errs.Errorf("vision: an output is no tensor")
		}
		out = append(out, t)
	}
	return out, err
}

// Ascent steers Filter. Zero fields have defaults.
type Ascent struct {
	Height, Width int     // of the picture, where the model leaves them open; 0: 128
	Steps         int     // 0: 30
	Rate          float64 // of a step along the normalized gradient; 0: 10, for a range of 255
	// Low and High bound the input's values; both 0: -1 and 1.
	Low, High float64
	Seed      uint64 // of the noise that the ascent begins from
}

// Filter is the input picture [1, h, w, c] that the channel of a layer answers to most, found by gradient ascent
// from noise, and the mean activation (before a rectifier) at the
// beginning and at the end.
func (v *Viewer) Filter(ctx context.Context, layer string, channel int, o Ascent) (x *tensor.Tensor, before, after float64, err error) {
	g, taps, err := v.graph(layer)
	if err != nil {
		return nil, 0, 0, err
	}
	b := graph.NewBuilder(g)
	score, err := channelMean(b, linear(taps[0]), layer, channel)
	if err != nil {
		return nil, 0, 0, err
	}
	grads, err := autodiff.Grad(b, []*graph.Value{score}, nil, []*graph.Value{g.Inputs[0]})
	if err != nil {
		return nil, 0, 0, err
	}
	if grads[0] == nil {
		return nil, 0, 0, errs.Errorf("vision: layer %q does not depend on the input", layer)
	}
	g.Outputs = []*graph.Value{score, grads[0]}
	s, err := v.session(g)
	if err != nil {
		return nil, 0, 0, err
	}
	if x, err = noise(g.Inputs[0].Type, &o); err != nil {
		return nil, 0, 0, err
	}
	return climb(ctx, s, x, &o)
}

// climb goes up from x. A step that leads down is taken back, and the next one is half as long.
func climb(ctx context.Context, s *runtime.Session, x *tensor.Tensor, o *Ascent) (best *tensor.Tensor, before, after float64, err error) {
	rate := o.Rate
	var grad []float32
	for step := 0; ; step++ {
		out, err := values(s.RunValues(ctx, []tensor.Value{x}))
		if err != nil {
			return nil, 0, 0, err
		}
		score := float64(tensor.As[float32](out[0])[0])
		if step == 0 {
			before = score
		}
		if best == nil || score > after {
			best, after, grad = x.Clone(), score, slices.Clone(tensor.As[float32](out[1]))
		} else {
			rate /= 2
		}
		if step == o.Steps {
			return best, before, after, nil
		}
		if err := x.CopyFrom(best); err != nil {
			return nil, 0, 0, err
		}
		follow(tensor.As[float32](x), grad, rate, o)
	}
}

// linear is what a rectifier was applied to: where a filter doesn't answer at all there would be no gradient to climb.
func linear(y *graph.Value) *graph.Value {
	if y.Def != nil {
		switch y.Def.Op.(type) {
		case ops.Relu, ops.Clip:
			return y.Def.In[0]
		}
	}
	return y
}

// channelMean is the mean of one channel of an activation [n, ..., c].
func channelMean(b *graph.Builder, y *graph.Value, layer string, channel int) (*graph.Value, error) {
	rank := y.Type.Rank()
	if rank < 2 {
		return nil, errs.Errorf("vision: layer %q gives %v, without channels", layer, y.Type)
	}
	if c, ok := y.Type.Dims[rank-1].Const(); ok && (channel < 0 || channel >= c) {
		return nil, errs.Errorf("vision: layer %q has %d channels, not number %d", layer, c, channel)
	}
	one := b.Add(ops.Gather{Axis: -1}, y, b.Ints(int64(channel)))
	return b.Add(ops.ReduceMean{}, one), b.Err()
}

// noise is the picture to begin from: grey with a little noise.
func noise(t graph.Type, o *Ascent) (*tensor.Tensor, error) {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&o.Height, 128)
	set(&o.Width, 128)
	set(&o.Steps, 30)
	if o.Low == 0 && o.High == 0 {
		o.Low, o.High = -1, 1
	}
	if o.Rate == 0 {
		o.Rate = 10.0 / 255 * (o.High - o.Low)
	}
	if t.Rank() != 4 || t.DType != tensor.Float32 {
		return nil, errs.Errorf("vision: the input is %v; float32 pictures [n, h, w, c] are wanted", t)
	}
	shape := []int{1, o.Height, o.Width, 3}
	for i := 1; i < 4; i++ {
		if n, ok := t.Dims[i].Const(); ok {
			shape[i] = n
		}
	}
	x, err := tensor.Make(tensor.Float32, shape)
	if err != nil {
		return nil, err
	}
	rng := philox.New(o.Seed)
	mid, span := (o.Low+o.High)/2, (o.High-o.Low)/10
	for i := range tensor.As[float32](x) {
		tensor.As[float32](x)[i] = float32(mid + (rng.Float64()-0.5)*span)
	}
	return x, nil
}

// follow goes a step along the gradient, divided by its root mean square.
func follow(x, g []float32, rate float64, o *Ascent) {
	sq := 0.0
	for _, v := range g {
		sq += float64(v) * float64(v)
	}
	k := rate / (math.Sqrt(sq/float64(max(1, len(g)))) + 1e-8)
	for i, v := range g {
		x[i] = float32(min(o.High, max(o.Low, float64(x[i])+k*float64(v))))
	}
}

// GradCAM is where in a picture x [1, h, w, c] the evidence for a class of the model's first output [1, classes] lies,
// as seen from a layer of feature maps: a map [h', w'] between 0 and 1 (Selvaraju et al., arXiv:1610.02391), and the
// class, which is the best one where class is negative.
func (v *Viewer) GradCAM(ctx context.Context, layer string, x *tensor.Tensor, class int) (*tensor.Tensor, int, error) {
	if x.Rank() != 4 || x.Dim(0) != 1 {
		return nil, 0, errs.Errorf("vision: a heat map is made for one picture [1, h, w, c], not %v", x.Shape())
	}
	g, taps, err := v.graph(layer)
	if err != nil {
		return nil, 0, err
	}
	y := g.Outputs[0]
	if y.Type.Rank() != 2 || taps[0].Type.Rank() != 4 {
		return nil, 0, errs.Errorf("vision: heat maps need class scores and feature maps, not %v and layer %q with %v", y.Type, layer, taps[0].Type)
	}
	if class < 0 {
		g.Outputs = []*graph.Value{y}
		out, err := v.run(ctx, g, x)
		if err != nil {
			return nil, 0, err
		}
		class = argmax(tensor.As[float32](out[0]))
	}
	b := graph.NewBuilder(g)
	score, err := channelMean(b, logits(g, y), "the output", class)
	if err != nil {
		return nil, 0, err
	}
	grads, err := autodiff.Grad(b, []*graph.Value{score}, nil, taps)
	if err != nil {
		return nil, 0, err
	}
	if grads[0] == nil {
		return nil, 0, errs.Errorf("vision: the output does not depend on layer %q", layer)
	}
	g.Outputs = []*graph.Value{taps[0], grads[0]}
	out, err := v.run(ctx, g, x)
	if err != nil {
		return nil, 0, err
	}
	return heat(out[0], out[1]), class, nil
}

// logits is what a final softmax was made of: its gradient vanishes where the network is sure.
func logits(g *graph.Graph, y *graph.Value) *graph.Value {
	if y.Def != nil {
		if _, ok := y.Def.Op.(ops.Softmax); ok {
			return y.Def.In[0]
		}
	}
	return y
}

func argmax(vs []float32) int {
	best := 0
	for i, v := range vs {
		if v > vs[best] {
			best = i
		}
	}
	return best
}

// heat weights each feature map by the mean of its gradient and keeps what speaks for the class.
func heat(maps, grad *tensor.Tensor) *tensor.Tensor {
	h, w, c := maps.Dim(1), maps.Dim(2), maps.Dim(3)
	a, d := tensor.As[float32](maps), tensor.As[float32](grad)
	weight := make([]float64, c)
	for i, v := range d {
		weight[i%c] += float64(v) / float64(h*w)
	}
	out := tensor.New(tensor.Float32, h, w)
	y, top := tensor.As[float32](out), float32(0)
	for p := range y {
		sum := 0.0
		for k, f := range weight {
			sum += f * float64(a[p*c+k])
		}
		y[p] = float32(max(0, sum))
		top = max(top, y[p])
	}
	if top > 0 {
		for p := range y {
			y[p] /= top
		}
	}
	return out
}
