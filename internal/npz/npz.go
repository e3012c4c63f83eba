// Package npz is package tensor's .npz files as maps by name.
package npz

import (
	"os"

	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/tensor"
)

// Read is every array of an .npz file by name.
func Read(path string) (map[string]*tensor.Tensor, error) {
	list, err := tensor.OpenNpz(path, tensor.NpyOptions{})
	if err != nil {
		return nil, err
	}
	out := make(map[string]*tensor.Tensor, len(list))
	for _, n := range list {
		out[n.Name] = n.Tensor
	}
	return out, nil
}

// Write makes an .npz file of arrays, in the order of their names. The file appears whole or not at all.
func Write(path string, arrays map[string]*tensor.Tensor) error {
	list := make([]tensor.Named, 0, len(arrays))
	for n, t := range arrays {
		list = append(list, tensor.Named{Name: n, Tensor: t})
	}
	order.Sort(list, func(a, b tensor.Named) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	tmp := path + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := tensor.WriteNpz(f, list); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
