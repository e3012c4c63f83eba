package hdf5golden

import (
	"testing"

	"github.com/nnrt/nnrt/internal/testdata"
)

func TestGolden(t *testing.T) {
	dir := testdata.Dir(t, "hdf5-golden")
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
