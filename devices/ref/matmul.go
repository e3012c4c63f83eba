package ref

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func matmulKernels() []*devices.Kernel {
	return []*devices.Kernel{fn(matMul), fn(gemm), fn(einsum), fn(determinants), fn(cofactors)}
}

// matMul multiplies stacks of matrices, floats in float64 and integers exactly.
func matMul(_ ops.MatMul, c *Call) error {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	as, bs := a.Shape(), b.Shape()
	if len(as) == 1 {
		as = []int{1, as[0]}
	}
	if len(bs) == 1 {
		bs = []int{bs[0], 1}
	}
	m, k, n := as[len(as)-2], as[len(as)-1], bs[len(bs)-1]
	lead := make([]int, max(len(as), len(bs))-2)
	sa, sb := broadcastLead(lead, as, bs)
	batches := make([][2]int, 0, product(lead))
	walk(lead, [][]int{sa, sb}, func(_ int, off []int) { batches = append(batches, [2]int{off[0] * m * k, off[1] * k * n}) })
	if out.DType().IsInt() {
		x, y, err := intPair(a, b)
		if err != nil {
			return err
		}
		z := make([]int64, len(batches)*m*n)
		for i, off := range batches {
			multiply(z[i*m*n:(i+1)*m*n], x[off[0]:], y[off[1]:], m, k, n)
		}
		return setInts(out, z)
	}
	v, err := floatsOf(c, 0, 1)
	if err != nil {
		return err
	}
	z := make([]float64, len(batches)*m*n)
	for i, off := range batches {
		multiply(z[i*m*n:(i+1)*m*n], v[0][off[0]:], v[1][off[1]:], m, k, n)
	}
	return out.SetFloat64s(z)
}

// broadcastLead fills lead with the common leading dimensions of two stacks of matrices, and gives the
// strides, in matrices, of each.
func broadcastLead(lead, as, bs []int) (sa, sb []int) {
	al, bl := as[:len(as)-2], bs[:len(bs)-2]
	for i := range lead {
		lead[i] = 1
		for _, s := range [][]int{al, bl} {
			if j := i - (len(lead) - len(s)); j >= 0 && s[j] != 1 {
				lead[i] = s[j]
			}
		}
	}
	return broadcastStrides(al, lead), broadcastStrides(bl, lead)
}

// multiply adds the product of x (m by k) and y (k by n) to z.
func multiply[T float64 | int64](z, x, y []T, m, k, n int) {
	for i := range m {
		row := z[i*n : (i+1)*n]
		for p := range k {
			v := x[i*k+p]
			for j, w := range y[p*n : (p+1)*n] {
				row[j] += v * w
			}
		}
	}
}

// transposed is the r by c matrix v, or its transpose where trans is set, with its rows and columns.
func transposed[T float64 | int64](v []T, r, c int, trans bool) ([]T, int, int) {
	if !trans {
		return v, r, c
	}
	out := make([]T, len(v))
	for i := range r {
		for j := range c {
			out[j*r+i] = v[i*c+j]
		}
	}
	return out, c, r
}

func gemm(op ops.Gemm, c *Call) error {
	out := c.Out(0)
	if out.DType().IsInt() && op.Alpha == math.Trunc(op.Alpha) && op.Beta == math.Trunc(op.Beta) {
		var v [3][]int64
		for i := range 3 {
			if c.In(i) == nil {
				continue
			}
			var err error
			if v[i], err = c.In(i).Int64s(); err != nil {
				return err
			}
		}
		return setInts(out, gemmOf(op, c, v[0], v[1], v[2], int64(op.Alpha), int64(op.Beta)))
	}
	v, err := floatsOf(c, 0, 1, 2)
	if err != nil {
		return err
	}
	return out.SetFloat64s(gemmOf(op, c, v[0], v[1], v[2], op.Alpha, op.Beta))
}

func gemmOf[T float64 | int64](op ops.Gemm, c *Call, a, b, add []T, alpha, beta T) []T {
	x, m, k := transposed(a, c.In(0).Dim(0), c.In(0).Dim(1), op.TransA)
	y, _, n := transposed(b, c.In(1).Dim(0), c.In(1).Dim(1), op.TransB)
	z := make([]T, m*n)
	multiply(z, x, y, m, k, n)
	for i := range z {
		z[i] *= alpha
	}
	if add != nil {
		walk([]int{m, n}, [][]int{broadcastStrides(c.In(2).Shape(), []int{m, n})}, func(i int, off []int) {
			z[i] += beta * add[off[0]]
		})
	}
	return z
}

// einsum sums the products over every index, in the order of the output's labels and then the others'.
func einsum(op ops.Einsum, c *Call) error {
	ranks := make([]int, c.NIn())
	for i := range ranks {
		ranks[i] = c.In(i).Rank()
	}
	p, err := op.Plan(ranks)
	if err != nil {
		return err
	}
	labels := slices.Clone(p.Out)
	size := map[int]int{}
	for i, ls := range p.In {
		for j, l := range ls {
			if !slices.Contains(labels, l) {
				labels = append(labels, l)
			}
			if d := c.In(i).Dim(j); size[l] == 0 || d != 1 {
				size[l] = d
			}
		}
	}
	shape := make([]int, len(labels))
	for i, l := range labels {
		shape[i] = size[l]
	}
	strides := make([][]int, c.NIn())
	for i, ls := range p.In {
		strides[i] = make([]int, len(labels))
		own := tensor.Strides(c.In(i).Shape())
		for j, l := range ls {
			if c.In(i).Dim(j) != 1 {
				strides[i][slices.Index(labels, l)] += own[j]
			}
		}
	}
	out := c.Out(0)
	inner := product(shape[len(p.Out):])
	if out.DType().IsInt() {
		in := make([][]int64, c.NIn())
		for i := range in {
			if in[i], err = c.In(i).Int64s(); err != nil {
				return err
			}
		}
		return setInts(out, sumProducts(in, out.Len(), shape, strides, inner))
	}
	in := make([][]float64, c.NIn())
	for i := range in {
		if in[i], err = c.In(i).Float64s(); err != nil {
			return err
		}
	}
	return out.SetFloat64s(sumProducts(in, out.Len(), shape, strides, inner))
}

func sumProducts[T float64 | int64](in [][]T, n int, shape []int, strides [][]int, inner int) []T {
	acc := make([]T, n)
	walk(shape, strides, func(i int, off []int) {
		v := T(1)
		for k, o := range off {
			v *= in[k][o]
		}
		acc[i/inner] += v
	})
	return acc
}

func determinants(_ ops.Det, c *Call) error {
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	n := c.In(0).Dim(-1)
	out := make([]float64, c.Out(0).Len())
	for i := range out {
		out[i] = determinant(vs[i*n*n:(i+1)*n*n], n)
	}
	return c.Out(0).SetFloat64s(out)
}

// determinant eliminates with partial pivoting; it overwrites the n by n matrix m.
func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[p*n+k]) {
				p = i
			}
		}
		if m[p*n+k] == 0 {
			return 0
		}
		if p != k {
			det = -det
			for j := range n {
				m[p*n+j], m[k*n+j] = m[k*n+j], m[p*n+j]
			}
		}
		det *= m[k*n+k]
		for i := k + 1; i < n; i++ {
			f := m[i*n+k] / m[k*n+k]
			for j := k; j < n; j++ {
				m[i*n+j] -= f * m[k*n+j]
			}
		}
	}
	return det
}

func cofactors(_ ops.Cofactor, c *Call) error {
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	n := c.In(0).Dim(-1)
	out := make([]float64, len(vs))
	minor := make([]float64, 0, n*n)
	for e := range out {
		at, r, col := e/(n*n)*n*n, e/n%n, e%n
		minor = minor[:0]
		for i := range n {
			for j := range n {
				if i != r && j != col {
					minor = append(minor, vs[at+i*n+j])
				}
			}
		}
		out[e] = determinant(minor, n-1)
		if (r+col)%2 == 1 {
			out[e] = -out[e]
		}
	}
	return c.Out(0).SetFloat64s(out)
}
