package nnrt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/internal/mmap"
	"github.com/nnrt/nnrt/layers"
)

// ImportOptions steers reading. The zero value is right for files that one doesn't trust, too.
type ImportOptions struct {
	// ONNX holds limits, and operators of the caller's own.
	ONNX onnx.Options
	// Keras holds limits, Go implementations of custom classes, and how weights are bound.
	Keras keras.Options
	// Weights is a file of weights for a Keras architecture (.json), or to replace a Keras model's own.
	Weights string
}

// Source is an imported model.
type Source struct {
	Format formats.Format
	// Graph is what runs; of a Keras model it is made of its layers, for inference.
	Graph *graph.Graph
	// Keras is the record of layers, compile config and optimizer state; nil for ONNX.
	Keras *keras.File
}

// Layers is the model as Keras layers, nil where it came from ONNX.
func (s *Source) Layers() *layers.Model {
	if s.Keras == nil {
		return nil
	}
	return s.Keras.Model
}

// Import reads the model in a file into a graph, recognising its format by content.
func Import(path string, opts ImportOptions) (*graph.Graph, error) {
	s, err := ImportSource(path, opts)
	if err != nil {
		return nil, err
	}
	return s.Graph, nil
}

// ImportSource is Import that also keeps what a Keras file says beyond the graph. The file is mapped, not
// copied, and must not change while the model is in use.
func ImportSource(path string, opts ImportOptions) (*Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, &formats.FormatError{Offset: -1, Msg: fmt.Sprintf("%s is a folder, not a model file", path)}
	}
	kind, err := formats.Detect(f, st.Size())
	if err != nil {
		return nil, err
	}
	if kind == formats.ONNX {
		g, err := onnx.ReadFile(path, opts.ONNX)
		if err != nil {
			return nil, err
		}
		return &Source{Format: kind, Graph: g}, nil
	}
	if !isKeras(kind) {
		return nil, notRead(path, kind, f)
	}
	b, keep, err := mapped(path)
	if err != nil {
		return nil, err
	}
	opts.Keras.Keep = keep
	s, err := importKeras(b, kind, opts, mapped)
	if err != nil {
		return nil, errs.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func isKeras(kind formats.Format) bool {
	return kind == formats.HDF5 || kind == formats.KerasZip || kind == formats.KerasJSON
}

// opener gives a file's bytes, and what owns them, if anything does.
type opener func(name string) (b []byte, keep any, err error)

func mapped(name string) ([]byte, any, error) {
	m, err := mmap.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return m.Bytes(), m, nil
}

// importKeras reads a Keras model, and the weights beside it where those are named.
func importKeras(b []byte, kind formats.Format, opts ImportOptions, open opener) (_ *Source, err error) {
	defer guard.CatchAs(&err, func(e error) error {
		return &formats.FormatError{Format: kind, Offset: -1, Msg: e.Error(), Err: e}
	})
	ko := opts.Keras
	ko.SkipWeights = ko.SkipWeights || opts.Weights != ""
	f, err := keras.ReadBytes(b, ko)
	if err != nil {
		return nil, err
	}
	if opts.Weights != "" {
		w, keep, err := open(opts.Weights)
		if err != nil {
			return nil, err
		}
		wo := opts.Keras
		wo.Keep = keep
		loaded, err := keras.LoadWeights(f.Model, w, wo)
		if err != nil {
			return nil, errs.Errorf("%s: %w", opts.Weights, err)
		}
		f.Report = loaded.Report
	}
	g, err := f.Model.Graph(layers.Options{})
	if err != nil {
		return nil, err
	}
	return &Source{Format: kind, Graph: g, Keras: f}, nil
}

// ImportFS is Import for a file system.
func ImportFS(fsys fs.FS, name string, opts ImportOptions) (*graph.Graph, error) {
	s, err := ImportFSSource(fsys, name, opts)
	if err != nil {
		return nil, err
	}
	return s.Graph, nil
}

// ImportFSSource is ImportSource for a file system, such as an embed.FS. External data of an ONNX model and
// ImportOptions.Weights are files of it, too.
func ImportFSSource(fsys fs.FS, name string, opts ImportOptions) (*Source, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	kind, err := formats.Detect(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	if kind == formats.ONNX {
		g, err := onnx.ReadFS(fsys, name, opts.ONNX)
		if err != nil {
			return nil, err
		}
		return &Source{Format: kind, Graph: g}, nil
	}
	s, err := importBytes(b, kind, opts, func(name string) ([]byte, any, error) {
		b, err := fs.ReadFile(fsys, name)
		return b, nil, err
	})
	if err != nil {
		return nil, errs.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// ImportBytes is Import for a file in memory, which must not change while the model is in use.
func ImportBytes(data []byte, opts ImportOptions) (*graph.Graph, error) {
	s, err := ImportBytesSource(data, opts)
	if err != nil {
		return nil, err
	}
	return s.Graph, nil
}

// ImportBytesSource is ImportSource for a file in memory.
func ImportBytesSource(data []byte, opts ImportOptions) (*Source, error) {
	kind, err := formats.Detect(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	return importBytes(data, kind, opts, mapped)
}

// ImportReader is ImportSource for the size bytes of a file that is open.
func ImportReader(r io.ReaderAt, size int64, opts ImportOptions) (*Source, error) {
	kind, err := formats.Detect(r, size) // before any of what may be no model is kept
	if err != nil {
		return nil, err
	}
	if kind == formats.Unknown {
		return nil, notRead("the data", kind, r)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), b); err != nil {
		return nil, errs.Errorf("nnrt: %w", err)
	}
	return importBytes(b, kind, opts, mapped)
}

func importBytes(data []byte, kind formats.Format, opts ImportOptions, open opener) (*Source, error) {
	if kind == formats.ONNX {
		g, err := onnx.ReadBytes(data, opts.ONNX)
		if err != nil {
			return nil, err
		}
		return &Source{Format: kind, Graph: g}, nil
	}
	if !isKeras(kind) {
		return nil, notRead("the data", kind, bytes.NewReader(data))
	}
	return importKeras(data, kind, opts, open)
}

// notRead is the error about a file that is no model, which says what else it is where its beginning tells.
func notRead(name string, kind formats.Format, r io.ReaderAt) error {
	head := make([]byte, 64)
	n, _ := r.ReadAt(head, 0) // of a shorter file, what there is
	msg := fmt.Sprintf("%s is no model file: neither ONNX, nor Keras (.h5, .keras, .json)", name)
	if what := formats.Foreign(head[:n]); what != "" {
		msg += "; it is " + what
	}
	return &formats.FormatError{Format: kind, Offset: -1, Msg: msg}
}

// ErrEnding is matched by errors about a file name whose ending names no format to write.
var ErrEnding = errors.New("no format goes with the ending")

// Save writes the model to a file in the format that its ending names: .onnx, .h5, .keras, .weights.h5. An
// existing file is replaced only once the new one is complete.
func (m *Model) Save(path string) error {
	if m.src != nil {
		return m.src.Export(path, onnx.WriteOptions{})
	}
	return Export(path, m.g, onnx.WriteOptions{})
}

// Export writes the model in the format that path's ending names; opts are for .onnx.
func (s *Source) Export(path string, opts onnx.WriteOptions) error {
	if strings.ToLower(filepath.Ext(path)) == ".onnx" || s.Keras == nil {
		return Export(path, s.Graph, opts)
	}
	return exportKeras(path, s.Keras)
}

// Export writes a graph as ONNX, or, lifted to layers where its structure allows, as Keras. Weights of
// more than 2 GB, or where opts say so, go to a file beside an .onnx.
func Export(path string, g *graph.Graph, opts onnx.WriteOptions) error {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".onnx":
		return onnx.WriteFile(path, g, opts)
	case ".h5", ".hdf5", ".keras":
		f, err := (&Source{Graph: g}).ToKeras()
		if err != nil {
			return errs.Errorf("%s: %w", path, err)
		}
		return exportKeras(path, f)
	default:
		return errs.Errorf("nnrt: %s: %w %q: use .onnx, .h5, .keras or .weights.h5", path, ErrEnding, ext)
	}
}
