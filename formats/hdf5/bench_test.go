package hdf5

import (
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

// benchFile writes a file of n float32 and returns its name.
func benchFile(b *testing.B, n int, s Storage) string {
	r := rand.New(rand.NewSource(1))
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(r.Intn(1 << 12))
	}
	w := NewWriter()
	must(w.Root().Dataset("x", must(DataOf(data, uint64(n/1024), 1024)), s))
	name := filepath.Join(b.TempDir(), "bench.h5")
	if err := w.WriteFile(name); err != nil {
		b.Fatal(err)
	}
	return name
}

// BenchmarkRead compares reading 100 MB of float32 with reading as many bytes.
func BenchmarkRead(b *testing.B) {
	const n = 25 << 20
	name := benchFile(b, n, Storage{})
	b.Run("bytes", func(b *testing.B) {
		b.SetBytes(4 * n)
		for b.Loop() {
			f := must(os.Open(name))
			buf := make([]byte, 4*n)
			must(io.ReadFull(f, buf))
			f.Close()
		}
	})
	for _, c := range []struct {
		name string
		read func(d *Dataset) error
	}{
		{"ReadRaw", func(d *Dataset) error { _, err := d.ReadRaw(); return err }},
		{"ReadFloat32s", func(d *Dataset) error { _, err := d.ReadFloat32s(); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				f := must(OpenFile(name, Options{}))
				if err := c.read(must(f.Root().OpenDataset("x"))); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}

// BenchmarkGzip reads 32 MB of gzip'd chunks with one and more goroutines.
func BenchmarkGzip(b *testing.B) {
	const n = 8 << 20
	name := benchFile(b, n, Storage{Chunks: []uint64{64, 1024}, Shuffle: true, Deflate: 4})
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				f := must(OpenFile(name, Options{Workers: workers}))
				must(must(f.Root().OpenDataset("x")).ReadRaw())
				f.Close()
			}
		})
	}
}

// BenchmarkWrite writes 100 MB of float32, contiguous.
func BenchmarkWrite(b *testing.B) {
	const n = 25 << 20
	data := make([]float32, n)
	b.SetBytes(4 * n)
	b.ReportAllocs()
	for b.Loop() {
		w := NewWriter()
		must(w.Root().Dataset("x", must(DataOf(data)), Storage{}))
		must(w.WriteTo(io.Discard))
	}
}
