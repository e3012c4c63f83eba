// Package feed makes model inputs from files and from nothing (random numbers), and writes outputs: what
// lies between a user's data and Model.Run.
package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/csvtext"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Options steers reading.
type Options struct {
	// Member names the array of a .npz; empty takes the one named like the input, or the only one.
	Member string
	// Input is the name of the input that is fed.
	Input string
	// Scale and Offset turn a picture's bytes x into x*Scale + Offset; a zero Scale means 1.
	Scale, Offset float32
}

// Read makes a value of type want from a file, by its ending: .npy, .npz, .pb (an ONNX tensor, sequence or
// optional), .csv (rows of numbers, a header line skipped), .json (nested lists), or a picture (.png .jpg
// .jpeg .gif .bmp .tiff .webp), scaled to the size that want has. Element types are converted; a missing
// batch dimension is added.
func Read(path string, want graph.Type, opts Options) (tensor.Value, error) {
	v, err := read(path, want, opts)
	if err != nil {
		var fe *formats.FormatError
		if errors.Is(err, os.ErrNotExist) || errors.As(err, &fe) {
			return nil, err
		}
		return nil, &formats.FormatError{Offset: -1, Msg: fmt.Sprintf("%s: %v", path, err), Err: err}
	}
	t, ok := v.(*tensor.Tensor)
	if !ok || want.Kind != graph.TensorKind {
		return v, nil
	}
	return fit(path, t, want)
}

func read(path string, want graph.Type, opts Options) (tensor.Value, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npy":
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return tensor.DecodeNpy(b, nil, tensor.NpyOptions{})
	case ".npz":
		return readNpz(path, opts)
	case ".pb":
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return onnx.ReadValue(b, want)
	case ".csv":
		return readCSV(path)
	case ".json":
		return readJSON(path)
	case ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp":
		return readPicture(path, want, opts)
	}
	return nil, errs.Errorf("an input is .npy, .npz, .pb, .csv, .json or a picture")
}

func readNpz(path string, opts Options) (tensor.Value, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := tensor.DecodeNpz(b, nil, tensor.NpyOptions{})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = n.Name
		if n.Name == opts.Member || opts.Member == "" && n.Name == opts.Input {
			return n.Tensor, nil
		}
	}
	if opts.Member == "" && len(list) == 1 {
		return list[0].Tensor, nil
	}
	return nil, errs.Errorf("no array for input %q; there are %s", opts.Input, strings.Join(names, ", "))
}

func readCSV(path string) (tensor.Value, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines, err := csvtext.Read(b, csvtext.Options{Comment: '#'})
	if err != nil {
		return nil, err
	}
	var vals []float64
	rows, cols := 0, 0
	for i, rec := range lines {
		row := make([]float64, len(rec))
		for k, s := range rec {
			if row[k], err = strconv.ParseFloat(s, 64); err != nil {
				break
			}
		}
		if err != nil {
			if i == 0 {
				continue // a header
			}
			return nil, errs.Errorf("row %d: %w", i+1, err)
		}
		rows, cols = rows+1, len(row)
		vals = append(vals, row...)
	}
	return tensor.Of(vals, rows, cols), nil
}

func readJSON(path string) (tensor.Value, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	var nums []float64
	var strs []string
	var shape []int
	var walk func(v any, depth int) error
	walk = func(v any, depth int) error {
		switch v := v.(type) {
		case []any:
			if depth >= tensor.MaxRank {
				return errs.Errorf("lists are nested too deeply")
			}
			if depth == len(shape) {
				shape = append(shape, len(v))
			} else if shape[depth] != len(v) {
				return errs.Errorf("lists of %d and %d elements side by side", shape[depth], len(v))
			}
			for _, e := range v {
				if err := walk(e, depth+1); err != nil {
					return err
				}
			}
		case float64:
			nums = append(nums, v)
		case bool:
			nums = append(nums, map[bool]float64{true: 1}[v])
		case string:
			strs = append(strs, v)
		default:
			return errs.Errorf("a %T is no number, string or list", v)
		}
		return nil
	}
	if err := walk(v, 0); err != nil {
		return nil, err
	}
	if len(strs) > 0 {
		return tensor.FromStrings(strs, shape...)
	}
	n, err := tensor.NumElements(shape)
	if err != nil || n != len(nums) {
		return nil, errs.Errorf("%d numbers in lists of %v", len(nums), shape)
	}
	t := tensor.New(tensor.Float64, shape...)
	copy(tensor.As[float64](t), nums)
	return t, nil
}

// fit converts to want's element type and adds a batch dimension, or says what does not fit.
func fit(path string, t *tensor.Tensor, want graph.Type) (tensor.Value, error) {
	var err error
	if t.DType() != want.DType {
		if t, err = tensor.Cast(t, want.DType, tensor.CastOptions{}); err != nil {
			return nil, errs.Errorf("%s: %w", path, err)
		}
	}
	if r := want.Rank(); r == t.Rank()+1 {
		if t, err = t.Reshape(append([]int{1}, t.Shape()...)...); err != nil {
			return nil, err
		}
	}
	if want.Rank() >= 0 {
		bad := t.Rank() != want.Rank()
		for i := 0; !bad && i < t.Rank(); i++ {
			n, ok := want.Dims[i].Const()
			bad = ok && n != t.Dim(i)
		}
		if bad {
			return nil, &formats.FormatError{Offset: -1, Msg: fmt.Sprintf("%s: holds %v%v, the input is %v", path, t.DType(), t.Shape(), want)}
		}
	}
	return t, nil
}

// Bind replaces the free dimensions of t by their values in dims, and by 1 where those say nothing.
func Bind(t graph.Type, dims map[string]int) ([]int, error) {
	if t.Kind != graph.TensorKind || t.Unranked {
		return nil, errs.Errorf("no shape can be made up for %v", t)
	}
	env := map[string]int64{}
	set := map[string]bool{}
	for _, d := range t.Dims {
		d.Symbols(set)
	}
	for s := range set {
		env[s] = 1
		if n, ok := dims[s]; ok {
			env[s] = int64(n)
		}
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		n, err := d.Eval(env)
		if err != nil {
			return nil, err
		}
		shape[i] = int(n)
	}
	return shape, nil
}

// Random is a tensor of type t with seeded numbers: uniform in [0, 1) for floats, small integers below
// limit (1 if that is 0), strings "0", "1", ...
func Random(t graph.Type, dims map[string]int, seed uint64, limit int64) (*tensor.Tensor, error) {
	shape, err := Bind(t, dims)
	if err != nil {
		return nil, err
	}
	out, err := tensor.Make(t.DType, shape)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 7))
	if t.DType == tensor.String {
		for i := range out.Strings() {
			out.Strings()[i] = strconv.Itoa(r.IntN(10))
		}
		return out, nil
	}
	vals := make([]float64, out.Len())
	for i := range vals {
		if t.DType.IsFloat() {
			vals[i] = r.Float64()
		} else {
			vals[i] = float64(r.Int64N(max(limit, 2)))
		}
	}
	f := tensor.Of(vals, shape...)
	if len(shape) == 0 {
		f = tensor.Scalar(vals[0])
	}
	return out, tensor.CastInto(out, f, tensor.CastOptions{})
}
