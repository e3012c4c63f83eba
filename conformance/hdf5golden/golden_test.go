package hdf5golden

import (
	"os"
	"path/filepath"
	"testing"
)

func dataDir(t *testing.T) string {
	root := os.Getenv("NNRT_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(root, "hdf5-golden")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("hdf5-golden is absent: %v", err)
	}
	return dir
}

func TestGolden(t *testing.T) {
	dir := dataDir(t)
	names, err := Names(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("index.json lists no cases")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if err := Run(dir, name); err != nil {
				t.Error(err)
			}
		})
	}
}
