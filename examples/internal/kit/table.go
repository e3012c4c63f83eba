package kit

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/nnrt/nnrt/internal/philox"
)

// ReadLines reads a file of comma-separated fields.
func ReadLines(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lines, nil
}

// ReadTable reads a file of comma-separated numbers without a header.
func ReadTable(path string) ([][]float64, error) {
	lines, err := ReadLines(path)
	if err != nil {
		return nil, err
	}
	rows := make([][]float64, len(lines))
	for i, line := range lines {
		for j, s := range line {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: line %d, column %d: %w", path, i+1, j+1, err)
			}
			rows[i] = append(rows[i], v)
		}
	}
	return rows, nil
}

// Shuffle puts rows in an order drawn from a seed.
func Shuffle[T any](rows []T, seed uint64) {
	rng := philox.New(seed)
	for i := len(rows) - 1; i > 0; i-- {
		j := rng.IntN(i + 1)
		rows[i], rows[j] = rows[j], rows[i]
	}
}

// Split parts columns: the first n, and the rest.
func Split(rows [][]float64, n int) (left, right [][]float64) {
	for _, r := range rows {
		left, right = append(left, r[:n]), append(right, r[n:])
	}
	return left, right
}

// Scaler is the mean and standard deviation of each column.
type Scaler struct{ Mean, Std []float64 }

// FitScaler measures rows; NaN doesn't count.
func FitScaler(rows [][]float64) Scaler {
	n := len(rows[0])
	s := Scaler{make([]float64, n), make([]float64, n)}
	for j := range n {
		sum, sq, count := 0.0, 0.0, 0.0
		for _, r := range rows {
			if !math.IsNaN(r[j]) {
				sum, count = sum+r[j], count+1
			}
		}
		s.Mean[j] = sum / max(1, count)
		for _, r := range rows {
			if !math.IsNaN(r[j]) {
				sq += (r[j] - s.Mean[j]) * (r[j] - s.Mean[j])
			}
		}
		s.Std[j] = max(1e-9, math.Sqrt(sq/max(1, count)))
	}
	return s
}

// Apply is rows with mean 0 and deviation 1; NaN becomes the mean.
func (s Scaler) Apply(rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows))
	for i, r := range rows {
		out[i] = make([]float64, len(r))
		for j, v := range r {
			if !math.IsNaN(v) {
				out[i][j] = (v - s.Mean[j]) / s.Std[j]
			}
		}
	}
	return out
}
