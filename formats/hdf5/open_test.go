package hdf5

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// countingReader counts the bytes read through it.
type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(b, at)
	c.n += int64(n)
	return n, err
}

func TestOpenIsLazy(t *testing.T) {
	b := smallFile(t, func(g *GroupWriter) {
		for _, n := range []string{"a", "b", "c"} {
			must(g.Dataset(n, must(DataOf(make([]float32, 1<<20))), Storage{}))
		}
	})
	r := &countingReader{r: bytes.NewReader(b)}
	f, err := Open(r, int64(len(b)), Options{})
	require.NoError(t, err)
	require.NoError(t, List(io.Discard, f, ListOptions{Verbose: true}))
	require.Less(t, r.n, int64(8<<10))
	d := must(f.Root().OpenDataset("b"))
	_, ok := d.Raw()
	require.False(t, ok, "there is no memory to alias")
	dst := make([]byte, 4<<20)
	require.NoError(t, d.ReadRawInto(dst))
	require.Error(t, d.ReadRawInto(dst[1:]))
	require.Less(t, r.n, int64(5<<20))
}

func TestRaw(t *testing.T) {
	b := smallFile(t, func(g *GroupWriter) {
		must(g.Dataset("le", must(DataOf([]float32{1, 2})), Storage{}))
		must(g.Dataset("chunked", must(DataOf([]float32{1, 2})), Storage{Chunks: []uint64{2}}))
		be := NewFloat(4)
		be.Order = BigEndian
		must(g.Dataset("be", Data{Type: be, Dims: []uint64{1}, Bytes: make([]byte, 4)}, Storage{}))
		must(g.Dataset("text", FixedStrings([]string{"x"}), Storage{}))
	})
	f := must(OpenBytes(b, Options{}))
	for name, want := range map[string]bool{"le": true, "chunked": false, "be": false, "text": false} {
		raw, ok := must(f.Root().OpenDataset(name)).Raw()
		require.Equal(t, want, ok, name)
		if ok {
			raw[0] = 42 // the file's own memory
			require.Contains(t, string(b), "\x2a\x00\x80\x3f")
		}
	}
}

func TestNotHDF5(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("PK\x03\x04"), make([]byte, 5000)} {
		_, err := OpenBytes(b, Options{})
		require.ErrorIs(t, err, ErrNotHDF5)
	}
	name := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(name, []byte("text"), 0o600))
	_, err := OpenFile(name, Options{})
	require.ErrorIs(t, err, ErrNotHDF5)
	require.ErrorContains(t, err, name)
	b := smallSample(t)
	_, err = OpenBytes(b[:len(b)-8], Options{})
	var format *FormatError
	require.ErrorAs(t, err, &format)
	require.ErrorContains(t, err, "truncated")
}

func TestErrorsNameTheirPlace(t *testing.T) {
	f := must(OpenBytes(smallSample(t), Options{}))
	_, err := f.Root().Open("d/none")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "/d/none")
	_, err = f.Root().Open("d/x/y")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = f.Root().OpenGroup("d/x")
	require.ErrorContains(t, err, "a dataset, not a group")
	_, err = must(f.Root().OpenDataset("d/x")).ReadStrings()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "/d/x")
	_, err = must(f.Root().OpenDataset("d/x")).ReadInt64s()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = must(f.Root().OpenDataset("s")).ReadFloat32s()
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestTotalBudget(t *testing.T) {
	f := must(OpenBytes(smallSample(t), Options{MaxTotalBytes: 100}))
	d := must(f.Root().OpenDataset("d/z"))
	_, err := d.ReadRaw()
	require.NoError(t, err)
	_, err = d.ReadRaw()
	require.NoError(t, err)
	_, err = d.ReadRaw()
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
}

func TestConcurrentUse(t *testing.T) {
	f := must(OpenBytes(sampleBytes(t), Options{Workers: 3}))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			walk, values := readAll(f)
			if err := errors.Join(append(values, walk)...); err == nil {
				t.Error("reading strings as numbers gave no error")
			}
		})
	}
	wg.Wait()
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter()
	g := w.Root()
	var limit *LimitError
	require.ErrorAs(t, g.SetAttr("big", FixedString(string(make([]byte, 70000)))), &limit)
	require.NoError(t, g.SetAttr("fits", FixedString(string(make([]byte, 65000)))))
	require.Error(t, g.SetAttr("", FixedString("x")))
	one := must(DataOf([]float32{1}))
	_, err := g.Dataset("x", Data{Type: NewFloat(4), Dims: []uint64{3}, Bytes: make([]byte, 4)}, Storage{})
	require.ErrorContains(t, err, "4 bytes")
	_, err = g.Dataset("x", one, Storage{Deflate: 1})
	require.ErrorContains(t, err, "chunks")
	_, err = g.Dataset("x", one, Storage{Chunks: []uint64{0}})
	require.Error(t, err)
	must(g.Dataset("x", one, Storage{}))
	_, err = g.Dataset("x", one, Storage{})
	require.ErrorContains(t, err, "two members")
	_, err = g.Group("x/y")
	require.ErrorContains(t, err, "not a group")
	_, err = DataOf(map[string]int{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = DataOf([]float32{1, 2}, 3)
	require.Error(t, err)
	short := Data{Type: NewFloat(4), Dims: []uint64{3}, Source: func(w io.Writer) error { _, err := w.Write(make([]byte, 4)); return err }}
	must(g.Dataset("short", short, Storage{}))
	_, err = w.WriteTo(io.Discard)
	require.ErrorContains(t, err, "/short")
}

func TestWriteSource(t *testing.T) {
	b := smallFile(t, func(g *GroupWriter) {
		d := Data{Type: NewFloat(4), Dims: []uint64{2}, Source: func(w io.Writer) error {
			_, err := w.Write([]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40})
			return err
		}}
		must(g.Dataset("x", d, Storage{}))
	})
	got := must(must(must(OpenBytes(b, Options{})).Root().OpenDataset("x")).ReadFloat32s())
	require.Equal(t, []float32{1, 2}, got)
}
