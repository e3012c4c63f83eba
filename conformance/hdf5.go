package conformance

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt/conformance/hdf5golden"
)

// HDF5Suite is the layout of described HDF5 files: name.h5 beside a name.json with its contents. No
// device takes part.
type HDF5Suite struct{}

// Name implements Suite.
func (HDF5Suite) Name() string { return "hdf5-golden" }

// Cases implements Suite.
func (s HDF5Suite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	files := map[string]bool{}
	for _, e := range entries {
		files[e.Name()] = !e.IsDir()
	}
	var cases []Case
	for _, e := range entries {
		name, isH5 := strings.CutSuffix(e.Name(), ".h5")
		if !isH5 || !files[name+".json"] {
			continue
		}
		describes, err := mentions(filepath.Join(dir, name+".json"), `"superblock_version"`)
		if err != nil {
			return nil, err
		}
		if describes {
			cases = append(cases, Case{Suite: s.Name(), Name: name, Run: func(_ context.Context, c *Check) error {
				c.compared++ // Run fails where there is nothing to compare
				return hdf5golden.Run(dir, name)
			}})
		}
	}
	return cases, nil
}

// mentions reports whether the first 4 KB of a file hold a text.
func mentions(path, text string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return bytes.Contains(b, []byte(text)), err
}
