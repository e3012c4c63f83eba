package initializer

import (
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// Fans is the config that Glorot's, He's and LeCun's initializers share.
type Fans struct {
	Seeded
	InputAxes  Axes `json:"input_axes"`
	OutputAxes Axes `json:"output_axes"`
}

func (f Fans) scaling(scale float64, mode, dist string) VarianceScaling {
	return VarianceScaling{Seeded: f.Seeded, Scale: scale, Mode: mode, Distribution: dist,
		InputAxes: f.InputAxes, OutputAxes: f.OutputAxes}
}

// GlorotUniform is VarianceScaling 1, fan_avg, uniform: Keras' default for kernels.
type GlorotUniform struct{ Fans }

// Fill implements Initializer.
func (d GlorotUniform) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	return d.scaling(1, "fan_avg", "uniform").Fill(t, rng)
}

// GlorotNormal is VarianceScaling 1, fan_avg, truncated_normal.
type GlorotNormal struct{ Fans }

// Fill implements Initializer.
func (d GlorotNormal) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	return d.scaling(1, "fan_avg", "truncated_normal").Fill(t, rng)
}

// HeUniform is VarianceScaling 2, fan_in, uniform.
type HeUniform struct{ Fans }

// Fill implements Initializer.
func (d HeUniform) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	return d.scaling(2, "fan_in", "uniform").Fill(t, rng)
}

// HeNormal is VarianceScaling 2, fan_in, truncated_normal.
type HeNormal struct{ Fans }

// Fill implements Initializer.
func (d HeNormal) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	return d.scaling(2, "fan_in", "truncated_normal").Fill(t, rng)
}

// LecunUniform is VarianceScaling 1, fan_in, uniform.
type LecunUniform struct{ Fans }

// Fill implements Initializer.
func (d LecunUniform) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	return d.scaling(1, "fan_in", "uniform").Fill(t, rng)
}

// LecunNormal is VarianceScaling 1, fan_in, truncated_normal.
type LecunNormal struct{ Fans }

// Fill implements Initializer.
func (d LecunNormal) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	return d.scaling(1, "fan_in", "truncated_normal").Fill(t, rng)
}
