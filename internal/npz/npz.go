// Package npz reads and writes numpy's array files: .npy, and .npz, which is a zip of them
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/tensor"
)

// maxHeader bounds a header; numpy itself writes a few hundred bytes.
const maxHeader = 1 << 16

var dtypes = map[string]tensor.DType{
	"f4": tensor.Float32, "f8": tensor.Float64, "f2": tensor.Float16, "i1": tensor.Int8, "i2": tensor.Int16,
	"i4": tensor.Int32, "i8": tensor.Int64, "u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32,
	"u8": tensor.Uint64, "b1": tensor.Bool, "c8": tensor.Complex64, "c16": tensor.Complex128,
}

// Read is every array of an .npz file, by name without ".npy".
func Read(path string) (map[string]*tensor.Tensor, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("npz: %s: %w", path, err)
	}
	defer z.Close()
	return readAll(path, &z.Reader)
}

// Decode is every array of an .npz file in memory.
func Decode(p []byte) (map[string]*tensor.Tensor, error) {
	z, err := zip.NewReader(bytes.NewReader(p), int64(len(p)))
	if err != nil {
		return nil, fmt.Errorf("npz: %w", err)
	}
	return readAll("npz", z)
}

func readAll(path string, z *zip.Reader) (map[string]*tensor.Tensor, error) {
	out := map[string]*tensor.Tensor{}
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("npz: %s: %s: %w", path, f.Name, err)
		}
		t, err := ReadArray(r, int64(f.UncompressedSize64))
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("npz: %s: %s: %w", path, f.Name, err)
		}
		out[name] = t
	}
	return out, nil
}

// ReadArray reads one .npy stream; size bounds what it may allocate (the stream's length).
func ReadArray(r io.Reader, size int64) (*tensor.Tensor, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if string(head[:6]) != "\x93NUMPY" {
		return nil, fmt.Errorf("npy: no numpy array")
	}
	n := 2
	if head[6] > 1 {
		n = 4
	}
	var length [4]byte
	if _, err := io.ReadFull(r, length[:n]); err != nil {
		return nil, err
	}
	hl := binary.LittleEndian.Uint32(length[:])
	if hl > maxHeader {
		return nil, fmt.Errorf("npy: header of %d bytes", hl)
	}
	text := make([]byte, hl)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	descr, fortran, shape, err := parseHeader(string(text))
	if err != nil {
		return nil, err
	}
	return readData(r, descr, fortran, shape, size)
}

func readData(r io.Reader, descr string, fortran bool, shape []int, size int64) (*tensor.Tensor, error) {
	count, err := tensor.NumElements(shape)
	if err != nil {
		return nil, err
	}
	if len(descr) > 2 && (descr[1] == 'U' || descr[1] == 'S') {
		return readStrings(r, descr, shape, count, size)
	}
	dt, ok := dtypes[strings.TrimLeft(descr, "<>|=")]
	if !ok {
		return nil, fmt.Errorf("npy: element type %q is not supported", descr)
	}
	if int64(count)*int64(dt.Size()) > size {
		return nil, fmt.Errorf("npy: %v%v is larger than the file", dt, shape)
	}
	t, err := tensor.Make(dt, shape)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, t.Bytes()); err != nil {
		return nil, fmt.Errorf("npy: %v%v: %w", dt, shape, err)
	}
	if descr[0] == '>' {
		swap(t.Bytes(), dt)
	}
	if fortran && len(shape) > 1 {
		return unfortran(t)
	}
	return t, nil
}

func swap(p []byte, dt tensor.DType) {
	n := dt.Size()
	if dt.IsComplex() {
		n /= 2
	}
	for i := 0; i+n <= len(p); i += n {
		slices.Reverse(p[i : i+n])
	}
}

// unfortran turns column-major data into row-major.
func unfortran(t *tensor.Tensor) (*tensor.Tensor, error) {
	shape, n := t.Shape(), t.DType().Size()
	out, err := tensor.Make(t.DType(), shape)
	if err != nil {
		return nil, err
	}
	idx := make([]int, len(shape))
	for i := range t.Len() {
		j := 0
		for k, d := range shape {
			j = j*d + idx[k]
		}
		copy(out.Bytes()[j*n:(j+1)*n], t.Bytes()[i*n:])
		for k := range idx {
			if idx[k]++; idx[k] < shape[k] {
				break
			}
			idx[k] = 0
		}
	}
	return out, nil
}

func readStrings(r io.Reader, descr string, shape []int, count int, size int64) (*tensor.Tensor, error) {
	width, err := strconv.Atoi(descr[2:])
	unit := 1
	if descr[1] == 'U' {
		unit = 4
	}
	if err != nil || width < 0 || int64(count)*int64(width*unit) > size {
		return nil, fmt.Errorf("npy: %d strings of type %q don't fit the file", count, descr)
	}
	buf := make([]byte, count*width*unit)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	strs := make([]string, count)
	for i := range strs {
		p := buf[i*width*unit : (i+1)*width*unit]
		if unit == 1 {
			strs[i] = strings.TrimRight(string(p), "\x00")
			continue
		}
		var b strings.Builder
		for j := 0; j < len(p); j += 4 {
			c := binary.LittleEndian.Uint32(p[j:])
			if descr[0] == '>' {
				c = binary.BigEndian.Uint32(p[j:])
			}
			if c != 0 {
				b.WriteRune(rune(c))
			}
		}
		strs[i] = b.String()
	}
	return tensor.FromStrings(strs, shape...)
}

// parseHeader reads the Python dictionary literal that numpy writes.
func parseHeader(s string) (descr string, fortran bool, shape []int, err error) {
	field := func(key string) (string, bool) {
		i := strings.Index(s, "'"+key+"'")
		if i < 0 {
			return "", false
		}
		return strings.TrimLeft(s[i+len(key)+2:], " :"), true
	}
	d, ok1 := field("descr")
	f, ok2 := field("fortran_order")
	sh, ok3 := field("shape")
	if !ok1 || !ok2 || !ok3 || len(d) < 2 || d[0] != '\'' || !strings.HasPrefix(sh, "(") {
		return "", false, nil, fmt.Errorf("npy: header %q", s)
	}
	end, stop := strings.IndexByte(d[1:], '\''), strings.IndexByte(sh, ')')
	if end < 2 || stop < 0 {
		return "", false, nil, fmt.Errorf("npy: header %q", s)
	}
	shape = []int{}
	for _, part := range strings.Split(sh[1:stop], ",") {
		if part = strings.TrimSuffix(strings.TrimSpace(part), "L"); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return "", false, nil, fmt.Errorf("npy: shape %q", sh[:stop+1])
		}
		shape = append(shape, n)
	}
	return d[1 : 1+end], strings.HasPrefix(f, "True"), shape, nil
}

// Write makes an .npz file of arrays, uncompressed, in the order of their names.
func Write(w io.Writer, arrays map[string]*tensor.Tensor) error {
	z := zip.NewWriter(w)
	names := make([]string, 0, len(arrays))
	for n := range arrays {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		f, err := z.CreateHeader(&zip.FileHeader{Name: n + ".npy", Method: zip.Store})
		if err == nil {
			err = WriteArray(f, arrays[n])
		}
		if err != nil {
			return fmt.Errorf("npz: %s: %w", n, err)
		}
	}
	return z.Close()
}

// WriteFile is Write into a file.
func WriteFile(path string, arrays map[string]*tensor.Tensor) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := Write(f, arrays); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// WriteArray writes one array as .npy, version 1.0.
func WriteArray(w io.Writer, t *tensor.Tensor) error {
	descr := ""
	for d, dt := range dtypes {
		if dt == t.DType() {
			descr = "<" + d
		}
	}
	if descr == "" {
		return fmt.Errorf("npy: numpy has no element type %v", t.DType())
	}
	if t.DType().Size() == 1 {
		descr = "|" + descr[1:]
	}
	shape := ""
	for _, d := range t.Shape() {
		shape += strconv.Itoa(d) + ","
	}
	if t.Rank() > 1 {
		shape = strings.TrimSuffix(shape, ",")
	}
	h := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	h += strings.Repeat(" ", 63-(10+len(h))%64) + "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), byte(len(h)), byte(len(h)>>8))
	if _, err := w.Write(append(head, h...)); err != nil {
		return err
	}
	_, err := w.Write(t.Bytes())
	return err
}
