package ops

// convOps is the family of convolutions.
var convOps = []Info{}

// Format is the logical order of a spatial operator's data.
type Format uint8

// The formats, for any number of spatial dimensions.
const (
	NCHW Format = iota // N, C, spatial...; kernels M, C/group, spatial... (transposed: C, M/group, spatial...)
	NHWC               // N, spatial..., C; kernels spatial..., C/group, M (transposed: spatial..., M/group, C)
)

// AutoPad is how a spatial operator finds its padding.
type AutoPad uint8

// The ways to pad. Explicit means the Pads field; SameUpper puts the odd one at the end, as TensorFlow does.
const (
	Explicit AutoPad = iota
	SameUpper
	SameLower
	Valid
)
