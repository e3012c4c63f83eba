package initializer

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// Orthogonal is gain times a matrix with orthonormal rows or columns (whichever are fewer); a weight of
// more dimensions is taken as a matrix whose columns are its last one.
type Orthogonal struct {
	Seeded
	Gain float64 `json:"gain"`
}

// Fill implements Initializer.
func (d Orthogonal) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	if t.Rank() < 2 {
		return errs.Errorf("initializer: Orthogonal needs two dimensions or more, not shape %v", t.Shape())
	}
	cols := t.Dim(-1)
	if t.Len() == 0 {
		return nil
	}
	rows := t.Len() / cols
	n, k := max(rows, cols), min(rows, cols)
	q := orthonormal(n, k, d.stream(rng))
	vs := make([]float64, t.Len())
	for i := range rows {
		for j := range cols {
			if rows >= cols {
				vs[i*cols+j] = d.Gain * q[j][i]
			} else {
				vs[i*cols+j] = d.Gain * q[i][j]
			}
		}
	}
	return t.SetFloat64s(vs)
}

// orthonormal is k orthonormal vectors of n numbers, uniform over all such frames: normal vectors through
// Gram-Schmidt, which is the QR factor with positive diagonal. Each is orthogonalised twice, after which
// the error is that of rounding.
func orthonormal(n, k int, s *philox.Stream) [][]float64 {
	q := make([][]float64, k)
	for j := range q {
		v := make([]float64, n)
		for i := range v {
			v[i] = s.Norm()
		}
		for range 2 {
			for _, u := range q[:j] {
				p := dot(u, v)
				for i := range v {
					v[i] -= p * u[i]
				}
			}
		}
		norm := math.Sqrt(dot(v, v))
		for i := range v {
			v[i] /= norm
		}
		q[j] = v
	}
	return q
}

func dot(a, b []float64) float64 {
	var s float64
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
