// Package schedule holds Keras' learning-rate schedules: the rate as a function of the optimizer's step.
package schedule

import (
	"encoding/json"
	"math"

	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/internal/errs"
)

// Schedule gives the learning rate of a step, counted from 0.
type Schedule interface {
	At(step int) float64
}

// Constant is one rate for all steps.
type Constant float64

// At implements Schedule.
func (c Constant) At(int) float64 { return float64(c) }

// ExponentialDecay multiplies the rate by DecayRate every DecaySteps steps, smoothly or (Staircase) at once.
type ExponentialDecay struct {
	InitialLearningRate float64 `json:"initial_learning_rate"`
	DecaySteps          float64 `json:"decay_steps"`
	DecayRate           float64 `json:"decay_rate"`
	Staircase           bool    `json:"staircase"`
	Name                string  `json:"name"`
}

// At implements Schedule.
func (d ExponentialDecay) At(step int) float64 {
	return d.InitialLearningRate * math.Pow(d.DecayRate, fraction(step, d.DecaySteps, d.Staircase))
}

// fraction is step/n, in float32 where its floor is taken, as Keras computes it.
func fraction(step int, n float64, floor bool) float64 {
	if floor {
		return math.Floor(float64(float32(step) / float32(n)))
	}
	return float64(step) / n
}

// InverseTimeDecay divides the rate by 1 + DecayRate*step/DecaySteps.
type InverseTimeDecay struct {
	InitialLearningRate float64 `json:"initial_learning_rate"`
	DecaySteps          float64 `json:"decay_steps"`
	DecayRate           float64 `json:"decay_rate"`
	Staircase           bool    `json:"staircase"`
	Name                string  `json:"name"`
}

// At implements Schedule.
func (d InverseTimeDecay) At(step int) float64 {
	return d.InitialLearningRate / (1 + d.DecayRate*fraction(step, d.DecaySteps, d.Staircase))
}

// PiecewiseConstantDecay is Values[i] up to and including step Boundaries[i], the last value after them.
type PiecewiseConstantDecay struct {
	Boundaries []float64 `json:"boundaries"`
	Values     []float64 `json:"values"`
	Name       string    `json:"name"`
}

// At implements Schedule.
func (d PiecewiseConstantDecay) At(step int) float64 {
	for i, b := range d.Boundaries {
		// Keras casts the boundaries to the step's integer type.
		if float64(step) <= math.Trunc(b) {
			return d.Values[i]
		}
	}
	return d.Values[len(d.Values)-1]
}

// PolynomialDecay goes from InitialLearningRate to EndLearningRate in DecaySteps steps by a power; with
// Cycle the steps are stretched to the next multiple of DecaySteps.
type PolynomialDecay struct {
	InitialLearningRate float64 `json:"initial_learning_rate"`
	DecaySteps          float64 `json:"decay_steps"`
	EndLearningRate     float64 `json:"end_learning_rate"`
	Power               float64 `json:"power"`
	Cycle               bool    `json:"cycle"`
	Name                string  `json:"name"`
}

// At implements Schedule.
func (d PolynomialDecay) At(step int) float64 {
	s, n := float64(step), d.DecaySteps
	if !d.Cycle {
		s = min(s, n)
	} else if step > 0 {
		n *= math.Ceil(float64(float32(step) / float32(d.DecaySteps)))
	}
	return (d.InitialLearningRate-d.EndLearningRate)*math.Pow(1-s/n, d.Power) + d.EndLearningRate
}

// CosineDecay goes down a half cosine to Alpha times the rate in DecaySteps steps, after a linear warmup to
// WarmupTarget in WarmupSteps where a target is given.
type CosineDecay struct {
	InitialLearningRate float64  `json:"initial_learning_rate"`
	DecaySteps          float64  `json:"decay_steps"`
	Alpha               float64  `json:"alpha"`
	Name                string   `json:"name"`
	WarmupTarget        *float64 `json:"warmup_target"`
	WarmupSteps         float64  `json:"warmup_steps"`
}

// At implements Schedule.
func (d CosineDecay) At(step int) float64 {
	s := float64(step)
	if d.WarmupTarget == nil {
		return d.cosine(min(s, d.DecaySteps), d.InitialLearningRate)
	}
	if s < d.WarmupSteps {
		return (*d.WarmupTarget-d.InitialLearningRate)*s/d.WarmupSteps + d.InitialLearningRate
	}
	return d.cosine(min(s-d.WarmupSteps, d.DecaySteps), *d.WarmupTarget)
}

func (d CosineDecay) cosine(s, from float64) float64 {
	c := 0.5 * (1 + math.Cos(math.Pi*s/d.DecaySteps))
	return from * ((1-d.Alpha)*c + d.Alpha)
}

// CosineDecayRestarts is CosineDecay that starts again: the first period is FirstDecaySteps, each next one
// TMul times as long and MMul times as high (Loshchilov and Hutter, "SGDR", 2017).
type CosineDecayRestarts struct {
	InitialLearningRate float64 `json:"initial_learning_rate"`
	FirstDecaySteps     float64 `json:"first_decay_steps"`
	TMul                float64 `json:"t_mul"`
	MMul                float64 `json:"m_mul"`
	Alpha               float64 `json:"alpha"`
	Name                string  `json:"name"`
}

// At implements Schedule.
func (d CosineDecayRestarts) At(step int) float64 {
	done := float64(step) / d.FirstDecaySteps
	var i float64
	if d.TMul == 1 {
		i = math.Floor(done)
		done -= i
	} else {
		// Where the quotient of logarithms lies on a whole number, float32 decides as in Keras.
		num := float32(math.Log(float64(1 - float32(done)*(1-float32(d.TMul)))))
		i = math.Floor(float64(num / float32(math.Log(d.TMul))))
		r := math.Pow(d.TMul, i)
		done = (done - (1-r)/(1-d.TMul)) / r
	}
	c := 0.5 * math.Pow(d.MMul, i) * (1 + math.Cos(math.Pi*done))
	return d.InitialLearningRate * ((1-d.Alpha)*c + d.Alpha)
}

// table is every schedule with Keras' defaults.
var table = classes.Table{Package: "schedule", Kind: "schedule", Rows: []classes.Row{
	{Default: ExponentialDecay{Name: "ExponentialDecay"}, Names: []string{"ExponentialDecay", "exponential_decay"}},
	{Default: InverseTimeDecay{Name: "InverseTimeDecay"}, Names: []string{"InverseTimeDecay", "inverse_time_decay"}},
	{Default: PiecewiseConstantDecay{Name: "PiecewiseConstant"}, Names: []string{"PiecewiseConstantDecay", "piecewise_constant_decay"}},
	{Default: PolynomialDecay{EndLearningRate: 0.0001, Power: 1, Name: "PolynomialDecay"},
		Names: []string{"PolynomialDecay", "polynomial_decay"}},
	{Default: CosineDecay{Name: "CosineDecay"}, Names: []string{"CosineDecay", "cosine_decay"}},
	{Default: CosineDecayRestarts{TMul: 2, MMul: 1, Name: "SGDRDecay"}, Names: []string{"CosineDecayRestarts", "cosine_decay_restarts"}},
}}

// Decode makes the schedule of a Keras class name from its config.
func Decode(class string, config json.RawMessage) (Schedule, error) {
	v, err := table.Decode(class, config)
	if err != nil {
		return nil, err
	}
	s := v.(Schedule)
	return s, check(table.ClassName(s), s)
}

// Encode is s's class name and config as Keras writes them.
func Encode(s Schedule) (class string, config json.RawMessage, err error) {
	return table.Encode(s)
}

func check(class string, s Schedule) error {
	steps := 1.0
	switch d := s.(type) {
	case ExponentialDecay:
		steps = d.DecaySteps
	case InverseTimeDecay:
		steps = d.DecaySteps
	case PolynomialDecay:
		steps = d.DecaySteps
	case CosineDecay:
		steps = d.DecaySteps
	case CosineDecayRestarts:
		steps = d.FirstDecaySteps
	case PiecewiseConstantDecay:
		if len(d.Values) != len(d.Boundaries)+1 {
			return errs.Errorf("schedule: %s has %d values for %d boundaries", class, len(d.Values), len(d.Boundaries))
		}
	}
	if !(steps > 0) {
		return errs.Errorf("schedule: %s over %v steps", class, steps)
	}
	return nil
}
