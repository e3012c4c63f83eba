package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
)

// Shape is the input's shape, batch included, -1 for None.
func (l *InputLayer) Shape() []int {
	if l.BatchShape != nil {
		return l.BatchShape
	}
	return l.BatchInputShape
}

// ElementType is the name of the input's element type.
func (l *InputLayer) ElementType() string {
	if l.InputDType == "" {
		return "float32"
	}
	return policyInput(l.InputDType)
}

// TensorType is the type of a tensor in inner, which is m or a model in it. m has to be built.
func (m *Model) TensorType(inner *Model, t *Tensor) (graph.Type, bool) {
	if m.root == nil {
		return graph.Type{}, false
	}
	calls := m.root.calls[t.node.layer]
	i := inner.NodeIndex(t)
	if i < 0 || i >= len(calls) || t.index >= len(calls[i]) {
		return graph.Type{}, false
	}
	return calls[i][t.index], true
}

// InputTypes is the types that a layer's first call got. m has to be built.
func (m *Model) InputTypes(l Layer) []graph.Type {
	if m.root == nil || len(m.root.inputs[l]) == 0 {
		return nil
	}
	return m.root.inputs[l][0]
}

// OutputTypes is the types that each call of a layer gave, in order. m has to be built.
func (m *Model) OutputTypes(l Layer) [][]graph.Type {
	if m.root == nil {
		return nil
	}
	return m.root.calls[l]
}

// Path is the layers around a weight, from m to the one that declared it.
func (m *Model) Path(w *Weight) []Layer {
	if m.root == nil {
		return nil
	}
	var out []Layer
	for s := findState(m.root.st, w.Layer); s != nil; s = s.parent {
		out = append(out, s.layer)
	}
	slices.Reverse(out)
	return out
}

// PadsUnevenly reports whether a layer pads by TheanoSame where that isn't what "same" does.
func PadsUnevenly(m *Model, l Layer) bool {
	var size, strides, dilations []int
	var padding, dataFormat string
	pool := false
	switch l := l.(type) {
	case *Conv1D, *Conv2D, *Conv3D:
		c := convConfigOf(l)
		size, strides, dilations, padding, dataFormat = c.KernelSize, c.Strides, c.DilationRate, c.Padding, c.DataFormat
	case *DepthwiseConv1D:
		size, strides, dilations, padding, dataFormat = l.KernelSize, l.Strides, l.DilationRate, l.Padding, l.DataFormat
	case *DepthwiseConv2D:
		size, strides, dilations, padding, dataFormat = l.KernelSize, l.Strides, l.DilationRate, l.Padding, l.DataFormat
	case *SeparableConv1D:
		size, strides, dilations, padding, dataFormat = l.KernelSize, l.Strides, l.DilationRate, l.Padding, l.DataFormat
	case *SeparableConv2D:
		size, strides, dilations, padding, dataFormat = l.KernelSize, l.Strides, l.DilationRate, l.Padding, l.DataFormat
	default:
		c := poolConfigOf(l)
		if c == nil {
			return false
		}
		size, strides, padding, dataFormat, pool = c.PoolSize, c.Strides, c.Padding, c.DataFormat, true
	}
	if padding != TheanoSame {
		return false
	}
	ins := m.InputTypes(l)
	if len(ins) == 0 || len(ins[0].Dims) != len(size)+2 || len(strides) != len(size) {
		return true
	}
	for i, k := range size {
		n, ok := ins[0].Dims[spatialAxis(i, dataFormat == "channels_first")].Const()
		if !ok {
			return true
		}
		if len(dilations) == len(size) {
			k = (k-1)*dilations[i] + 1
		}
		front := k / 2
		if pool {
			front = k - 1
			if k > 2 && k%2 == 1 {
				front = k - 2
			}
		}
		total := max(((n+strides[i]-1)/strides[i]-1)*strides[i]+k-n, 0)
		if front != total/2 {
			return true
		}
	}
	return false
}

func convConfigOf(l Layer) *ConvConfig {
	switch l := l.(type) {
	case *Conv1D:
		return (*ConvConfig)(l)
	case *Conv2D:
		return (*ConvConfig)(l)
	case *Conv3D:
		return (*ConvConfig)(l)
	}
	return nil
}

func poolConfigOf(l Layer) *PoolConfig {
	switch l := l.(type) {
	case *MaxPooling1D:
		return (*PoolConfig)(l)
	case *MaxPooling2D:
		return (*PoolConfig)(l)
	case *MaxPooling3D:
		return (*PoolConfig)(l)
	case *AveragePooling1D:
		return (*PoolConfig)(l)
	case *AveragePooling2D:
		return (*PoolConfig)(l)
	case *AveragePooling3D:
		return (*PoolConfig)(l)
	}
	return nil
}

// HasTorchPadding reports whether a layer of m pads by TorchSame.
func HasTorchPadding(m *Model) bool {
	return slices.ContainsFunc(m.layers, func(l Layer) bool {
		if sub, ok := l.(*Model); ok && sub != m {
			return HasTorchPadding(sub)
		}
		c := poolConfigOf(l)
		return c != nil && c.Padding == TorchSame
	})
}

// HasPlainSamePadding reports whether an average pooling of m pads by "same", which Keras 3 does not do alike
// on all backends.
func HasPlainSamePadding(m *Model) bool {
	return slices.ContainsFunc(m.layers, func(l Layer) bool {
		switch l := l.(type) {
		case *Model:
			return l != m && HasPlainSamePadding(l)
		case *AveragePooling1D, *AveragePooling2D, *AveragePooling3D:
			return poolConfigOf(l).Padding == "same" || poolConfigOf(l).Padding == TheanoSame
		}
		return false
	})
}

// Initialize builds the model and gives every weight without a value one from its initializer. A seed gives
// the same weights everywhere.
func (m *Model) Initialize(seed uint64) error {
	if err := m.Build(); err != nil {
		return err
	}
	return m.initialize(seed)
}

// TorchPadsUnevenly reports whether an average pooling pads as Keras 3 does on torch where that differs from
// the other backends.
func TorchPadsUnevenly(m *Model, l Layer) bool {
	c := poolConfigOf(l)
	if c == nil || c.Padding != TorchSame {
		return false
	}
	ins := m.InputTypes(l)
	if len(ins) == 0 || len(ins[0].Dims) != len(c.PoolSize)+2 || len(c.Strides) != len(c.PoolSize) {
		return true
	}
	for i, k := range c.PoolSize {
		n, ok := ins[0].Dims[spatialAxis(i, c.DataFormat == "channels_first")].Const()
		if !ok || max(((n+c.Strides[i]-1)/c.Strides[i]-1)*c.Strides[i]+k-n, 0)%2 != 0 {
			return true
		}
	}
	return false
}
