package feed

import (
	"fmt"
	"sort"
	"strings"

	"github.com/nnrt/nnrt/tensor"
)

// Ranked is an element of a row with its place.
type Ranked struct {
	Index int
	Value float64
}

// Top is the k largest elements of each row (along the last axis), largest first.
func Top(t *tensor.Tensor, k int) ([][]Ranked, error) {
	v, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	n := t.Dim(-1)
	if n == 0 {
		return nil, nil
	}
	var out [][]Ranked
	for r := 0; r+n <= len(v); r += n {
		row := make([]Ranked, n)
		for i := range row {
			row[i] = Ranked{i, v[r+i]}
		}
		sort.SliceStable(row, func(a, b int) bool { return row[a].Value > row[b].Value })
		out = append(out, row[:min(k, n)])
	}
	return out, nil
}

// Describe spells a value that is no tensor, in short.
func Describe(v tensor.Value) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case *tensor.Tensor:
		return fmt.Sprintf("%v%v", v.DType(), v.Shape())
	case *tensor.Sequence:
		parts := make([]string, 0, 8)
		for i, e := range v.Elems {
			if i == 8 {
				parts = append(parts, "...")
				break
			}
			parts = append(parts, Describe(e))
		}
		return fmt.Sprintf("sequence of %d [%s]", len(v.Elems), strings.Join(parts, ", "))
	case *tensor.Optional:
		return "optional " + Describe(v.Elem)
	case *tensor.Map:
		return fmt.Sprintf("map %v: %v", v.Keys, v.Values)
	}
	return fmt.Sprintf("%T", v)
}
