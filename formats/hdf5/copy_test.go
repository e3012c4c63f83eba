package hdf5

import (
	"bytes"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/testdata"
)

// dataOf turns what was read into what can be written.
func dataOf(t *testing.T, v *value) Data {
	d := Data{Type: v.typ, Dims: v.space.Dims, Null: v.space.Null}
	var err error
	if v.typ.Class == ClassVLen {
		d.Strings, err = v.ReadStrings()
	} else {
		d.Bytes, err = v.ReadRaw()
	}
	require.NoError(t, err)
	return d
}

func copyAttrs(t *testing.T, dst interface{ SetAttr(string, Data) error }, src Object) {
	as, err := src.Attrs()
	require.NoError(t, err)
	for _, a := range as {
		require.NoError(t, dst.SetAttr(a.Name, dataOf(t, &a.value)))
	}
}

func copyGroup(t *testing.T, dst *GroupWriter, src *Group) {
	copyAttrs(t, dst, src)
	links, err := src.Members()
	require.NoError(t, err)
	for _, l := range links {
		o, err := src.Follow(l)
		require.NoError(t, err)
		switch o := o.(type) {
		case *Group:
			copyGroup(t, must(dst.Group(l.Name)), o)
		case *Dataset:
			w, err := dst.Dataset(l.Name, dataOf(t, &o.value), Storage{})
			require.NoError(t, err)
			copyAttrs(t, w, o)
		}
	}
}

// TestCopyKeras writes again what Keras wrote: the dumps must not differ.
func TestCopyKeras(t *testing.T) {
	dir := testdata.Dir(t, "keras-golden", "inference")
	var names []string
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(p, ".h5") {
			names = append(names, p)
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, names)
	step := len(names)/40 + 1
	if testing.Short() {
		step = len(names)/5 + 1
	}
	tool, _ := exec.LookPath("h5dump")
	for i := 0; i < len(names); i += step {
		f, err := OpenFile(names[i], Options{})
		require.NoError(t, err)
		w := NewWriter()
		copyGroup(t, w.Root(), f.Root())
		var out, want, got bytes.Buffer
		_, err = w.WriteTo(&out)
		require.NoError(t, err)
		require.NoError(t, Dump(&want, f, DumpOptions{}))
		require.NoError(t, Dump(&got, must(OpenBytes(out.Bytes(), Options{})), DumpOptions{}))
		require.True(t, bytes.Equal(want.Bytes(), got.Bytes()), "%s: dumps differ", names[i])
		f.Close()
		if tool == "" || i%(5*step) != 0 {
			continue
		}
		name := filepath.Join(t.TempDir(), "model.h5")
		require.NoError(t, w.WriteFile(name))
		text, err := exec.Command(tool, name).CombinedOutput()
		require.NoError(t, err)
		orig, err := exec.Command(tool, names[i]).CombinedOutput()
		require.NoError(t, err)
		_, a, _ := bytes.Cut(text, []byte("\n"))
		_, b, _ := bytes.Cut(orig, []byte("\n"))
		require.True(t, bytes.Equal(a, b), "%s: h5dump's output differs", names[i])
	}
}
