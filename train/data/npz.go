package data

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/tensor"
)

// ReadNpz reads a dataset of an .npz: inputs are the arrays x, or x_0, x_1, ...; targets y, or y_0, ...;
// sample_weight weights. parts are the endings to look for first, in order: "train" picks x_train and y_train.
func ReadNpz(path string, parts ...string) (Arrays, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Arrays{}, err
	}
	list, err := tensor.DecodeNpz(b, nil, tensor.NpyOptions{})
	if err != nil {
		return Arrays{}, errs.Errorf("%s: %w", path, err)
	}
	order.Sort(list, func(a, b tensor.Named) int { return strings.Compare(a.Name, b.Name) })
	var a Arrays
	part := ""
	for _, p := range parts {
		if slices.ContainsFunc(list, func(n tensor.Named) bool { return n.Name == "x_"+p }) {
			part = p
			break
		}
	}
	a.X, a.Y = series(list, "x", part), series(list, "y", part)
	if w := series(list, "sample_weight", part); len(w) > 0 {
		a.W = w
	}
	if len(a.X) == 0 {
		names := make([]string, len(list))
		for i, n := range list {
			names[i] = n.Name
		}
		return a, errs.Errorf("%s: no array x, x_train or x_0 among %s: %w", path, strings.Join(names, ", "), ErrEmpty)
	}
	return a, nil
}

// series is the arrays name_part, name, or name_0, name_1, ...
func series(list []tensor.Named, name, part string) []*tensor.Tensor {
	find := func(n string) *tensor.Tensor {
		for _, e := range list {
			if e.Name == n {
				return e.Tensor
			}
		}
		return nil
	}
	for _, n := range []string{name + "_" + part, name} {
		if t := find(n); t != nil {
			return []*tensor.Tensor{t}
		}
	}
	var out []*tensor.Tensor
	for i := 0; ; i++ {
		t := find(fmt.Sprintf("%s_%d", name, i))
		if t == nil {
			return out
		}
		out = append(out, t)
	}
}
