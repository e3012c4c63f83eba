package hdf5

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readAll reads everything in a file, in all ways. It returns the first error
// of the walk; errors of values are only collected.
func readAll(f *File) (walk error, values []error) {
	note := func(err error) {
		if err != nil {
			values = append(values, err)
		}
	}
	attrs := func(o Object) {
		as, err := o.Attrs()
		note(err)
		for _, a := range as {
			_, err := a.Value()
			note(err)
			_, err = a.ReadStrings()
			note(err)
		}
	}
	attrs(f.Root())
	walk = f.Root().Walk(func(v Visit) error {
		if v.Object == nil {
			return nil
		}
		attrs(v.Object)
		if d, ok := v.Object.(*Dataset); ok {
			_, err := d.Value()
			note(err)
			_, err = d.ReadFloat32s()
			note(err)
			d.Raw()
		}
		return nil
	})
	note(List(io.Discard, f, ListOptions{Verbose: true}))
	note(Dump(io.Discard, f, DumpOptions{Name: "x"}))
	return walk, values
}

// quickly fails the test if fn takes longer than hostile files may.
func quickly(t *testing.T, fn func()) {
	t.Helper()
	start := time.Now()
	fn()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func smallFile(t testing.TB, describe func(g *GroupWriter)) []byte {
	w := NewWriter()
	describe(w.Root())
	var buf bytes.Buffer
	_, err := w.WriteTo(&buf)
	require.NoError(t, err)
	return buf.Bytes()
}

// find returns the offset of the only occurrence of pattern in b.
func find(t *testing.T, b, pattern []byte) int {
	t.Helper()
	i := bytes.Index(b, pattern)
	require.GreaterOrEqual(t, i, 0, "pattern is absent")
	require.Equal(t, i, bytes.LastIndex(b, pattern), "pattern is not unique")
	return i
}

func put64(b []byte, at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }

func TestCyclicGroups(t *testing.T) {
	b := smallFile(t, func(g *GroupWriter) { must(g.Group("a/b")) })
	root := binary.LittleEndian.Uint64(b[64:])
	b2 := must(OpenBytes(b, Options{}))
	leaf := must(b2.Root().OpenGroup("a/b")).Addr()
	entry := find(t, b, le32(le64(nil, leaf), 1)) // the symbol table entry of b
	put64(b, entry, root)
	f, err := OpenBytes(b, Options{})
	require.NoError(t, err)
	quickly(t, func() {
		n := 0
		require.NoError(t, f.Root().Walk(func(v Visit) error { n++; return nil }))
		require.Equal(t, 2, n)
		var out bytes.Buffer
		require.NoError(t, Dump(&out, f, DumpOptions{}))
		require.Contains(t, out.String(), `HARDLINK "/"`)
	})
	g, err := f.Root().OpenGroup("a/b/a/b/a")
	require.NoError(t, err)
	require.NotNil(t, g)
}

func TestSoftLinkCycle(t *testing.T) {
	f := must(OpenBytes(smallFile(t, func(g *GroupWriter) {
		require.NoError(t, g.SoftLink("x", "/y"))
		require.NoError(t, g.SoftLink("y", "x"))
		require.NoError(t, g.SoftLink("dangling", "nowhere"))
	}), Options{}))
	_, err := f.Root().Open("x")
	require.ErrorContains(t, err, "cycle")
	_, err = f.Root().Open("dangling")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestDeepGroups(t *testing.T) {
	f := must(OpenBytes(smallFile(t, func(g *GroupWriter) {
		for range 100 {
			g = must(g.Group("g"))
		}
	}), Options{}))
	var limit *LimitError
	require.ErrorAs(t, f.Root().Walk(func(Visit) error { return nil }), &limit)
	require.ErrorAs(t, Dump(io.Discard, f, DumpOptions{}), &limit)
	f.opts.MaxDepth = 200
	require.NoError(t, f.Root().Walk(func(Visit) error { return nil }))
}

// vector is a file with one dataset "v" of six float32, stored as told, whose
// dimension is replaced by n.
func vector(t *testing.T, s Storage, n uint64) *Dataset {
	b := smallFile(t, func(g *GroupWriter) {
		must(g.Dataset("v", must(DataOf([]float32{1, 2, 3, 4, 5, 6})), s))
	})
	at := find(t, b, []byte{1, 1, 1, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0}) + 8
	put64(b, at, n)
	put64(b, at+8, n)
	f, err := OpenBytes(b, Options{})
	require.NoError(t, err)
	d, err := f.Root().OpenDataset("v")
	require.NoError(t, err)
	return d
}

func TestHugeDimensions(t *testing.T) {
	for _, n := range []uint64{7, 1 << 25, 1 << 30, 1 << 40, 1 << 62, 1<<63 + 5} {
		for _, s := range []Storage{{}, {Chunks: []uint64{2}}, {Chunks: []uint64{2}, Deflate: 1}} {
			quickly(t, func() {
				d := vector(t, s, n)
				_, err := d.ReadRaw()
				_, err2 := d.ReadFloat64s()
				_, err3 := d.Value()
				if n == 7 && s.Chunks != nil {
					require.NoError(t, err) // one chunk less than declared: fill values
					return
				}
				require.Error(t, err, "dims %d, %+v", n, s)
				require.Error(t, err2)
				require.Error(t, err3)
			})
		}
	}
	_, err := vector(t, Storage{Chunks: []uint64{2}}, 1<<40).ReadRaw()
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, "/v", limit.Object)
}

// TestLimitIsOption raises a limit that refused a file.
func TestLimitIsOption(t *testing.T) {
	d := vector(t, Storage{Chunks: []uint64{2}}, 30<<20)
	_, err := d.ReadRaw()
	require.Error(t, err)
	d.object.f.opts.MaxValueBytes = 1 << 30
	d.object.f.opts.ExpandFloor = 1 << 30
	b, err := d.ReadRaw()
	require.NoError(t, err)
	require.Len(t, b, 120<<20)
}

func TestChunkBombs(t *testing.T) {
	write := func(n int) []byte {
		return smallFile(t, func(g *GroupWriter) {
			must(g.Dataset("v", must(DataOf(make([]float32, n))), Storage{Chunks: []uint64{uint64(n / 4)}, Deflate: 9}))
		})
	}
	b := write(4 << 10)
	f := must(OpenBytes(b, Options{}))
	d := must(f.Root().OpenDataset("v"))
	tree := d.layout.addr
	// All four chunks in the storage of the first.
	for i := 1; i < 4; i++ {
		copy(b[tree+24+32+uint64(i)*40-8:][:8], b[tree+24+24:][:8])
	}
	for i := range 4 {
		copy(b[tree+24+uint64(i)*32:][:4], b[tree+24:][:4])
	}
	d = must(must(OpenBytes(b, Options{})).Root().OpenDataset("v"))
	_, err := d.ReadRaw()
	require.Error(t, err)

	// A stream that goes on far beyond its chunk.
	var z bytes.Buffer
	zw := zlib.NewWriter(&z)
	_, _ = zw.Write(make([]byte, 16<<20))
	require.NoError(t, zw.Close())
	p := pipeline{filters: []Filter{{ID: FilterDeflate}}, size: 4096, elem: 4}
	quickly(t, func() {
		_, err = p.decode(z.Bytes(), 0)
		require.ErrorContains(t, err, "4096")
	})
	require.Less(t, cap(p.bufs[0]), 1<<20)

	// Declared far beyond what is stored.
	f = must(OpenBytes(write(1<<20), Options{ExpandFloor: 1 << 20, MaxExpand: 10}))
	_, err = must(f.Root().OpenDataset("v")).ReadRaw()
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
}

// TestSharedStrings has many elements refer to one long string.
func TestSharedStrings(t *testing.T) {
	long := string(bytes.Repeat([]byte{'x'}, 1<<20))
	b := smallFile(t, func(g *GroupWriter) {
		s := make([]string, 20000)
		s[0] = long
		must(g.Dataset("v", Strings(s, UTF8), Storage{}))
	})
	d := must(must(OpenBytes(b, Options{})).Root().OpenDataset("v"))
	at := int(d.layout.addr)
	for i := 1; i < 20000; i++ {
		copy(b[at+16*i:][:16], b[at:][:16])
	}
	quickly(t, func() {
		_, err := d.ReadStrings()
		var limit *LimitError
		require.ErrorAs(t, err, &limit)
		_, err = d.Value()
		require.ErrorAs(t, err, &limit)
		require.Error(t, Dump(io.Discard, d.object.f, DumpOptions{}))
	})
}

func TestSelfReferences(t *testing.T) {
	base := smallFile(t, func(g *GroupWriter) {
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			must(g.Group(n))
		}
		require.NoError(t, g.SetAttr("s", String("text", UTF8)))
	})
	try := func(name string, change func(b []byte)) {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(base)
			change(b)
			quickly(t, func() {
				f, err := OpenBytes(b, Options{})
				if err != nil {
					return
				}
				walk, values := readAll(f)
				require.Error(t, errors.Join(append(values, walk)...))
			})
		})
	}
	root := int(binary.LittleEndian.Uint64(base[64:]))
	tree := int(binary.LittleEndian.Uint64(base[80:]))
	heap := int(binary.LittleEndian.Uint64(base[88:]))
	try("B-tree of a group is its own child", func(b []byte) { put64(b, tree+32, uint64(tree)) })
	try("B-tree of a group claims a level and is its own child", func(b []byte) { b[tree+5] = 1; put64(b, tree+32, uint64(tree)) })
	try("symbol table node twice", func(b []byte) { copy(b[tree+48:][:8], b[tree+32:][:8]) })
	try("local heap's data is the heap", func(b []byte) { put64(b, heap+24, uint64(heap)); put64(b, heap+8, 1<<40) })
	try("object header continues in itself", func(b []byte) {
		copy(b[root+16:], le64(le64([]byte{0x10, 0, 16, 0, 0, 0, 0, 0}, uint64(root+16)), 24))
		b[root+2], b[root+3] = 255, 255
	})
	try("global heap's object is larger than the heap", func(b []byte) {
		put64(b, bytes.Index(b, []byte("GCOL"))+16+8, 1<<50)
	})
	try("global heap is larger than the file", func(b []byte) { put64(b, bytes.Index(b, []byte("GCOL"))+8, 1<<50) })
	try("attribute larger than its message", func(b []byte) {
		i := bytes.Index(b, []byte("\x01\x00\x02\x00\x14\x00\x08\x00s\x00"))
		b[i+4] = 0xff
	})
}

// hostileOptions keep single reads small.
var hostileOptions = Options{MaxValueBytes: 1 << 20, ExpandFloor: 1 << 16, MaxAttrBytes: 1 << 18, MaxObjects: 10000, Workers: 2}

// mutants calls fn with seeds that had bytes changed, cut or repeated.
func mutants(seed []byte, n int, fn func(b []byte)) {
	r := rand.New(rand.NewSource(int64(len(seed))))
	for range n {
		b := bytes.Clone(seed)
		for range 1 + r.Intn(4) {
			i := r.Intn(len(b))
			switch r.Intn(5) {
			case 0:
				b[i] ^= 1 << r.Intn(8)
			case 1:
				b[i] = byte(r.Intn(256))
			case 2:
				if i+8 <= len(b) {
					put64(b, i&^7, uint64(r.Intn(len(b))))
				}
			case 3:
				copy(b[i:], b[r.Intn(len(b)):][:min(64, len(b)-i)/2])
			case 4:
				b[i] = 0xff
			}
		}
		fn(b)
	}
}

// TestMutants reads damaged files: any error will do, a panic will not.
func TestMutants(t *testing.T) {
	seeds := append(fuzzSeeds(t), smallSample(t))
	n := 60
	if testing.Short() {
		n = 20
	}
	for _, seed := range seeds {
		mutants(seed, n, func(b []byte) {
			for _, lax := range []bool{false, true} {
				o := hostileOptions
				o.noChecksums = lax
				if f, err := OpenBytes(b, o); err == nil {
					readAll(f)
				}
			}
		})
		for i := 0; i < len(seed); i += 1 + len(seed)/50 {
			if f, err := OpenBytes(seed[:i], hostileOptions); err == nil {
				readAll(f)
			}
		}
	}
}

// smallSample is a file of the writer's with many features in few bytes.
func smallSample(t testing.TB) []byte {
	return smallFile(t, func(g *GroupWriter) {
		require.NoError(t, g.SetAttr("s", Strings([]string{"a", "bb"}, UTF8)))
		require.NoError(t, g.SetAttr("f", FixedStrings([]string{"a", "bb"})))
		must(g.Dataset("d/x", must(DataOf(seq32(12), 3, 4)), Storage{}))
		must(g.Dataset("d/z", must(DataOf(seq32(12), 3, 4)), Storage{Chunks: []uint64{2, 2}, Deflate: 1, Shuffle: true, Fletcher32: true}))
		must(g.Dataset("s", Strings([]string{"abc", "", "d"}, ASCII), Storage{}))
		pair := &Datatype{Class: ClassCompound, Size: 12, Members: []Member{{"id", 0, NewInteger(4, false)},
			{"v", 4, &Datatype{Class: ClassArray, Size: 8, Base: NewFloat(4), Dims: []int{2}}}}}
		must(g.Dataset("c", Data{Type: pair, Dims: []uint64{1}, Bytes: make([]byte, 12)}, Storage{}))
		require.NoError(t, g.SoftLink("l", "/d/x"))
	})
}

// fuzzSeeds are the fixtures that are small enough for fuzzing.
func fuzzSeeds(t testing.TB) [][]byte {
	names, err := filepath.Glob(filepath.Join("testdata", "*.h5"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var seeds [][]byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		require.NoError(t, err)
		seeds = append(seeds, b)
	}
	return seeds
}

// FuzzOpen reads all of a damaged file. Long runs want -fuzzminimizetime=10x:
// minimising each new input takes most of the time otherwise.
func FuzzOpen(f *testing.F) {
	f.Add(smallSample(f), true)
	for _, b := range fuzzSeeds(f) {
		if len(b) < 32<<10 {
			f.Add(b, true)
			f.Add(b, false)
		}
	}
	if dir := os.Getenv("NNRT_DATA"); dir != "" {
		names, _ := filepath.Glob(filepath.Join(dir, "hdf5-golden", "*.h5"))
		for _, n := range names {
			if b, err := os.ReadFile(n); err == nil && len(b) < 16<<10 {
				f.Add(b, true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, lax bool) {
		o := hostileOptions
		o.noChecksums = lax
		file, err := OpenBytes(b, o)
		if err != nil {
			return
		}
		start := time.Now()
		readAll(file)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("reading %d bytes took %v", len(b), d)
		}
	})
}
