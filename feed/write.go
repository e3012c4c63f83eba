package feed

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Named is an output with its name.
type Named struct {
	Name  string
	Value tensor.Value
}

// Write stores outputs: in one .npz whose keys are the names, where path ends so, else in a folder, made
// if it is not there, as output_0.npy, output_1.npy, ... (.pb for sequences, optionals and maps).
func Write(path string, outs []Named) error {
	if strings.EqualFold(filepath.Ext(path), ".npz") {
		var list []tensor.Named
		for _, o := range outs {
			t, ok := o.Value.(*tensor.Tensor)
			if !ok {
				return errs.Errorf("%s: output %q is a %T, which .npz can't hold: name a folder", path, o.Name, o.Value)
			}
			list = append(list, tensor.Named{Name: o.Name, Tensor: t})
		}
		return atomicfile.Write(path, func(w io.Writer) error { return tensor.WriteNpz(w, list) })
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for i, o := range outs {
		if t, ok := o.Value.(*tensor.Tensor); ok {
			name := filepath.Join(path, fmt.Sprintf("output_%d.npy", i))
			if err := atomicfile.Write(name, func(w io.Writer) error { return tensor.WriteNpy(w, t) }); err != nil {
				return err
			}
			continue
		}
		b, err := onnx.MarshalValue(o.Name, o.Value)
		if err != nil {
			return err
		}
		err = atomicfile.Write(filepath.Join(path, fmt.Sprintf("output_%d.pb", i)), func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
