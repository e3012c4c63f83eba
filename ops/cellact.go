package ops

import (
	"math"
	"strings"
)

// CellActivation is an activation that ONNX's recurrent operators name, with its derivative, in float64.
// Both take the activation's alpha and beta; D gets x and F(x).
type CellActivation struct {
	Alpha, Beta float64 // defaults
	F           func(x, alpha, beta float64) float64
	D           func(x, y, alpha, beta float64) float64
}

// LookupActivation finds an activation of the recurrent operators; case does not matter, as in ONNX.
func LookupActivation(name string) (CellActivation, bool) {
	a, ok := cellActivations[strings.ToLower(name)]
	return a, ok
}

// cellActivations is the list in ONNX's RNN operator.
var cellActivations = map[string]CellActivation{
	"relu": {0, 0, func(x, _, _ float64) float64 { return math.Max(x, 0) },
		func(x, _, _, _ float64) float64 { return step(x > 0, 1, 0) }},
	"tanh": {0, 0, func(x, _, _ float64) float64 { return math.Tanh(x) },
		func(_, y, _, _ float64) float64 { return 1 - y*y }},
	"sigmoid": {0, 0, func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) },
		func(_, y, _, _ float64) float64 { return y * (1 - y) }},
	"affine": {1, 0, func(x, a, b float64) float64 { return a*x + b },
		func(_, _, a, _ float64) float64 { return a }},
	"leakyrelu": {0.01, 0, func(x, a, _ float64) float64 { return step(x >= 0, x, a*x) },
		func(x, _, a, _ float64) float64 { return step(x >= 0, 1, a) }},
	"thresholdedrelu": {1, 0, func(x, a, _ float64) float64 { return step(x >= a, x, 0) },
		func(x, _, a, _ float64) float64 { return step(x >= a, 1, 0) }},
	"scaledtanh": {1, 1, func(x, a, b float64) float64 { return a * math.Tanh(b*x) },
		func(x, _, a, b float64) float64 { t := math.Tanh(b * x); return a * b * (1 - t*t) }},
	"hardsigmoid": {0.2, 0.5, func(x, a, b float64) float64 { return math.Min(math.Max(a*x+b, 0), 1) },
		func(x, _, a, b float64) float64 { v := a*x + b; return step(v > 0 && v < 1, a, 0) }},
	"elu": {1, 0, func(x, a, _ float64) float64 { return step(x >= 0, x, a*math.Expm1(x)) },
		func(x, y, a, _ float64) float64 { return step(x >= 0, 1, y+a) }},
	"softsign": {0, 0, func(x, _, _ float64) float64 { return x / (1 + math.Abs(x)) },
		func(x, _, _, _ float64) float64 { d := 1 + math.Abs(x); return 1 / (d * d) }},
	"softplus": {0, 0, func(x, _, _ float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) },
		func(x, _, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) }},
}

func step(c bool, a, b float64) float64 {
	if c {
		return a
	}
	return b
}
