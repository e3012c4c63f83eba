package tensor

import (
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/mmap"
)

// OpenNpy maps a .npy file and reads it as DecodeNpy does, so that large arrays are not copied. The
// memory is read-only and goes back to the system when the tensor is no longer reachable.
func OpenNpy(name string, o NpyOptions) (*Tensor, error) {
	m, err := mmap.Open(name)
	if err != nil {
		return nil, err
	}
	t, err := DecodeNpy(m.Bytes(), m, o)
	if err != nil {
		return nil, errs.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// OpenNpz maps an .npz file and reads it as DecodeNpz does; memory as for OpenNpy.
func OpenNpz(name string, o NpyOptions) ([]Named, error) {
	m, err := mmap.Open(name)
	if err != nil {
		return nil, err
	}
	out, err := DecodeNpz(m.Bytes(), m, o)
	if err != nil {
		return nil, errs.Errorf("%s: %w", name, err)
	}
	return out, nil
}
