package optim

import (
	"math"
	"regexp"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
)

// SGD is gradient descent, with momentum where that is not 0.
type SGD struct {
	Config
	Momentum float64 `json:"momentum"`
	Nesterov bool    `json:"nesterov"`
}

func (o *SGD) slots(s *slotter) {
	if o.Momentum != 0 {
		s.add("momentum")
	}
}

func (o *SGD) step(c *step) {
	e := c.e
	d := e.Mul(c.g, c.rate())
	if o.Momentum == 0 {
		c.setW(e.Sub(c.w(), d))
		return
	}
	m := c.keep("momentum", e.Sub(e.MulC(c.slot("momentum"), o.Momentum), d))
	if o.Nesterov {
		m = e.Sub(e.MulC(m, o.Momentum), d)
	}
	c.setW(e.Add(c.w(), m))
}

// RMSprop divides by the root of a running mean of squared gradients; Centered takes their mean off first.
type RMSprop struct {
	Config
	Rho      float64 `json:"rho"`
	Momentum float64 `json:"momentum"`
	Epsilon  float64 `json:"epsilon"`
	Centered bool    `json:"centered"`
}

func (o *RMSprop) slots(s *slotter) {
	s.add("velocity")
	if o.Momentum > 0 {
		s.add("momentum")
	}
	if o.Centered {
		s.add("average_gradient")
	}
}

// mix is rho*x + (1-rho)*y.
func mix(e expr.E, rho float64, x, y *graph.Value) *graph.Value {
	return e.Add(e.MulC(x, rho), e.MulC(y, 1-rho))
}

func (o *RMSprop) step(c *step) {
	e := c.e
	v := c.keep("velocity", mix(e, o.Rho, c.slot("velocity"), e.Square(c.g)))
	if o.Centered {
		avg := c.keep("average_gradient", mix(e, o.Rho, c.slot("average_gradient"), c.g))
		v = e.Sub(v, e.Square(avg))
	}
	d := e.Div(e.Mul(c.rate(), c.g), e.Sqrt(e.AddC(v, o.Epsilon)))
	if o.Momentum > 0 {
		d = c.keep("momentum", e.Add(e.MulC(c.slot("momentum"), o.Momentum), d))
	}
	c.setW(e.Sub(c.w(), d))
}

// Adagrad divides by the root of the sum of squared gradients.
type Adagrad struct {
	Config
	InitialAccumulatorValue float64 `json:"initial_accumulator_value"`
	Epsilon                 float64 `json:"epsilon"`
}

func (o *Adagrad) slots(s *slotter) {
	for i := range s.a.vars {
		s.one(i, "accumulator", o.InitialAccumulatorValue)
	}
}

func (o *Adagrad) step(c *step) {
	e := c.e
	acc := c.keep("accumulator", e.Add(c.slot("accumulator"), e.Square(c.g)))
	c.setW(e.Sub(c.w(), e.Div(e.Mul(c.rate(), c.g), e.Sqrt(e.AddC(acc, o.Epsilon)))))
}

// Adadelta scales gradients by the ratio of the running sizes of updates and gradients.
type Adadelta struct {
	Config
	Rho     float64 `json:"rho"`
	Epsilon float64 `json:"epsilon"`
}

func (o *Adadelta) slots(s *slotter) { s.add("accumulated_grad", "accumulated_delta_var") }

func (o *Adadelta) step(c *step) {
	e := c.e
	rms := func(x *graph.Value) *graph.Value { return e.Sqrt(e.AddC(x, o.Epsilon)) }
	g := c.keep("accumulated_grad", mix(e, o.Rho, c.slot("accumulated_grad"), e.Square(c.g)))
	old := c.slot("accumulated_delta_var")
	d := e.Neg(e.Div(e.Mul(rms(old), c.g), rms(g)))
	c.keep("accumulated_delta_var", mix(e, o.Rho, old, e.Square(d)))
	c.setW(e.Add(c.w(), e.Mul(c.rate(), d)))
}

// Adam keeps running means of gradients and of their squares (Kingma and Ba 2015); AMSGrad divides by the
// largest of the latter so far.
type Adam struct {
	Config
	Beta1   float64 `json:"beta_1"`
	Beta2   float64 `json:"beta_2"`
	Epsilon float64 `json:"epsilon"`
	AMSGrad bool    `json:"amsgrad"`
}

func (o *Adam) slots(s *slotter) {
	s.add("momentum", "velocity")
	if o.AMSGrad {
		s.add("velocity_hat")
	}
}

// moments updates momentum and velocity.
func (c *step) moments(beta1, beta2 float64) (m, v *graph.Value) {
	m = c.keep("momentum", c.toward(c.slot("momentum"), c.g, beta1))
	v = c.keep("velocity", c.toward(c.slot("velocity"), c.e.Square(c.g), beta2))
	return m, v
}

// unbiased is the learning rate corrected for moments that began at zero.
func (c *step) unbiased(lr *graph.Value, beta1, beta2 float64) *graph.Value {
	e := c.e
	return e.Div(e.Mul(lr, e.Sqrt(e.CSub(1, c.pow(beta2)))), e.CSub(1, c.pow(beta1)))
}

func (o *Adam) step(c *step) {
	e := c.e
	m, v := c.moments(o.Beta1, o.Beta2)
	if o.AMSGrad {
		v = c.keep("velocity_hat", e.Max(c.slot("velocity_hat"), v))
	}
	alpha := c.unbiased(c.rate(), o.Beta1, o.Beta2)
	c.setW(e.Sub(c.w(), e.Div(e.Mul(m, alpha), e.AddC(e.Sqrt(v), o.Epsilon))))
}

// AdamW is Adam with weight decay set by default.
type AdamW struct{ Adam }

// Adamax is Adam with the largest gradient, decaying, in place of the mean square.
type Adamax struct {
	Config
	Beta1   float64 `json:"beta_1"`
	Beta2   float64 `json:"beta_2"`
	Epsilon float64 `json:"epsilon"`
}

func (o *Adamax) slots(s *slotter) { s.add("momentum", "norm") }

func (o *Adamax) step(c *step) {
	e := c.e
	m := c.keep("momentum", c.toward(c.slot("momentum"), c.g, o.Beta1))
	u := c.keep("norm", e.Max(e.MulC(c.slot("norm"), o.Beta2), e.Abs(c.g)))
	den := e.Mul(e.CSub(1, c.pow(o.Beta1)), e.AddC(u, o.Epsilon))
	c.setW(e.Sub(c.w(), e.Div(e.Mul(c.rate(), m), den)))
}

// Nadam is Adam with Nesterov's momentum (Dozat 2016).
type Nadam struct {
	Config
	Beta1   float64 `json:"beta_1"`
	Beta2   float64 `json:"beta_2"`
	Epsilon float64 `json:"epsilon"`

	product *graph.Value
}

func (o *Nadam) slots(s *slotter) {
	s.add("momentum", "velocity")
	dt := tensor.Float32
	if len(s.a.vars) > 0 {
		dt = s.a.vars[0].Param.Type.DType
	}
	one := tensor.New(dt)
	if err := one.SetFloat64s([]float64{1}); err != nil {
		s.a.e.B.Fail(err)
	}
	o.product = s.a.param("variable", one)
}

// nadamDecay is the decay of the momentum's schedule.
const nadamDecay = 0.96

func (o *Nadam) prepare(a *apply, gate *graph.Value) {
	e, t := a.e, a.e.Cast(a.local, o.product.Type.DType)
	u := e.MulC(e.CSub(1, e.MulC(e.Pow(e.C(t, nadamDecay), t), 0.5)), o.Beta1)
	a.set(o.product, e.Mul(o.product, u), gate)
}

func (o *Nadam) step(c *step) {
	e := c.e
	at := func(t *graph.Value) *graph.Value {
		return e.MulC(e.CSub(1, e.MulC(e.Pow(e.C(t, nadamDecay), t), 0.5)), o.Beta1)
	}
	u, u1 := at(c.t()), at(e.AddC(c.t(), 1))
	product := e.Cast(c.get(o.product), c.g.Type.DType)
	m, v := c.moments(o.Beta1, o.Beta2)
	mhat := e.Add(e.Div(e.Mul(u1, m), e.CSub(1, e.Mul(product, u1))),
		e.Div(e.Mul(e.CSub(1, u), c.g), e.CSub(1, product)))
	vhat := e.Div(v, e.CSub(1, c.pow(o.Beta2)))
	c.setW(e.Sub(c.w(), e.Div(e.Mul(mhat, c.rate()), e.AddC(e.Sqrt(vhat), o.Epsilon))))
}

// Ftrl is "follow the regularized leader" (McMahan et al. 2013).
type Ftrl struct {
	Config
	LearningRatePower                 float64 `json:"learning_rate_power"`
	InitialAccumulatorValue           float64 `json:"initial_accumulator_value"`
	L1RegularizationStrength          float64 `json:"l1_regularization_strength"`
	L2RegularizationStrength          float64 `json:"l2_regularization_strength"`
	L2ShrinkageRegularizationStrength float64 `json:"l2_shrinkage_regularization_strength"`
	Beta                              float64 `json:"beta"`
}

func (o *Ftrl) slots(s *slotter) {
	for i := range s.a.vars {
		s.one(i, "accumulator", o.InitialAccumulatorValue)
		s.one(i, "linear", 0)
	}
}

func (o *Ftrl) step(c *step) {
	e, lr, w := c.e, c.rate(), c.w()
	acc := c.slot("accumulator")
	g := c.g
	if o.L2ShrinkageRegularizationStrength != 0 {
		g = e.Add(g, e.MulC(w, 2*o.L2ShrinkageRegularizationStrength))
	}
	next := e.Add(acc, e.Square(c.g))
	pow := func(x *graph.Value) *graph.Value { return e.PowC(x, -o.LearningRatePower) }
	sigma := e.Div(e.Sub(pow(next), pow(acc)), lr)
	linear := c.keep("linear", e.Add(c.slot("linear"), e.Sub(g, e.Mul(sigma, w))))
	l2 := e.AddC(e.Div(e.C(lr, o.Beta/2), lr), o.L2RegularizationStrength)
	quadratic := e.Add(e.Div(pow(next), lr), e.MulC(l2, 2))
	clipped := e.Clip(linear, -o.L1RegularizationStrength, o.L1RegularizationStrength)
	c.setW(e.Div(e.Sub(clipped, linear), quadratic))
	c.keep("accumulator", next)
}

// Lion moves by the sign of an interpolated momentum (Chen et al. 2023).
type Lion struct {
	Config
	Beta1 float64 `json:"beta_1"`
	Beta2 float64 `json:"beta_2"`
}

func (o *Lion) slots(s *slotter) { s.add("momentum") }

func (o *Lion) step(c *step) {
	e, m := c.e, c.slot("momentum")
	c.setW(e.Sub(c.w(), e.Mul(c.rate(), e.Sign(mix(e, o.Beta1, m, c.g)))))
	c.keep("momentum", mix(e, o.Beta2, m, c.g))
}

// Lamb is Adam whose update is scaled to each variable's norm (You et al. 2019).
type Lamb struct {
	Config
	Beta1   float64 `json:"beta_1"`
	Beta2   float64 `json:"beta_2"`
	Epsilon float64 `json:"epsilon"`
}

func (o *Lamb) slots(s *slotter) { s.add("momentum", "velocity") }

func (o *Lamb) step(c *step) {
	e, w := c.e, c.w()
	m, v := c.moments(o.Beta1, o.Beta2)
	den := e.AddC(e.Sqrt(e.Div(v, e.CSub(1, c.pow(o.Beta2)))), o.Epsilon)
	u := e.Div(e.Div(m, e.CSub(1, c.pow(o.Beta1))), den)
	wn, un := e.Norm(w, false), e.Norm(u, false)
	zero := e.C(w, 0)
	ratio := e.Where(e.And(e.Gt(wn, zero), e.Gt(un, zero)), e.Div(wn, un), e.C(w, 1))
	c.setW(e.Sub(w, e.Mul(e.Mul(ratio, c.rate()), u)))
}

// Adafactor keeps a row and a column of second moments for each matrix (Shazeer and Stern 2018).
type Adafactor struct {
	Config
	Beta2Decay    float64 `json:"beta_2_decay"`
	Epsilon1      float64 `json:"epsilon_1"`
	Epsilon2      float64 `json:"epsilon_2"`
	ClipThreshold float64 `json:"clip_threshold"`
	RelativeStep  bool    `json:"relative_step"`
}

func (o *Adafactor) slots(s *slotter) {
	a := s.a
	a.byVar["r"], a.byVar["c"] = make([]*graph.Value, len(a.vars)), make([]*graph.Value, len(a.vars))
	for i, v := range a.vars {
		shape := v.Param.Data.Shape()
		if n := len(shape); n < 2 {
			a.slots = append(a.slots, Slot{Path: v.Path, Zero: true, Shape: []int{}}, Slot{Path: v.Path, Zero: true, Shape: []int{}})
		} else {
			dt := v.Param.Type.DType
			cols := append(append([]int{}, shape[:n-2]...), shape[n-1])
			a.byVar["r"][i] = a.param(o.Name+"/"+v.Path, tensor.New(dt, shape[:n-1]...))
			a.byVar["c"][i] = a.param(o.Name+"/"+v.Path, tensor.New(dt, cols...))
		}
		s.one(i, "velocity", 0)
	}
}

func (o *Adafactor) step(c *step) {
	e, w, lr, t := c.e, c.w(), c.rate(), c.t()
	rms := func(x *graph.Value) *graph.Value { return e.Sqrt(e.Mean(e.Square(x), false)) }
	root := e.Div(e.C(t, 1), e.Sqrt(t))
	if o.RelativeStep && o.LearningRate.Schedule == nil {
		lr = e.Min(lr, root)
	}
	alpha := e.Mul(e.MaxC(rms(w), o.Epsilon2), e.Min(lr, root))
	sq := e.AddC(e.Square(c.g), o.Epsilon1)
	beta := e.CSub(1, e.PowC(t, o.Beta2Decay))
	blend := func(old, x *graph.Value) *graph.Value {
		return e.Add(e.Mul(beta, old), e.Mul(e.CSub(1, beta), x))
	}
	var v *graph.Value
	if c.at("r") == nil {
		v = blend(c.slot("velocity"), sq)
	} else {
		row := c.keep("r", blend(c.slot("r"), e.Mean(sq, false, -1)))
		col := c.keep("c", blend(c.slot("c"), e.Mean(sq, false, -2)))
		v = e.Mul(e.Unsqueeze(e.Div(row, e.Mean(row, true, -1)), -1), e.Unsqueeze(col, -2))
	}
	c.keep("velocity", v)
	u := e.Div(c.g, e.Sqrt(v))
	u = e.Div(u, e.MaxC(e.DivC(rms(u), o.ClipThreshold), 1))
	c.setW(e.Sub(w, e.Mul(alpha, u)))
}

// Muon orthogonalises the momentum of matrices by Newton-Schulz steps (Jordan 2024); other variables, and
// those that match ExcludeLayers, are Adam's.
type Muon struct {
	Config
	AdamBeta1         float64  `json:"adam_beta_1"`
	AdamBeta2         float64  `json:"adam_beta_2"`
	AdamWeightDecay   *float64 `json:"adam_weight_decay"`
	AdamLRRatio       float64  `json:"adam_lr_ratio"`
	Epsilon           float64  `json:"epsilon"`
	ExcludeLayers     []string `json:"exclude_layers"`
	ExcludeEmbeddings bool     `json:"exclude_embeddings"`
	A                 float64  `json:"muon_a"`
	B                 float64  `json:"muon_b"`
	C                 float64  `json:"muon_c"`
	Momentum          float64  `json:"momentum"`
	NSSteps           int      `json:"ns_steps"`
	Nesterov          bool     `json:"nesterov"`
	RMSRate           *float64 `json:"rms_rate"`
}

func (o *Muon) adam(v Var) bool {
	if v.Param.Type.Rank() != 2 || o.ExcludeEmbeddings && strings.Contains(strings.ToLower(v.Path), "embedding") {
		return true
	}
	for _, p := range o.ExcludeLayers {
		if ok, err := regexp.MatchString(p, v.Path); ok && err == nil {
			return true
		}
	}
	return false
}

func (o *Muon) decay(v Var) (float64, bool) {
	if o.adam(v) {
		return some(o.AdamWeightDecay)
	}
	return some(o.WeightDecay)
}

func (o *Muon) slots(s *slotter) {
	for i, v := range s.a.vars {
		s.one(i, "momentum", 0)
		if o.adam(v) {
			s.one(i, "velocity", 0)
		}
	}
}

func (o *Muon) step(c *step) {
	e := c.e
	if c.at("velocity") != nil {
		m, v := c.moments(o.AdamBeta1, o.AdamBeta2)
		alpha := c.unbiased(e.MulC(c.rate(), o.AdamLRRatio), o.AdamBeta1, o.AdamBeta2)
		c.setW(e.Sub(c.w(), e.Div(e.Mul(m, alpha), e.AddC(e.Sqrt(v), o.Epsilon))))
		return
	}
	m := c.slot("momentum")
	m = c.keep("momentum", e.Add(m, e.Add(c.g, e.MulC(m, o.Momentum-1))))
	g := m
	if o.Nesterov {
		g = e.Add(c.g, e.MulC(m, o.Momentum))
	}
	shape := c.vars[c.i].Param.Data.Shape()
	u := e.Mul(c.rate(), o.orthogonalize(e, g, shape))
	if o.RMSRate != nil {
		u = e.MulC(u, math.Sqrt(float64(max(shape[0], shape[1])))*(*o.RMSRate))
	}
	c.setW(e.Sub(c.w(), u))
}

// orthogonalize is the Newton-Schulz iteration toward the nearest orthogonal matrix.
func (o *Muon) orthogonalize(e expr.E, x *graph.Value, shape []int) *graph.Value {
	tall := shape[0] > shape[1]
	if tall {
		x = e.Transpose(x, 1, 0)
	}
	x = e.Div(x, e.AddC(e.Norm(x, true), 1e-7))
	for range o.NSSteps {
		a := e.MatMul(x, e.Transpose(x, 1, 0))
		b := e.Add(e.MulC(a, o.B), e.MatMul(e.MulC(a, o.C), a))
		x = e.Add(e.MulC(x, o.A), e.MatMul(b, x))
	}
	if tall {
		x = e.Transpose(x, 1, 0)
	}
	return x
}

// ScheduleFreeAdamW averages iterates in place of a schedule (Defazio et al. 2024).
type ScheduleFreeAdamW struct {
	Config
	Beta1       float64 `json:"beta_1"`
	Beta2       float64 `json:"beta_2"`
	Epsilon     float64 `json:"epsilon"`
	WarmupSteps int     `json:"warmup_steps"`
}

func (o *ScheduleFreeAdamW) slots(s *slotter) {
	for i, v := range s.a.vars {
		s.put(i, "momentum", v.Param.Data.Clone())
		s.one(i, "velocity", 0)
	}
}

func (o *ScheduleFreeAdamW) step(c *step) {
	e, lr, y := c.e, c.rate(), c.w()
	if o.WarmupSteps > 0 {
		lr = e.Mul(lr, e.MinC(e.DivC(c.t(), float64(o.WarmupSteps)), 1))
	}
	z := c.slot("momentum")
	v := c.keep("velocity", c.toward(c.slot("velocity"), e.Square(c.g), o.Beta2))
	den := e.AddC(e.Sqrt(e.Div(v, e.CSub(1, c.pow(o.Beta2)))), o.Epsilon)
	next := c.keep("momentum", e.Sub(z, e.Div(e.Mul(lr, c.g), den)))
	weight := e.Div(e.C(lr, 1), c.t())
	// Keras means the old momentum here, but on the backend that is the reference it reads the variable
	// after the assignment above.
	x := e.DivC(e.Sub(y, e.MulC(next, 1-o.Beta1)), o.Beta1)
	x = e.Add(e.Mul(e.CSub(1, weight), x), e.Mul(weight, next))
	c.setW(e.Add(e.MulC(next, 1-o.Beta1), e.MulC(x, o.Beta1)))
}

// LossScaleOptimizer scales the loss so that small gradients survive low precision, and skips steps whose
// gradients are not finite. The scale doubles after DynamicGrowthSteps good steps and halves after a bad
// one.
type LossScaleOptimizer struct {
	Config
	Inner              Optimizer `json:"-"`
	InitialScale       float64   `json:"initial_scale"`
	DynamicGrowthSteps int       `json:"dynamic_growth_steps"`
}

func (o *LossScaleOptimizer) slots(*slotter) {}
func (o *LossScaleOptimizer) step(*step)     {}
