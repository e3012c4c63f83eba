package keras

import (
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// convert turns the arrays that an older Keras stored for a layer into those that Keras 3 stores.
func (b *binder) convert(l layers.Layer, ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if b.d.major >= 3 {
		return vs, nil
	}
	return b.convertLayer(l, ws, vs)
}

func (b *binder) convertLayer(l layers.Layer, ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	switch l := l.(type) {
	case *layers.Model:
		return b.convertModel(l, ws, vs)
	case *layers.Bidirectional:
		half := len(vs) / 2
		fw, err := b.convertLayer(l.Layer, ws[:len(ws)/2], vs[:half])
		if err != nil {
			return nil, err
		}
		bw, err := b.convertLayer(l.BackwardLayer, ws[len(ws)/2:], vs[half:])
		return append(slices.Clone(fw), bw...), err
	case *layers.TimeDistributed:
		return b.convertLayer(l.Layer, ws, vs)
	}
	vs = slices.Clone(vs)
	switch l := l.(type) {
	case *layers.Conv1D, *layers.Conv2D, *layers.Conv3D, *layers.Conv2DTranspose, *layers.Conv1DTranspose, *layers.Conv3DTranspose:
		return b.convertConv(l, ws, vs)
	case *layers.ConvLSTM1D, *layers.ConvLSTM2D, *layers.ConvLSTM3D:
		return b.convertConvLSTM(ws, vs)
	case *layers.LSTM:
		return convertLSTM(ws, vs)
	case *layers.GRU:
		return convertGRU(l, ws, vs)
	}
	return vs, nil
}

// convertModel converts an inner model's arrays: all its layers' trainable weights, then all others.
func (b *binder) convertModel(m *layers.Model, ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(ws) != len(vs) {
		return vs, nil
	}
	at := map[*layers.Weight]int{}
	for i, w := range ws {
		at[w] = i
	}
	out := slices.Clone(vs)
	for _, l := range m.Layers() {
		inner := legacyWeights(b.file.Model, l)
		part := make([]*tensor.Tensor, len(inner))
		for i, w := range inner {
			k, ok := at[w]
			if !ok {
				return vs, nil
			}
			part[i] = vs[k]
		}
		if len(part) == 0 {
			continue
		}
		part, err := b.convertLayer(l, inner, part)
		if err != nil {
			return nil, err
		}
		for i, w := range inner {
			if i < len(part) {
				out[at[w]] = part[i]
			}
		}
	}
	return out, nil
}

// convertConv brings a kernel into the order spatial..., in, out (out, in for transposed ones), and turns
// Theano's, which are for true convolution, around.
func (b *binder) convertConv(l layers.Layer, ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(vs) == 0 || len(ws) == 0 {
		return vs, nil
	}
	k, want := vs[0], ws[0].Shape
	rank := len(want) - 2
	var err error
	if b.d.major == 1 {
		if k, err = b.convertKernel1(k, want, rank); err != nil {
			return nil, err
		}
	}
	if b.d.theano && slices.Equal(k.Shape(), want) {
		if k, err = flip(k, rank); err != nil {
			return nil, err
		}
	}
	_ = l
	vs[0] = k
	return vs, nil
}

// convertKernel1 is a kernel of Keras 1 in Keras 2's order: on channels-first models, and in files that
// were converted by hand, it is out, in, spatial...; a Conv1D's has a spatial dimension of 1 more.
func (b *binder) convertKernel1(k *tensor.Tensor, want []int, rank int) (*tensor.Tensor, error) {
	s := k.Shape()
	if rank == 1 && len(s) == 4 {
		switch {
		case s[1] == 1 && slices.Equal([]int{s[0], s[2], s[3]}, want):
			return k.Reshape(want...)
		case s[3] == 1: // out, in, length, 1
			t, err := transpose(k, 2, 3, 1, 0)
			if err != nil {
				return nil, err
			}
			return t.Reshape(s[2], s[1], s[0])
		}
		return k, nil
	}
	if len(s) != rank+2 {
		return k, nil
	}
	first := append(slices.Clone(s[2:]), s[1], s[0])
	if slices.Equal(first, want) && (!slices.Equal(s, want) || b.firstOrder(want)) {
		perm := make([]int, 0, rank+2)
		for i := range rank {
			perm = append(perm, i+2)
		}
		return transpose(k, append(perm, 1, 0)...)
	}
	return k, nil
}

// firstOrder decides where the shape doesn't: a kernel whose every order has one shape.
func (b *binder) firstOrder([]int) bool { return b.d.theano }

// convertConvLSTM joins Keras 1's twelve arrays, and turns Theano's kernels around.
func (b *binder) convertConvLSTM(ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(vs) == 12 {
		var err error
		if vs, err = joinLSTM(vs); err != nil {
			return nil, err
		}
	}
	for i := range min(2, len(vs), len(ws)) {
		rank := len(ws[i].Shape) - 2
		k := vs[i]
		var err error
		if b.d.major == 1 {
			if k, err = b.convertKernel1(k, ws[i].Shape, rank); err != nil {
				return nil, err
			}
		}
		if b.d.theano {
			if k, err = flip(k, rank); err != nil {
				return nil, err
			}
		}
		vs[i] = k
	}
	return vs, nil
}

// joinLSTM joins the arrays of Keras 1 (W, U, b of input gate, candidate, forget gate, output gate) to
// kernel, recurrent kernel and bias in the order input, forget, candidate, output.
func joinLSTM(vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	out := make([]*tensor.Tensor, 3)
	for i := range out {
		var err error
		if out[i], err = concatLast(vs[i], vs[6+i], vs[3+i], vs[9+i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// convertLSTM joins Keras 1's arrays, and converts CuDNNLSTM's.
func convertLSTM(ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(vs) == 12 {
		return joinLSTM(vs)
	}
	if len(vs) == 3 && len(ws) == 3 && len(vs[2].Shape()) == 1 && vs[2].Dim(0) == 2*ws[2].Shape[0] {
		out, err := cudnnKernels(vs, 4)
		if err != nil {
			return nil, err
		}
		out[2], err = addHalves(vs[2])
		return out, err
	}
	return vs, nil
}

// convertGRU joins Keras 1's nine arrays, and converts CuDNNGRU's.
func convertGRU(l *layers.GRU, ws []*layers.Weight, vs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(vs) == 9 {
		out := make([]*tensor.Tensor, 3)
		for i := range out {
			var err error
			if out[i], err = concatLast(vs[i], vs[3+i], vs[6+i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if len(vs) == 3 && len(ws) == 3 && !l.ResetBefore && len(vs[2].Shape()) == 1 && vs[2].Dim(0) == 6*l.Units {
		out, err := cudnnKernels(vs, 3)
		if err != nil {
			return nil, err
		}
		out[2], err = vs[2].Reshape(2, 3*l.Units)
		return out, err
	}
	return vs, nil
}

// cudnnKernels turns the kernels of CuDNNLSTM and CuDNNGRU into those of LSTM and GRU: the input kernel of
// each gate is the same numbers in the other order of storage, the recurrent one is transposed.
func cudnnKernels(vs []*tensor.Tensor, gates int) ([]*tensor.Tensor, error) {
	out := slices.Clone(vs)
	for i := range 2 {
		s := vs[i].Shape()
		if len(s) != 2 || s[1]%gates != 0 {
			return nil, errs.Errorf("a kernel of shape %v for %d gates", s, gates)
		}
		src, err := vs[i].Float64s()
		if err != nil {
			return nil, err
		}
		n, u := s[0], s[1]/gates
		dst := make([]float64, len(src))
		for g := range gates {
			for r := range n {
				for c := range u {
					from := r*s[1] + g*u + c
					if i == 0 { // row-major numbers read column-major
						k := c*n + r
						from = k/u*s[1] + g*u + k%u
					} else {
						from = c*s[1] + g*u + r
					}
					dst[r*s[1]+g*u+c] = src[from]
				}
			}
		}
		t := tensor.New(vs[i].DType(), s...)
		if err := t.SetFloat64s(dst); err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

func addHalves(v *tensor.Tensor) (*tensor.Tensor, error) {
	fs, err := v.Float64s()
	if err != nil {
		return nil, err
	}
	n := len(fs) / 2
	t := tensor.New(v.DType(), n)
	for i := range n {
		fs[i] += fs[n+i]
	}
	return t, t.SetFloat64s(fs[:n])
}

// flip reverses the first rank dimensions.
func flip(k *tensor.Tensor, rank int) (*tensor.Tensor, error) {
	shape := k.Shape()
	if len(shape) < rank {
		return nil, errs.Errorf("a kernel of shape %v has no %d spatial dimensions", shape, rank)
	}
	spatial := 1
	for _, n := range shape[:rank] {
		spatial *= n
	}
	if spatial == 0 || k.Len() == 0 {
		return k, nil
	}
	out := tensor.New(k.DType(), shape...)
	size := len(k.Bytes()) / spatial
	for i := range spatial {
		copy(out.Bytes()[(spatial-1-i)*size:(spatial-i)*size], k.Bytes()[i*size:(i+1)*size])
	}
	return out, nil
}

// transpose permutes the dimensions.
func transpose(t *tensor.Tensor, perm ...int) (*tensor.Tensor, error) {
	shape := t.Shape()
	if len(perm) != len(shape) {
		return nil, errs.Errorf("an array of shape %v where %d dimensions are expected", shape, len(perm))
	}
	strides := tensor.Strides(shape)
	to, from := make([]int, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		to[i], from[i] = shape[p], strides[p]
	}
	out := tensor.New(t.DType(), to...)
	size := t.DType().Size()
	index := make([]int, len(to))
	for i := range out.Len() {
		at := 0
		for j, x := range index {
			at += x * from[j]
		}
		copy(out.Bytes()[i*size:(i+1)*size], t.Bytes()[at*size:])
		for j := len(index) - 1; j >= 0; j-- {
			if index[j]++; index[j] < to[j] {
				break
			}
			index[j] = 0
		}
	}
	return out, nil
}

// concatLast joins arrays along their last dimension.
func concatLast(vs ...*tensor.Tensor) (*tensor.Tensor, error) {
	first := vs[0].Shape()
	if len(first) == 0 {
		return nil, errs.Errorf("scalars can't be joined")
	}
	n := len(first) - 1
	rows, width := 1, 0
	for _, d := range first[:n] {
		rows *= d
	}
	for _, v := range vs {
		if v.Rank() != len(first) || !slices.Equal(v.Shape()[:n], first[:n]) || v.DType() != vs[0].DType() {
			return nil, errs.Errorf("arrays of shapes %v and %v can't be joined", first, v.Shape())
		}
		width += v.Dim(n)
	}
	out := tensor.New(vs[0].DType(), append(slices.Clone(first[:n]), width)...)
	size := vs[0].DType().Size()
	at := 0
	for r := range rows {
		for _, v := range vs {
			w := v.Dim(n) * size
			at += copy(out.Bytes()[at:], v.Bytes()[r*w:(r+1)*w])
		}
	}
	return out, nil
}
