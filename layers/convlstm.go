package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
)

// ConvLSTMConfig is the config of the convolutional LSTMs and of their cells. Fields tagged "only" belong to
// the classes listed there: in others they must be left at zero.
type ConvLSTMConfig struct {
	Base
	ReturnSequences      bool `only:"ConvLSTM1D ConvLSTM2D ConvLSTM3D"`
	ReturnState          bool `only:"ConvLSTM1D ConvLSTM2D ConvLSTM3D"`
	GoBackwards          bool `only:"ConvLSTM1D ConvLSTM2D ConvLSTM3D"`
	Stateful             bool `only:"ConvLSTM1D ConvLSTM2D ConvLSTM3D"`
	Unroll               bool `only:"ConvLSTM1D ConvLSTM2D ConvLSTM3D"`
	ZeroOutputForMask    bool `only:"ConvLSTM1D ConvLSTM2D ConvLSTM3D"`
	Filters              int
	KernelSize           []int
	Strides              []int      // nil: 1
	Padding              string     `def:"\"valid\""`
	DataFormat           string     `def:"\"channels_last\""`
	DilationRate         []int      // nil: 1
	Activation           Activation `def:"\"tanh\""`
	RecurrentActivation  Activation `def:"\"sigmoid\""`
	NoBias               bool       `keras:"use_bias,not"`
	KernelInitializer    *Object    `init:"GlorotUniform"`
	RecurrentInitializer *Object    `init:"Orthogonal"`
	BiasInitializer      *Object    `init:"Zeros"`
	NoUnitForgetBias     bool       `keras:"unit_forget_bias,not"`
	KernelRegularizer    *Object
	RecurrentRegularizer *Object
	BiasRegularizer      *Object
	ActivityRegularizer  *Object
	KernelConstraint     *Object
	RecurrentConstraint  *Object
	BiasConstraint       *Object
	Dropout              float64 `def:"0.0"`
	RecurrentDropout     float64 `def:"0.0"`
	Seed                 *int

	cell *ConvLSTMConfig // of a layer: what it runs
}

// The convolutional LSTMs are LSTMs over sequences of images, whose products are convolutions.
type (
	ConvLSTM1D ConvLSTMConfig // one spatial dimension
	ConvLSTM2D ConvLSTMConfig // two spatial dimensions
	ConvLSTM3D ConvLSTMConfig // three spatial dimensions
)

// The cells of the convolutional LSTMs.
type (
	ConvLSTM1DCell ConvLSTMConfig // one spatial dimension
	ConvLSTM2DCell ConvLSTMConfig // two spatial dimensions
	ConvLSTM3DCell ConvLSTMConfig // three spatial dimensions
)

func (l *ConvLSTM1D) flags() rnnFlags { return (*ConvLSTMConfig)(l).flags() }
func (l *ConvLSTM2D) flags() rnnFlags { return (*ConvLSTMConfig)(l).flags() }
func (l *ConvLSTM3D) flags() rnnFlags { return (*ConvLSTMConfig)(l).flags() }

// Call implements Layer.
func (l *ConvLSTM1D) Call(c *Call) []*graph.Value {
	return c.recur((*ConvLSTM1DCell)((*ConvLSTMConfig)(l).makeCell()), l.flags())
}

// Call implements Layer.
func (l *ConvLSTM2D) Call(c *Call) []*graph.Value {
	return c.recur((*ConvLSTM2DCell)((*ConvLSTMConfig)(l).makeCell()), l.flags())
}

// Call implements Layer.
func (l *ConvLSTM3D) Call(c *Call) []*graph.Value {
	return c.recur((*ConvLSTM3DCell)((*ConvLSTMConfig)(l).makeCell()), l.flags())
}

// Call implements Layer.
func (l *ConvLSTM1DCell) Call(c *Call) []*graph.Value { return callCell(c, l) }

// Call implements Layer.
func (l *ConvLSTM2DCell) Call(c *Call) []*graph.Value { return callCell(c, l) }

// Call implements Layer.
func (l *ConvLSTM3DCell) Call(c *Call) []*graph.Value { return callCell(c, l) }

// Prepare implements Cell.
func (l *ConvLSTM1DCell) Prepare(c *Call, x *graph.Value) *Step {
	return (*ConvLSTMConfig)(l).prepare(c, x, 1)
}

// Prepare implements Cell.
func (l *ConvLSTM2DCell) Prepare(c *Call, x *graph.Value) *Step {
	return (*ConvLSTMConfig)(l).prepare(c, x, 2)
}

// Prepare implements Cell.
func (l *ConvLSTM3DCell) Prepare(c *Call, x *graph.Value) *Step {
	return (*ConvLSTMConfig)(l).prepare(c, x, 3)
}

func (l *ConvLSTMConfig) flags() rnnFlags {
	return rnnFlags{&l.ReturnSequences, &l.ReturnState, &l.GoBackwards, l.Stateful, l.Unroll, l.ZeroOutputForMask}
}

// makeCell is the config of the layer's cell, the same one each time.
func (l *ConvLSTMConfig) makeCell() *ConvLSTMConfig {
	if l.cell == nil {
		l.cell = &ConvLSTMConfig{Base: Named("conv_lstm_cell")}
	}
	base := l.cell.Base
	*l.cell = *l
	l.cell.Base, l.cell.cell = base, nil
	return l.cell
}

// prepare declares the weights of a cell over that many spatial dimensions. x has a time axis where it has
// one dimension more than an image; then Project works on all steps as one batch.
func (l *ConvLSTMConfig) prepare(c *Call, x *graph.Value, rank int) *Step {
	if r := c.rank(x); r != rank+2 && r != rank+3 {
		c.Failf("takes images or sequences of images of %d dimensions, got %v", rank, x.Type)
		return &Step{}
	}
	cf := c.channelsFirst(l.DataFormat)
	c.spreadKernel(rank, &l.KernelSize, &l.Strides, &l.DilationRate)
	in := c.dim(x, -1)
	if cf {
		in = c.dim(x, -rank-1)
	}
	n := l.Filters
	k := c.Weight("kernel", append(slices.Clone(l.KernelSize), in, 4*n), With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	r := c.Weight("recurrent_kernel", append(slices.Clone(l.KernelSize), n, 4*n), With(orInit(l.RecurrentInitializer, "Orthogonal"), l.RecurrentRegularizer, l.RecurrentConstraint))
	var b *graph.Value
	if !l.NoBias {
		b = c.Weight("bias", []int{4 * n}, With(lstmBias(l.BiasInitializer, l.NoUnitForgetBias), l.BiasRegularizer, l.BiasConstraint))
	}
	act, rec := l.Activation.orDefault("tanh"), l.RecurrentActivation.orDefault("sigmoid")
	channels := rank + 1
	if cf {
		channels = 1
	}
	ones := repeat(1, rank)
	project := func(x *graph.Value) *graph.Value {
		x = c.stepDropout(x, l.Dropout, l.Seed)
		return c.conv(x, k, b, convSpec{l.Strides, l.DilationRate, l.Padding, 1, cf})
	}
	return &Step{
		Project: func(x *graph.Value) *graph.Value {
			if c.rank(x) == rank+2 || c.Err() != nil {
				return project(x)
			}
			d := x.Type.Dims
			flat := c.reshape(x, append([]graph.Dim{d[0].Mul(d[1])}, d[2:]...))
			y := project(flat)
			return c.reshape(y, append([]graph.Dim{d[0], d[1]}, y.Type.Dims[1:]...), x, y)
		},
		Run: func(x *graph.Value, s []*graph.Value) (*graph.Value, []*graph.Value) {
			h := c.conv(s[0], r, nil, convSpec{ones, ones, "same", 1, cf})
			g := c.split(c.add(x, h), channels, n, n, n, n)
			return c.lstmGates(g, s[1], act, rec)
		},
		States: func(x *graph.Value) []*graph.Value {
			if c.Err() != nil {
				return []*graph.Value{x, x}
			}
			dims := slices.Clone(x.Type.Dims)
			dims[channels] = graph.D(n)
			z := c.zeros(x.Type.DType, dims, x)
			return []*graph.Value{z, z}
		},
	}
}
