package hdf5

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// must unwraps a value in tests.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seq32(n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(i) / 4
	}
	return s
}

// sampleWriter describes a file with one of everything.
func sampleWriter(t testing.TB) *Writer {
	w := NewWriter()
	r := w.Root()
	set := func(o interface{ SetAttr(string, Data) error }, name string, d Data) {
		require.NoError(t, o.SetAttr(name, d))
	}
	set(r, "vlen", String("héllo", UTF8))
	set(r, "empty_string", String("", UTF8))
	set(r, "list", Strings([]string{"a", "", "ccc"}, ASCII))
	set(r, "fixed", FixedStrings([]string{"dense_1", "conv"}))
	set(r, "none", must(DataOf([]float64{})))
	set(r, "int", must(DataOf(42)))
	set(r, "flag", must(DataOf(true)))
	set(r, "mat", must(DataOf([]float32{1, 2, 3, 4, 5, 6}, 2, 3)))
	set(r, "null", Data{Type: NewFloat(4), Null: true})
	set(r, "ünïcode", must(DataOf(uint16(7))))
	add := func(path string, d Data, s Storage) *DatasetWriter {
		return must(r.Dataset(path, d, s))
	}
	d := add("dense/kernel:0", must(DataOf(seq32(35), 5, 7)), Storage{})
	set(d, "note", FixedString("on a dataset"))
	add("dense/bias:0", must(DataOf([]float64{1, -2.5, 1e300})), Storage{})
	add("scalar", must(DataOf(float32(3))), Storage{})
	add("zero", must(DataOf([]float32{}, 0, 4)), Storage{})
	add("chunked/gz", must(DataOf(seq32(17*13), 17, 13)), Storage{Chunks: []uint64{4, 5}, Shuffle: true, Deflate: 6})
	add("chunked/sum", must(DataOf([]int64{1, 2, 3, 4, 5})), Storage{Chunks: []uint64{2}, Fletcher32: true})
	add("chunked/plain", must(DataOf([]int16{1, 2, 3, 4, 5})), Storage{Chunks: []uint64{8}})
	many := make([]int32, 5000)
	for i := range many {
		many[i] = int32(i * i)
	}
	grow := must(DataOf(many))
	grow.MaxDims = []uint64{Unlimited}
	add("chunked/many", grow, Storage{Chunks: []uint64{1}})
	add("strings", Strings([]string{"x", strings.Repeat("long ", 3000), "日本"}, UTF8), Storage{})
	add("bools", must(DataOf([]bool{true, false})), Storage{})
	add("half", Data{Type: NewFloat(2), Dims: []uint64{2}, Bytes: []byte{0, 0x3c, 0, 0xc0}}, Storage{})
	add("bf16", Data{Type: NewBFloat16(), Dims: []uint64{2}, Bytes: []byte{0x80, 0x3f, 0, 0xc0}}, Storage{})
	be := NewInteger(4, true)
	be.Order = BigEndian
	add("be", Data{Type: be, Dims: []uint64{1}, Bytes: []byte{0, 0, 1, 2}}, Storage{})
	pair := &Datatype{Class: ClassCompound, Size: 12, Members: []Member{
		{"id", 0, NewInteger(4, false)},
		{"v", 4, &Datatype{Class: ClassArray, Size: 8, Base: NewFloat(4), Dims: []int{2}}}}}
	add("pairs", Data{Type: pair, Dims: []uint64{1}, Bytes: []byte{1, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}}, Storage{})
	plain := &Datatype{Class: ClassCompound, Size: 6, Members: []Member{
		{"i", 0, NewInteger(4, false)}, {"j", 4, NewInteger(2, true)}}}
	add("plainpairs", Data{Type: plain, Dims: []uint64{1}, Bytes: []byte{1, 0, 0, 0, 0xff, 0xff}}, Storage{})
	add("opaque", Data{Type: &Datatype{Class: ClassOpaque, Size: 2, Tag: "tag"}, Bytes: []byte{1, 2}}, Storage{})
	require.NoError(t, r.SoftLink("soft", "/dense/kernel:0"))
	deep := r
	for i := range 40 {
		deep = must(deep.Group(fmt.Sprint("level", i)))
	}
	set(deep, "depth", must(DataOf(40)))
	crowd := must(r.Group("crowd"))
	for i := range 3000 {
		must(crowd.Group(fmt.Sprintf("member_%d", i)))
	}
	must(r.Group("empty"))
	return w
}

func sampleBytes(t testing.TB) []byte {
	var buf bytes.Buffer
	n, err := sampleWriter(t).WriteTo(&buf)
	require.NoError(t, err)
	require.EqualValues(t, buf.Len(), n)
	return buf.Bytes()
}

func TestWriteRead(t *testing.T) {
	f, err := OpenBytes(sampleBytes(t), Options{})
	require.NoError(t, err)
	r := f.Root()
	attr := func(path, name string) any {
		a, err := must(r.Open(path)).Attr(name)
		require.NoError(t, err)
		return must(a.Value())
	}
	require.Equal(t, "héllo", attr("/", "vlen"))
	require.Equal(t, "", attr("/", "empty_string"))
	require.Equal(t, []string{"a", "", "ccc"}, attr("/", "list"))
	require.Equal(t, []string{"dense_1", "conv"}, attr("/", "fixed"))
	require.Equal(t, []float64{}, attr("/", "none"))
	require.Equal(t, int64(42), attr("/", "int"))
	require.Equal(t, true, attr("/", "flag"))
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6}, attr("/", "mat"))
	require.Nil(t, attr("/", "null"))
	require.Equal(t, uint16(7), attr("/", "ünïcode"))
	require.Equal(t, "on a dataset", attr("dense/kernel:0", "note"))

	value := func(path string) any {
		d, err := r.OpenDataset(path)
		require.NoError(t, err)
		v, err := d.Value()
		require.NoError(t, err)
		return v
	}
	require.Equal(t, seq32(35), value("dense/kernel:0"))
	require.Equal(t, seq32(35), value("soft"))
	require.Equal(t, []float64{1, -2.5, 1e300}, value("/dense/bias:0"))
	require.Equal(t, float32(3), value("scalar"))
	require.Equal(t, []float32{}, value("zero"))
	require.Equal(t, seq32(17*13), value("chunked/gz"))
	require.Equal(t, []int64{1, 2, 3, 4, 5}, value("chunked/sum"))
	require.Equal(t, []int16{1, 2, 3, 4, 5}, value("chunked/plain"))
	many := value("chunked/many").([]int32)
	require.Len(t, many, 5000)
	require.Equal(t, int32(4999*4999), many[4999])
	require.Equal(t, []string{"x", strings.Repeat("long ", 3000), "日本"}, value("strings"))
	require.Equal(t, []bool{true, false}, value("bools"))
	require.Equal(t, []float32{1, -2}, value("half"))
	require.Equal(t, []float32{1, -2}, value("bf16"))
	require.Equal(t, []int32{258}, value("be"))
	require.Equal(t, []any{Compound{{"id", uint32(1)}, {"v", []float32{1, 2}}}}, value("pairs"))
	require.Equal(t, []any{Compound{{"i", uint32(1)}, {"j", int16(-1)}}}, value("plainpairs"))
	require.Equal(t, []byte{1, 2}, value("opaque"))
	names, err := must(r.OpenGroup("crowd")).Names()
	require.NoError(t, err)
	require.Len(t, names, 3000)
	deep := "/"
	for i := range 40 {
		deep += fmt.Sprint("level", i, "/")
	}
	require.Equal(t, int64(40), attr(deep, "depth"))
}

// TestToolsRead has libhdf5's own tools and h5py read what the writer wrote.
func TestToolsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("runs h5dump")
	}
	dump, err := exec.LookPath("h5dump")
	if err != nil {
		t.Skip("h5dump (package hdf5-tools) is not installed")
	}
	name := filepath.Join(t.TempDir(), "sample.h5")
	require.NoError(t, sampleWriter(t).WriteFile(name))
	out, err := exec.Command(dump, name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.False(t, bytes.Contains(out, []byte("rror")), "h5dump complains")
	for _, want := range []string{`ATTRIBUTE "ünïcode"`, `GROUP "member_2999"`, `24900100`, `LINKTARGET "/dense/kernel:0"`, `GROUP "level39"`, `"tag"`} {
		require.True(t, bytes.Contains(out, []byte(want)), "h5dump does not print %s", want)
	}
}
