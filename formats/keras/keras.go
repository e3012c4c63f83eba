// Package keras reads and writes the files of Keras: whole models and weights in HDF5 as Keras 1, 2, tf.keras
// and 3 wrote them, .keras archives, .weights.h5, and architectures in JSON.
//
// A file's config becomes a layers.Model; its weights are bound to the model's by order, names serving as
// diagnostics. Nothing in a file is ever executed: a Lambda or a class that isn't Keras' own is refused by
// name unless the caller registered a Go implementation (Options.Custom).
//
// Where versions of Keras differ under the same names, config.go and quirks.go say how, and nothing outside
// this package knows of versions.
package keras

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// Factory makes the layer for a custom class (or a Lambda) from its config.
type Factory func(config map[string]any) (layers.Layer, error)

// Options steers reading.
type Options struct {
	formats.Options
	// Custom is the Go implementations of classes that aren't Keras' own, by class name (with or without
	// its "package>" prefix), and of Lambda layers, by the layer's name or "Lambda" for all.
	Custom map[string]Factory
	// ByName binds weights to the layers of the same names rather than by order; layers that only one side
	// has are left alone. It is for legacy HDF5, as in Keras.
	ByName bool
	// SkipMismatch leaves alone weights whose number or shape differs, instead of failing.
	SkipMismatch bool
	// Backend is the backend that a .keras archive ran on ("tensorflow", "jax", "torch"), which the archive
	// doesn't say. It matters to average poolings whose "same" padding is uneven: torch, the default, counts
	// the padding, as copies of the edge, and the others don't.
	Backend string
	// SkipWeights reads the architecture only.
	SkipWeights bool
	// Keep is held for as long as the weights are in use: the owner of the bytes read, such as a mapping.
	Keep any
}

// Variable is a named array of an optimizer's state.
type Variable struct {
	Name string
	Data *tensor.Tensor
}

// File is what a file held.
type File struct {
	Model *layers.Model
	// Version is the version of Keras that wrote the file, "" where it doesn't say; Backend likewise.
	Version, Backend string
	// Config is the model's config as JSON, as the file had it.
	Config []byte
	// Training is the compile config as JSON: training_config of legacy files, compile_config of .keras.
	Training []byte
	// Optimizer is the optimizer's state in the file's order.
	Optimizer []Variable
	// Metadata is metadata.json of a .keras archive.
	Metadata []byte
	// Report says what binding the weights left over.
	Report Report

	// fixedNames is whether the file's lists of names were of fixed-size strings, as h5py before 3.0 (tf.keras
	// up to 2.4) wrote them; Keras2H5 writes them as they were.
	fixedNames bool
}

// Report is what didn't match when weights were bound.
type Report struct {
	Missing    []string // weights of the model that the file doesn't have
	Unused     []string // layers or weights of the file that the model doesn't have
	Mismatched []string // one line for each: both sides
}

// ReadFile reads the model in a file.
func ReadFile(path string, opts Options) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := ReadBytes(b, opts)
	if err != nil {
		return nil, errs.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Read reads a model of size bytes.
func Read(r io.ReaderAt, size int64, opts Options) (*File, error) {
	if size < 0 || size > 1<<40 {
		return nil, formatErrorf(formats.Unknown, "a file of %d bytes", size)
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, 0); int64(n) < size {
		return nil, errs.Errorf("keras: %w", err)
	}
	return ReadBytes(b, opts)
}

// ReadBytes reads a model: a .keras archive, a whole-model HDF5 file, or an architecture in JSON (whose
// weights are then to be initialized, or loaded by LoadWeights). b must not change while the model is used.
func ReadBytes(b []byte, opts Options) (_ *File, err error) {
	defer guard.CatchAs(&err, func(e error) error { return formatErrorf(formats.Unknown, "%v", e) })
	opts.Options = opts.WithDefaults(int64(len(b)))
	kind, err := formats.Detect(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	switch kind {
	case formats.KerasZip:
		return readArchive(b, opts)
	case formats.HDF5:
		return readHDF5(b, opts)
	case formats.KerasJSON:
		return readJSON(b, opts)
	}
	return nil, formatErrorf(kind, "neither HDF5, nor a .keras archive, nor JSON")
}

// ReadConfig makes a model of an architecture in JSON, as model.to_json() gives it.
func ReadConfig(config []byte, opts Options) (*layers.Model, error) {
	opts.Options = opts.WithDefaults(int64(len(config)))
	f, err := readJSON(config, opts)
	if err != nil {
		return nil, err
	}
	return f.Model, nil
}

// LoadWeights binds the weights in a file (weights-only or whole-model HDF5, .weights.h5, .keras) to a model.
func LoadWeights(m *layers.Model, b []byte, opts Options) (_ *File, err error) {
	defer guard.CatchAs(&err, func(e error) error { return formatErrorf(formats.Unknown, "%v", e) })
	opts.Options = opts.WithDefaults(int64(len(b)))
	if err := m.Build(); err != nil {
		return nil, err
	}
	kind, err := formats.Detect(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	f := &File{Model: m}
	switch kind {
	case formats.KerasZip:
		parts, err := openArchive(b, opts)
		if err != nil {
			return nil, err
		}
		return f, f.loadArchiveWeights(parts, opts)
	case formats.HDF5:
		h, err := openHDF5(b, opts)
		if err != nil {
			return nil, err
		}
		return f, f.loadHDF5Weights(h, opts)
	}
	return nil, formatErrorf(kind, "no file of weights")
}

func readJSON(b []byte, opts Options) (*File, error) {
	if err := checkJSON(b, opts); err != nil {
		return nil, err
	}
	v, err := layers.ParseJSON(b)
	if err != nil {
		return nil, &formats.FormatError{Format: formats.KerasJSON, Offset: -1, Msg: err.Error(), Err: err}
	}
	f := &File{Config: b}
	top, _ := v.(map[string]any)
	f.Version, _ = top["keras_version"].(string)
	f.Backend, _ = top["backend"].(string)
	f.Model, err = decodeModel(v, dialectOf(f.Version, f.Backend, v), opts)
	return f, err
}

//go:noinline
func formatErrorf(f formats.Format, format string, args ...any) error {
	return &formats.FormatError{Format: f, Offset: -1, Msg: fmt.Sprintf(format, args...)}
}
