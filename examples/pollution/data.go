package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// winds are the directions in the column cbwd.
var winds = []string{"NE", "NW", "SE", "cv"}

// features of an hour: seven measurements (the first is the concentration of fine dust), four flags for the wind's
// direction, and the hour and the season as points on a circle.
const features = 7 + 4 + 4

// readHours reads the table; missing concentrations are carried forward, as everything in a forecast has to come
// from the past.
func readHours(path string) ([][]float64, error) {
	lines, err := kit.ReadLines(path)
	if err != nil {
		return nil, err
	}
	var out [][]float64
	last, known := 0.0, false
	for i, line := range lines[1:] {
		v := map[int]float64{}
		for _, col := range []int{2, 4, 5, 6, 7, 8, 10, 11, 12} {
			x, err := strconv.ParseFloat(line[col], 64)
			if err != nil {
				if col != 5 || line[col] != "NA" {
					return nil, fmt.Errorf("%s: line %d, column %d: %w", path, i+2, col+1, err)
				}
				x = math.NaN()
			}
			v[col] = x
		}
		if dust := v[5]; !math.IsNaN(dust) {
			last, known = dust, true
		}
		if !known {
			continue // the first day has no concentrations
		}
		row := []float64{last, v[6], v[7], v[8], v[10], v[11], v[12]}
		for _, w := range winds {
			flag := 0.0
			if line[9] == w {
				flag = 1
			}
			row = append(row, flag)
		}
		day, year := 2*math.Pi*v[4]/24, 2*math.Pi*v[2]/12
		out = append(out, append(row, math.Sin(day), math.Cos(day), math.Sin(year), math.Cos(year)))
	}
	return out, nil
}

// split is the series cut in time: the past to train on, then a part to choose by, then one to judge by.
type split struct {
	train, valid, test data.Arrays
	scale              kit.Scaler
	naive              float64 // mean absolute error, in micrograms, of saying on the test part that nothing changes
}

// windows makes samples of past hours, every stride hours, whose target is the change of the concentration, in standard
// deviations, ahead hours after the window's end.
func windows(rows [][]float64, past, ahead, stride int, c config) (split, error) {
	n := len(rows)
	cut1, cut2 := n*7/10, n*85/100
	s := split{scale: kit.FitScaler(rows[:cut1])}
	scaled := s.scale.Apply(rows)
	part := func(lo, hi, limit int) data.Arrays {
		var ends []int
		for e := lo + past; e+ahead-1 < hi; e += stride {
			ends = append(ends, e)
		}
		if limit > 0 && len(ends) > limit {
			ends = ends[len(ends)-limit:]
		}
		x, y := tensor.New(tensor.Float32, len(ends), past, features), tensor.New(tensor.Float32, len(ends), 1)
		for i, e := range ends {
			for t := range past {
				for k, v := range scaled[e-past+t] {
					tensor.As[float32](x)[(i*past+t)*features+k] = float32(v)
				}
			}
			tensor.As[float32](y)[i] = float32(scaled[e+ahead-1][0] - scaled[e-1][0])
		}
		return data.New(x, y)
	}
	s.train, s.valid, s.test = part(0, cut1, c.limit), part(cut1, cut2, c.limit), part(cut2, n, c.limit)
	for _, d := range []data.Arrays{s.train, s.valid, s.test} {
		if d.Len() == 0 {
			return s, fmt.Errorf("%d hours are too few for windows of %d", n, past)
		}
	}
	for _, v := range tensor.As[float32](s.test.Y[0]) {
		s.naive += math.Abs(float64(v)) * s.scale.Std[0] / float64(s.test.Len())
	}
	return s, nil
}
