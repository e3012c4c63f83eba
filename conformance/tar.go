package conformance

import (
	"io"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// tarReader reads the members of an archive in the formats ustar, PAX and GNU: names, sizes and contents. It stands for
// archive/tar, which costs the command 90 kilobytes.
type tarReader struct {
	r    io.Reader
	left int64 // bytes of the present member
	pad  int64 // zeros behind it
}

type tarHeader struct {
	Name    string
	Size    int64
	Regular bool // a file
	kind    byte
}

const (
	tarBlock = 512
	tarNames = 1 << 20 // the most bytes of a member that only says something about the next
)

// Read reads the present member.
func (t *tarReader) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, io.EOF
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.left)])
	if t.left -= int64(n); err == io.EOF && t.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Next goes to the next member; io.EOF says that there is none.
func (t *tarReader) Next() (tarHeader, error) {
	name, size := "", int64(-1)
	for {
		h, err := t.header()
		if err != nil {
			return h, err
		}
		if h.kind != 'L' && h.kind != 'x' {
			if name != "" {
				h.Name = name
			}
			if size >= 0 {
				h.Size = size
			}
			t.begin(h.Size)
			if h.kind != 'g' && h.kind != 'K' { // what is said about all members, and names of links
				return h, nil
			}
			continue
		}
		if h.Size > tarNames {
			return h, errs.Errorf("tar: %d bytes about a member", h.Size)
		}
		t.begin(h.Size)
		p, err := io.ReadAll(t)
		if err != nil {
			return h, err
		}
		if h.kind == 'L' { // GNU's
			name = strings.TrimRight(string(p), "\x00")
			continue
		}
		for _, line := range strings.Split(string(p), "\n") { // PAX: "length key=value"
			_, pair, _ := strings.Cut(line, " ")
			switch key, v, _ := strings.Cut(pair, "="); key {
			case "path":
				name = v
			case "size":
				if size, err = strconv.ParseInt(v, 10, 64); err != nil || size < 0 {
					return h, errs.Errorf("tar: a size of %q", v)
				}
			}
		}
	}
}

func (t *tarReader) begin(size int64) { t.left, t.pad = size, -size&(tarBlock-1) }

// header leaves the present member and reads the header behind it.
func (t *tarReader) header() (h tarHeader, err error) {
	if _, err := io.CopyN(io.Discard, t.r, t.left+t.pad); err != nil {
		return h, io.ErrUnexpectedEOF
	}
	t.begin(0)
	var b [tarBlock]byte
	if _, err := io.ReadFull(t.r, b[:]); err != nil {
		return h, err
	}
	if b == [tarBlock]byte{} {
		return h, io.EOF
	}
	text := func(at, n int) string { s, _, _ := strings.Cut(string(b[at:at+n]), "\x00"); return s }
	octal := func(at, n int) (int64, error) { return strconv.ParseInt(strings.Trim(text(at, n), " "), 8, 64) }
	sum := int64(8 * ' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	want, err := octal(148, 8)
	if err != nil || sum != want {
		return h, errs.Errorf("tar: a header's sum is wrong")
	}
	h = tarHeader{Name: text(0, 100), kind: b[156], Regular: b[156] == '0' || b[156] == 0}
	if prefix := text(345, 155); string(b[257:263]) == "ustar\x00" && prefix != "" {
		h.Name = prefix + "/" + h.Name
	}
	if h.Size, err = octal(124, 12); err != nil || h.Size < 0 {
		return h, errs.Errorf("tar: a size of %q", text(124, 12))
	}
	return h, nil
}
