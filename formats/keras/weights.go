package keras

import (
	"errors"
	"slices"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/hdf5"
)

// ReadWeights lists the weights in a file without an architecture: name and value, layer by layer in a
// legacy file, by path in a .weights.h5 or .keras.
func ReadWeights(b []byte, opts Options) ([]Variable, error) {
	opts.Options = opts.WithDefaults(int64(len(b)))
	if len(b) > 2 && string(b[:2]) == "PK" {
		a, err := openArchive(b, opts)
		if err != nil {
			return nil, err
		}
		b = a.weights
	}
	h, err := openHDF5(b, opts)
	if err != nil {
		return nil, err
	}
	for _, g := range slices.Backward(weightRoots(h)) {
		names, err := attrList(g, "layer_names")
		if errors.Is(err, hdf5.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var out []Variable
		for _, n := range names {
			s, err := readSaved(g, n)
			if err != nil {
				return nil, err
			}
			vs, err := s.read()
			if err != nil {
				return nil, err
			}
			for i, v := range vs {
				out = append(out, Variable{n + "/" + s.weights[i], v})
			}
		}
		return out, nil
	}
	var out []Variable
	err = h.Root().Walk(func(v hdf5.Visit) error {
		d, ok := v.Object.(*hdf5.Dataset)
		if !ok {
			return nil
		}
		t, err := readTensor(d)
		if err != nil {
			return err
		}
		out = append(out, Variable{d.Path(), t})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, formatErrorf(formats.HDF5, "no weights")
	}
	return out, nil
}
