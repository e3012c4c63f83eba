package tensor

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/stretchr/testify/require"
)

func npyFile(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", "npy", name))
	require.NoError(t, err)
	return b
}

// numbers is the content of numpy's test files in type dt.
func numbers(t testing.TB, dt DType) *Tensor {
	x := New(Int64, 2, 3, 4)
	for i := range As[int64](x) {
		v := int64(3*i - 7)
		if dt.IsUnsigned() && v < 0 {
			v = -v
		}
		As[int64](x)[i] = v
	}
	y, err := Cast(x, dt, CastOptions{})
	require.NoError(t, err)
	return y
}

func requireSame(t testing.TB, want, got *Tensor, msg ...any) {
	t.Helper()
	require.Equal(t, want.DType(), got.DType(), msg...)
	require.Equal(t, want.Shape(), got.Shape(), msg...)
	require.Equal(t, want.Bytes(), got.Bytes(), msg...)
	require.Equal(t, want.Strings(), got.Strings(), msg...)
}

func readBoth(t testing.TB, b []byte, o NpyOptions) *Tensor {
	t.Helper()
	x, err := ReadNpy(iotest.OneByteReader(bytes.NewReader(b)), o)
	require.NoError(t, err)
	y, err := DecodeNpy(b, nil, o)
	require.NoError(t, err)
	requireSame(t, x, y)
	return x
}

func TestNpyFromNumpy(t *testing.T) {
	for name, dt := range map[string]DType{
		"le_f2": Float16, "le_f4": Float32, "le_f8": Float64, "i1": Int8, "le_i2": Int16, "le_i4": Int32, "le_i8": Int64,
		"le_c8": Complex64, "le_c16": Complex128, "be_f2": Float16, "be_f4": Float32, "be_f8": Float64, "be_i2": Int16,
		"be_i8": Int64, "be_c16": Complex128, "u1": Uint8, "le_u2": Uint16, "le_u4": Uint32, "le_u8": Uint64, "be_u4": Uint32,
		"fortran": Int32, "version2": Float32, "version3": Float32,
	} {
		requireSame(t, numbers(t, dt), readBoth(t, npyFile(t, name+".npy"), NpyOptions{}), name)
	}
	even := New(Bool, 2, 3, 4)
	for i := range As[bool](even) {
		As[bool](even)[i] = (3*i-7)%2 == 0
	}
	requireSame(t, even, readBoth(t, npyFile(t, "bool.npy"), NpyOptions{}))
	requireSame(t, Scalar[float32](2.5), readBoth(t, npyFile(t, "scalar.npy"), NpyOptions{}))
	requireSame(t, New(Int64, 0, 3), readBoth(t, npyFile(t, "empty.npy"), NpyOptions{}))
	words, _ := FromStrings([]string{"ä", "日本語", "", "x y"}, 2, 2)
	requireSame(t, words, readBoth(t, npyFile(t, "unicode.npy"), NpyOptions{}))
	requireSame(t, words, readBoth(t, npyFile(t, "unicode_be_f.npy"), NpyOptions{}))
	letters, _ := FromStrings([]string{"ab", "", "c"}, 3)
	requireSame(t, letters, readBoth(t, npyFile(t, "bytes.npy"), NpyOptions{}))
	requireSame(t, ofDType(BFloat16, 0x80, 0x3f, 0, 0xc0), readBoth(t, npyFile(t, "raw2.npy"), NpyOptions{RawAs: BFloat16}))
}

func TestNpzFromNumpy(t *testing.T) {
	for _, name := range []string{"stored.npz", "deflated.npz"} {
		b := npyFile(t, name)
		got, err := DecodeNpz(b, nil, NpyOptions{})
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, "x", got[0].Name)
		requireSame(t, numbers(t, Float32), got[0].Tensor)
		requireSame(t, Of([]int64{0, 1, 2}), got[1].Tensor)
		again, err := ReadNpz(bytes.NewReader(b), int64(len(b)), NpyOptions{})
		require.NoError(t, err)
		requireSame(t, got[0].Tensor, again[0].Tensor)
		files, err := OpenNpz(filepath.Join("testdata", "npy", name), NpyOptions{})
		require.NoError(t, err)
		requireSame(t, got[1].Tensor, files[1].Tensor)
	}
}

func TestNpzGoldens(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "inference"), "*", "*.npz"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, p := range paths[:min(len(paths), 100)] {
		list, err := OpenNpz(p, NpyOptions{})
		require.NoError(t, err)
		require.NotEmpty(t, list, p)
		var out bytes.Buffer
		require.NoError(t, WriteNpz(&out, list))
		back, err := DecodeNpz(out.Bytes(), nil, NpyOptions{})
		require.NoError(t, err)
		for i, n := range list {
			require.Equal(t, n.Name, back[i].Name)
			requireSame(t, n.Tensor, back[i].Tensor, p)
		}
	}
}

func TestNpyWriteReadEveryType(t *testing.T) {
	for d := Float32; d < numDTypes; d++ {
		var x *Tensor
		var o NpyOptions
		switch d {
		case String:
			x, _ = FromStrings([]string{"", "naïve", "🙂", "a"}, 2, 2)
		case BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0, Float4E2M1, Int4, Uint4, Int2, Uint2:
			x, o.RawAs = New(d, 3, 1), d
			require.NoError(t, x.SetFloat64s([]float64{1, 0, 1}))
		default:
			x = numbers(t, d)
		}
		var b bytes.Buffer
		require.NoError(t, WriteNpy(&b, x))
		require.Zero(t, (b.Len()-len(x.Bytes()))%16, d) // data is aligned in the file
		requireSame(t, x, readBoth(t, b.Bytes(), o), d)
		if o.RawAs != Invalid {
			_, err := DecodeNpy(b.Bytes(), nil, NpyOptions{})
			require.ErrorContains(t, err, "no type was named")
			_, err = DecodeNpy(b.Bytes(), nil, NpyOptions{RawAs: Float64})
			require.ErrorContains(t, err, "can't be float64")
		}
	}
	bad, _ := FromStrings([]string{"\xff"}, 1)
	require.ErrorContains(t, WriteNpy(io.Discard, bad), "element 0")
}

// TestNpyWrittenAsNumpyDoes compares whole files.
func TestNpyWrittenAsNumpyDoes(t *testing.T) {
	for _, name := range []string{"le_f4", "le_i8", "i1", "bool", "scalar", "empty", "unicode", "le_c16", "u1"} {
		b := npyFile(t, name+".npy")
		var out bytes.Buffer
		require.NoError(t, WriteNpy(&out, readBoth(t, b, NpyOptions{})))
		require.Equal(t, string(b), out.String(), name)
	}
}

func TestDecodeNpyAliases(t *testing.T) {
	src := npyFile(t, "le_f4.npy")
	b := AlignedBytes(len(src))
	copy(b, src)
	x, err := DecodeNpy(b, "owner", NpyOptions{})
	require.NoError(t, err)
	require.Equal(t, unsafe.Pointer(&b[len(b)-96]), unsafe.Pointer(&x.Bytes()[0]))
	require.Equal(t, "owner", x.Keep())
	file, err := OpenNpy(filepath.Join("testdata", "npy", "le_f4.npy"), NpyOptions{})
	require.NoError(t, err)
	requireSame(t, x, file)
	require.NotNil(t, file.Keep())
	_, err = OpenNpy(filepath.Join("testdata", "npy", "object.npy"), NpyOptions{})
	require.ErrorContains(t, err, "object.npy: ")
}

func npyWith(header string, data int) []byte {
	b := append([]byte(npyMagic), 1, 0, byte(len(header)), byte(len(header)>>8))
	return append(append(b, header...), make([]byte, data)...)
}

func TestNpyRefusals(t *testing.T) {
	good := "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
	readBoth(t, npyWith(good, 8), NpyOptions{})
	readBoth(t, npyWith(`{"shape":(2L,),"fortran_order":True,"descr":"=f4"}`, 8), NpyOptions{})
	for want, b := range map[string][]byte{
		"no \"\\x93NUMPY\" at the start": []byte("PK\x03\x04........"),
		"version 4.0":                    append([]byte(npyMagic), 4, 0, 0, 0, 0, 0),
		"header is cut off":              append([]byte(npyMagic), 2, 0, 0),
		"header of 118 bytes is cut off": npyFile(t, "le_f4.npy")[:50],
		"header of 4294967295 bytes":     append([]byte(npyMagic), 2, 0, 255, 255, 255, 255),
		"fortran_order and shape must":   npyWith("{'descr': '<f4'}", 8),
		"key \"descr\" twice":            npyWith("{'descr': '<f4', 'descr': '<f4'}", 8),
		"unknown key \"order\"":          npyWith("{'order': 'C'}", 8),
		"no dict":                        npyWith("[]", 8),
		"after the dict":                 npyWith(good+"x", 8),
		"no comma":                       npyWith("{'descr': '<f4' 'shape': ()}", 8),
		"no colon":                       npyWith("{'descr' '<f4'}", 8),
		"bad string":                     npyWith("{'descr", 8),
		"no string":                      npyWith("{descr", 8),
		"neither True nor False":         npyWith("{'fortran_order': 0}", 8),
		"no tuple":                       npyWith("{'shape': 3}", 8),
		"no dimension":                   npyWith("{'shape': (-1,)}", 8),
		"more than 32 dimensions":        npyWith("{'shape': ("+strings.Repeat("1,", 33)+")}", 8),
		"overflows":                      npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8),
		"exceeds the limit":              npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,)}", 8),
		"items of 0 bytes":               npyWith("{'descr': '<U0', 'fortran_order': False, 'shape': (4,)}", 0),
		"is no character":                append(npyWith("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", 0), 0, 0, 0x11, 0),
		"is no bool":                     append(npyWith("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", 0), 2),
		"records are not read":           npyFile(t, "record.npy"),
		"descr \"|O\" is not read":       npyFile(t, "object.npy"),
		"descr \"<f16\": raw items":      npyWith("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", 16),
		"descr \"<M8[ns]\" is not read":  npyWith("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,)}", 8),
		"descr \"\"":                     npyWith("{'descr': '', 'fortran_order': False, 'shape': (1,)}", 8),
	} {
		_, err := DecodeNpy(b, nil, NpyOptions{})
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, ErrNpy)
		_, err = ReadNpy(bytes.NewReader(b), NpyOptions{})
		require.ErrorContains(t, err, want)
	}
	_, err := DecodeNpy(npyWith(good, 9), nil, NpyOptions{})
	require.ErrorContains(t, err, "takes 8 bytes, 9 follow")
	_, err = ReadNpy(bytes.NewReader(npyWith(good, 7)), NpyOptions{})
	require.ErrorContains(t, err, "7 of the 8 bytes")
	_, err = DecodeNpy(npyWith(good, 8), nil, NpyOptions{MaxBytes: 7})
	require.ErrorContains(t, err, "limit of 7 bytes")
}

// TestReadNpyTrustsNoLength: a header that promises gigabytes must not cost them.
func TestReadNpyTrustsNoLength(t *testing.T) {
	b := npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}", 100)
	allocs := testing.Benchmark(func(tb *testing.B) {
		for range tb.N {
			if _, err := ReadNpy(bytes.NewReader(b), NpyOptions{}); err == nil {
				tb.Fatal("accepted")
			}
		}
	})
	require.Less(t, allocs.AllocedBytesPerOp(), int64(4<<20))
}

func zipOf(t testing.TB, method uint16, files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: files[i], Method: method})
		require.NoError(t, err)
		_, err = io.WriteString(w, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// bomb is an archive whose directory declares size for a member of few bytes.
func bomb(t testing.TB, size uint64, body string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var packed bytes.Buffer
	inner := zipOf(t, zip.Deflate, "x", body)
	r, err := zip.NewReader(bytes.NewReader(inner), int64(len(inner)))
	require.NoError(t, err)
	rc, err := r.File[0].OpenRaw()
	require.NoError(t, err)
	_, err = io.Copy(&packed, rc)
	require.NoError(t, err)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "x.npy", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte(body)), CompressedSize64: uint64(packed.Len()), UncompressedSize64: size})
	require.NoError(t, err)
	_, err = w.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestNpzRefusals(t *testing.T) {
	npy := string(npyFile(t, "le_f4.npy"))
	corrupt := zipOf(t, zip.Store, "x.npy", npy)
	corrupt[bytes.Index(corrupt, []byte("NUMPY"))+150] ^= 1
	zeros := npyWith("{'descr': '|u1', 'fortran_order': False, 'shape': (400000,)}", 400_000)
	for _, c := range []struct {
		b    []byte
		o    NpyOptions
		want string
	}{
		{[]byte("not a zip"), NpyOptions{}, "archive"},
		{zipOf(t, zip.Store, "readme.txt", "hi"), NpyOptions{}, `"readme.txt" is no .npy`},
		{zipOf(t, zip.Store, "a.npy", npy, "a.npy", npy), NpyOptions{}, `"a.npy" twice`},
		{zipOf(t, zip.Deflate, "a.npy", "junk"), NpyOptions{}, `member "a.npy"`},
		{corrupt, NpyOptions{}, "checksum differs"},
		{zipOf(t, zip.Deflate, "x.npy", npy+"tail"), NpyOptions{}, "4 bytes after the array"},
		{bomb(t, 300<<20, npy), NpyOptions{}, "expands to over 268435456"},
		{bomb(t, 64, npy), NpyOptions{}, "header of 118 bytes is cut off"},
		{bomb(t, uint64(len(npy)), npy+npy), NpyOptions{}, "at the end"},
		{zipOf(t, zip.Deflate, "x.npy", string(zeros)), NpyOptions{MaxBytes: 1000}, "expands to over 1000"},
	} {
		_, err := DecodeNpz(c.b, nil, c.o)
		require.ErrorContains(t, err, c.want)
		_, err = ReadNpz(bytes.NewReader(c.b), int64(len(c.b)), c.o)
		require.Error(t, err)
	}
	got, err := DecodeNpz(zipOf(t, zip.Deflate, "x.npy", string(zeros)), nil, NpyOptions{})
	require.NoError(t, err) // compresses over 100 times, but stays below the floor
	require.Equal(t, 400_000, got[0].Tensor.Len())
	require.Error(t, WriteNpz(io.Discard, []Named{{"a", New(Int8)}, {"a", New(Int8)}}))
	require.Error(t, WriteNpz(io.Discard, []Named{{"", New(Int8)}}))
}

func FuzzNpy(f *testing.F) {
	for _, name := range []string{"le_f4", "be_c16", "fortran", "unicode", "bytes", "raw2", "version3", "record", "object", "empty"} {
		f.Add(npyFile(f, name+".npy"))
	}
	f.Add(npyWith(`{"shape":(2L,),"fortran_order":True,"descr":"=f4"}`, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := NpyOptions{RawAs: BFloat16, MaxBytes: 1 << 20}
		x, err := DecodeNpy(b, nil, o)
		y, err2 := ReadNpy(bytes.NewReader(b), o)
		if err != nil {
			return
		}
		require.NoError(t, err2)
		requireSame(t, x, y)
		var out bytes.Buffer
		if err := WriteNpy(&out, x); err != nil {
			require.Equal(t, String, x.DType())
			return
		}
		back, err := DecodeNpy(out.Bytes(), nil, o)
		require.NoError(t, err)
		requireSame(t, x, back)
		_ = fmt.Sprintf("%+v", x)
	})
}

func FuzzNpz(f *testing.F) {
	f.Add(npyFile(f, "stored.npz"))
	f.Add(npyFile(f, "deflated.npz"))
	f.Add(bomb(f, 300<<20, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := NpyOptions{MaxBytes: 1 << 20}
		x, err := DecodeNpz(b, nil, o)
		y, err2 := ReadNpz(bytes.NewReader(b), int64(len(b)), o)
		require.Equal(t, err == nil, err2 == nil)
		for i := range x {
			requireSame(t, x[i].Tensor, y[i].Tensor)
		}
	})
}
