package tensor

import (
	"archive/zip"
	"bytes"
	"cmp"
	"hash/crc32"
	"io"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Named is a tensor with a name: a member of an .npz archive.
type Named struct {
	Name   string
	Tensor *Tensor
}

// Archives may expand to npzFloor in any case, and beyond it to npzRatio times their own size.
const (
	npzFloor = 256 << 20
	npzRatio = 100
)

// ReadNpz reads all arrays of an .npz archive of size bytes, in its order, without ".npy" in their names.
func ReadNpz(r io.ReaderAt, size int64, o NpyOptions) ([]Named, error) {
	return readNpz(r, size, nil, nil, o)
}

// DecodeNpz is ReadNpz of a whole file in memory. Arrays stored without compression alias b where
// DecodeNpy would, and hold keep.
func DecodeNpz(b []byte, keep any, o NpyOptions) ([]Named, error) {
	return readNpz(bytes.NewReader(b), int64(len(b)), b, keep, o)
}

func readNpz(r io.ReaderAt, size int64, whole []byte, keep any, o NpyOptions) ([]Named, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, npyErr("archive: %v", err)
	}
	if err := checkExpansion(z, size, o); err != nil {
		return nil, err
	}
	out := make([]Named, 0, len(z.File))
	seen := make(map[string]bool, len(z.File))
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			return nil, npyErr("member %q is no .npy", f.Name)
		}
		if seen[name] {
			return nil, npyErr("member %q twice", f.Name)
		}
		seen[name] = true
		t, err := readMember(f, whole, keep, o)
		if err != nil {
			return nil, errs.Errorf("member %q: %w", f.Name, err)
		}
		out = append(out, Named{name, t})
	}
	return out, nil
}

// checkExpansion sums the sizes that the directory declares; the zip reader holds members to them.
func checkExpansion(z *zip.Reader, size int64, o NpyOptions) error {
	limit := min(uint64(max(npzFloor, npzRatio*size)), uint64(o.maxBytes()))
	total := uint64(0)
	for _, f := range z.File {
		if f.UncompressedSize64 > limit-total {
			return npyErr("archive of %d bytes expands to over %d", size, limit)
		}
		total += f.UncompressedSize64
	}
	return nil
}

func readMember(f *zip.File, whole []byte, keep any, o NpyOptions) (*Tensor, error) {
	if whole != nil && f.Method == zip.Store {
		off, err := f.DataOffset()
		if err != nil {
			return nil, npyErr("%v", err)
		}
		n := int64(f.CompressedSize64)
		if f.CompressedSize64 != f.UncompressedSize64 || n < 0 || off < 0 || n > int64(len(whole))-off {
			return nil, npyErr("stored data lies outside the archive")
		}
		data := whole[off : off+n]
		if crc32.ChecksumIEEE(data) != f.CRC32 {
			return nil, npyErr("checksum differs")
		}
		return DecodeNpy(data, keep, o)
	}
	r, err := f.Open()
	if err != nil {
		return nil, npyErr("%v", err)
	}
	defer r.Close()
	// The zip reader notices only at the end that there is more than declared.
	lim := &io.LimitedReader{R: r, N: int64(min(f.UncompressedSize64, 1<<62))}
	t, err := ReadNpy(lim, o)
	if err != nil {
		return nil, err
	}
	if lim.N != 0 {
		return nil, npyErr("%d bytes after the array", lim.N)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF { // the checksum is compared here
		return nil, npyErr("at the end: %v", cmp.Or(err, zip.ErrFormat))
	}
	return t, nil
}

// WriteNpz writes tensors as an uncompressed .npz archive, as numpy.savez does. Names must differ and
// must not be empty.
func WriteNpz(w io.Writer, tensors []Named) error {
	z := zip.NewWriter(w)
	seen := make(map[string]bool, len(tensors))
	for _, n := range tensors {
		if n.Name == "" || seen[n.Name] {
			return errs.Errorf("tensor: .npz member name %q is empty or used twice", n.Name)
		}
		seen[n.Name] = true
		f, err := z.CreateHeader(&zip.FileHeader{Name: n.Name + ".npy", Method: zip.Store})
		if err != nil {
			return err
		}
		if err := WriteNpy(f, n.Tensor); err != nil {
			return errs.Errorf("%q: %w", n.Name, err)
		}
	}
	return z.Close()
}
