package nnrt

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
)

// ImportOptions steers reading. The zero value is right for files that one doesn't trust, too.
type ImportOptions struct {
	// ONNX holds limits, and operators of the caller's own.
	ONNX onnx.Options
}

// Import reads the model in a file into a graph, recognising its format by content.
func Import(path string, opts ImportOptions) (*graph.Graph, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	kind, err := formats.Detect(f, st.Size())
	if err != nil {
		return nil, err
	}
	if kind == formats.ONNX {
		return onnx.ReadFile(path, opts.ONNX)
	}
	return nil, notRead(path, kind)
}

// ImportFS is Import for a file system.
func ImportFS(fsys fs.FS, name string, opts ImportOptions) (*graph.Graph, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	kind, err := formats.Detect(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	if kind == formats.ONNX {
		return onnx.ReadFS(fsys, name, opts.ONNX)
	}
	return nil, notRead(name, kind)
}

// ImportBytes is Import for a file in memory.
func ImportBytes(data []byte, opts ImportOptions) (*graph.Graph, error) {
	kind, err := formats.Detect(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if kind == formats.ONNX {
		return onnx.ReadBytes(data, opts.ONNX)
	}
	return nil, notRead("the data", kind)
}

func notRead(name string, kind formats.Format) error {
	return &formats.FormatError{Format: kind, Offset: -1, Msg: fmt.Sprintf("%s is not in a format that is read here", name)}
}

// Save writes the model to a file in the format that its ending names: .onnx. An existing file is replaced
// only once the new one is complete.
func (m *Model) Save(path string) error { return Export(path, m.g, onnx.WriteOptions{}) }

// Export writes a graph as ONNX. Weights of more than 2 GB, or where opts say so, go to a file beside it.
func Export(path string, g *graph.Graph, opts onnx.WriteOptions) error {
	if ext := strings.ToLower(filepath.Ext(path)); ext != ".onnx" {
		return fmt.Errorf("nnrt: %s: no format goes with the ending %q", path, ext)
	}
	return onnx.WriteFile(path, g, opts)
}
