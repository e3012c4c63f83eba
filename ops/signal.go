package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// signalOps is the family of signal processing.
var signalOps = []Info{
	{DFT{}, "the discrete Fourier transform along an axis"},
	{STFT{Onesided: true}, "Fourier transforms of the frames of a signal"},
	{HannWindow{Periodic: true}, "the Hann window"},
	{HammingWindow{Periodic: true}, "the Hamming window"},
	{BlackmanWindow{Periodic: true}, "the Blackman window"},
	{MelWeightMatrix{}, "the weights of mel frequency bands"},
}

// DFT is the discrete Fourier transform along an axis: inputs the signal, whose last axis is real (1) or
// complex (2); an optional length to cut or pad to; and an optional axis (default -2). Inverse divides by the
// length. Onesided gives the first half of the spectrum of a real signal, or with Inverse takes it.
type DFT struct {
	Inverse  bool
	Onesided bool
}

// Name implements graph.Op.
func (DFT) Name() string { return "DFT" }

// Infer implements graph.Op.
func (d DFT) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 3); err != nil {
		return nil, err
	}
	x := in[0]
	if !x.DType.IsFloat() {
		return nil, errs.Errorf("a signal of %v", x.DType)
	}
	parts := 2
	if d.Inverse && d.Onesided {
		parts = 1
	}
	r := x.Rank()
	if r < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	if r < 2 {
		return nil, errs.Errorf("a signal %v", x)
	}
	if n, ok := x.Dims[r-1].Const(); ok && (n != 1 && n != 2 || n == 2 && d.Onesided && !d.Inverse || n == 1 && d.Onesided && d.Inverse) {
		return nil, errs.Errorf("a last axis of %d in %v (onesided %t, inverse %t)", n, x, d.Onesided, d.Inverse)
	}
	dims := append([]graph.Dim{}, x.Dims...)
	dims[r-1] = graph.D(parts)
	axis := -2
	if present(in, 2) {
		vs, ok := knownInts(in, 2)
		if !ok || len(vs) != 1 {
			for i := range dims[:r-1] {
				dims[i] = graph.Unknown()
			}
			return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
		}
		axis = vs[0]
	}
	axis, err := normAxis(axis, r)
	if err != nil || axis == r-1 {
		return nil, errs.Errorf("axis %d of %v", axis, x)
	}
	length := x.Dims[axis]
	if parts == 1 {
		length = length.Sub(graph.D(1)).Mul(graph.D(2))
	}
	if present(in, 1) {
		length = graph.Unknown()
		if ds, ok := in[1].Contents(); ok && len(ds) == 1 {
			length = ds[0]
		}
	}
	if n, ok := length.Const(); ok && n < 1 {
		return nil, errs.Errorf("a length of %d", n)
	}
	if d.Onesided && !d.Inverse && !length.IsUnknown() {
		length = length.Div(graph.D(2)).Add(graph.D(1))
	}
	dims[axis] = length
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// STFT is the Fourier transforms of the windowed frames of a signal: inputs signal (batch, length, 1 or 2),
// frame step, optional window, and optional frame length, of which one must be given.
type STFT struct {
	Onesided bool // only the first half of each spectrum; ONNX's default is true
}

// Name implements graph.Op.
func (STFT) Name() string { return "STFT" }

// Infer implements graph.Op.
func (s STFT) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 4); err != nil {
		return nil, err
	}
	x := in[0]
	if !x.DType.IsFloat() {
		return nil, errs.Errorf("a signal of %v", x.DType)
	}
	if r := x.Rank(); r >= 0 && r != 3 {
		return nil, errs.Errorf("the signal %v is not of shape batch, length, 1 or 2", x)
	}
	if !present(in, 2) && !present(in, 3) {
		return nil, errs.Errorf("takes a window or a frame length")
	}
	length := graph.Unknown()
	if present(in, 3) {
		if ds, ok := in[3].Contents(); ok && len(ds) == 1 {
			length = ds[0]
		}
	} else if in[2].Rank() == 1 {
		length = in[2].Dims[0]
	}
	dims := []graph.Dim{graph.Unknown(), graph.Unknown(), length, graph.D(2)}
	step, ok := in[1].Contents()
	if x.Rank() == 3 {
		dims[0] = x.Dims[0]
		if n, ok := x.Dims[2].Const(); ok && (n != 1 && n != 2 || n == 2 && s.Onesided) {
			return nil, errs.Errorf("a last axis of %d in %v (onesided %t)", n, x, s.Onesided)
		}
		if ok && len(step) == 1 && !length.IsUnknown() {
			n, known := step[0].Const()
			if known && n < 1 {
				return nil, errs.Errorf("a frame step of %d", n)
			}
			if known {
				dims[1] = x.Dims[1].Sub(length).Div(step[0]).Add(graph.D(1))
			}
			if n, ok := dims[1].Const(); ok && n < 1 {
				return nil, errs.Errorf("frames of %v in %v", length, x)
			}
		}
	}
	if s.Onesided && !length.IsUnknown() {
		dims[2] = length.Div(graph.D(2)).Add(graph.D(1))
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// HannWindow is the Hann window of the length in its input.
type HannWindow struct {
	OutputDatatype tensor.DType // Invalid: float32
	Periodic       bool         // of a window one longer, without its end; ONNX's default is true
}

// Name implements graph.Op.
func (HannWindow) Name() string { return "HannWindow" }

// Infer implements graph.Op.
func (h HannWindow) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferSized(in, h.OutputDatatype)
}

// HammingWindow is the Hamming window of the length in its input.
type HammingWindow HannWindow

// Name implements graph.Op.
func (HammingWindow) Name() string { return "HammingWindow" }

// Infer implements graph.Op.
func (h HammingWindow) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferSized(in, h.OutputDatatype)
}

// BlackmanWindow is the Blackman window of the length in its input.
type BlackmanWindow HannWindow

// Name implements graph.Op.
func (BlackmanWindow) Name() string { return "BlackmanWindow" }

// Infer implements graph.Op.
func (h BlackmanWindow) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferSized(in, h.OutputDatatype)
}

func orFloat32(dt tensor.DType) tensor.DType {
	if dt == tensor.Invalid {
		return tensor.Float32
	}
	return dt
}

func inferSized(in []graph.Type, dt tensor.DType) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	size, err := scalarDim(in[0], "size")
	if err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(orFloat32(dt), size)}, nil
}

// scalarDim is the dimension that an integer input of one element holds.
func scalarDim(t graph.Type, what string) (graph.Dim, error) {
	ds, ok := t.Contents()
	if !ok {
		return graph.Unknown(), nil
	}
	if len(ds) != 1 {
		return graph.Unknown(), errs.Errorf("%s has %d elements", what, len(ds))
	}
	if n, ok := ds[0].Const(); ok && n < 0 {
		return graph.Unknown(), errs.Errorf("%s is %d", what, n)
	}
	return ds[0], nil
}

// MelWeightMatrix is the matrix that turns a spectrum into mel frequency bands: inputs the number of bands,
// the length of the transform, the sample rate, and the lower and upper edge in hertz.
type MelWeightMatrix struct {
	OutputDatatype tensor.DType // Invalid: float32
}

// Name implements graph.Op.
func (MelWeightMatrix) Name() string { return "MelWeightMatrix" }

// Infer implements graph.Op.
func (m MelWeightMatrix) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 5, 5); err != nil {
		return nil, err
	}
	bands, err := scalarDim(in[0], "num_mel_bins")
	if err != nil {
		return nil, err
	}
	length, err := scalarDim(in[1], "dft_length")
	if err != nil {
		return nil, err
	}
	if !length.IsUnknown() {
		length = length.Div(graph.D(2)).Add(graph.D(1))
	}
	return []graph.Type{graph.TensorOf(orFloat32(m.OutputDatatype), length, bands)}, nil
}

// signalSamples is the cases of signalOps.
func signalSamples() map[string][]Sample {
	return map[string][]Sample{
		"DFT": {
			Case(DFT{}, F(1, 5, 1)), Case(DFT{Inverse: true}, F(2, 4, 2), TV(tensor.Scalar(int64(3))), TV(tensor.Scalar(int64(1)))),
			Case(DFT{Onesided: true}, F(1, 6, 1)), Case(DFT{Onesided: true, Inverse: true}, F(1, 4, 2)),
			Case(DFT{}, F(1, 3, 2), TV(tensor.Scalar(int64(67)))), Case(DFT{Onesided: true, Inverse: true}, F(1, 4, 2), TV(tensor.Scalar(int64(5))))},
		"STFT": {
			Case(STFT{Onesided: true}, F(1, 16, 1), TV(tensor.Scalar(int64(4))), F(8)),
			Case(STFT{}, F(2, 10, 2), TV(tensor.Scalar(int64(3))), SampleIn{}, TV(tensor.Scalar(int64(5))))},
		"HannWindow":     {Case(HannWindow{Periodic: true}, TV(tensor.Scalar(int64(7))))},
		"HammingWindow":  {Case(HammingWindow{}, TV(tensor.Scalar(int64(7))))},
		"BlackmanWindow": {Case(BlackmanWindow{Periodic: true}, TV(tensor.Scalar(int64(7))))},
		"MelWeightMatrix": {
			Case(MelWeightMatrix{}, TV(tensor.Scalar(int64(4))), TV(tensor.Scalar(int64(16))), TV(tensor.Scalar(int64(8000))),
				TV(tensor.Scalar(float32(100))), TV(tensor.Scalar(float32(3000))))},
	}
}
