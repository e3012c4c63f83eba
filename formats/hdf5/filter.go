package hdf5

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"

	"github.com/nnrt/nnrt/internal/errs"
)

// A pipeline undoes the filters that chunks went through. It keeps buffers
// between chunks and serves one goroutine.
type pipeline struct {
	filters []Filter
	size    int // bytes of a decoded chunk
	elem    int // bytes of an element

	bufs [2][]byte
	zr   io.ReadCloser
}

// checkFilters refuses filters that this package does not have.
func checkFilters(fs []Filter) error {
	for _, f := range fs {
		switch f.ID {
		case FilterDeflate, FilterShuffle, FilterFletcher32, FilterNBit, FilterScaleOffset, FilterLZF:
		case FilterSzip:
			return unsupported("filter szip")
		default:
			return unsupported("filter %d (%s)", f.ID, f.Name)
		}
	}
	return nil
}

// decode undoes the filters, last first, leaving out those in mask. The result
// is valid until the next call.
func (p *pipeline) decode(b []byte, mask uint32) ([]byte, error) {
	if err := checkFilters(p.filters); err != nil {
		return nil, err
	}
	for i := len(p.filters) - 1; i >= 0; i-- {
		if mask>>i&1 != 0 {
			continue
		}
		f := &p.filters[i]
		var err error
		if b, err = p.undo(f, b); err != nil {
			return nil, errs.Errorf("%s: %w", filterName(f.ID), err)
		}
	}
	return b, nil
}

// limit bounds a filter's output: filters before it in the pipeline can only
// have added a checksum, a header or the slack of a failed compression.
func (p *pipeline) limit() int { return p.size + p.size/8 + 1024 }

// buffer returns an empty buffer that b does not use.
func (p *pipeline) buffer(b []byte) *[]byte {
	if len(b) > 0 && cap(p.bufs[0]) > 0 && &b[0] == &p.bufs[0][:1][0] {
		return &p.bufs[1]
	}
	return &p.bufs[0]
}

// grown returns p's buffer with length n.
func grown(buf *[]byte, n int) []byte {
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	*buf = (*buf)[:n]
	return *buf
}

func (p *pipeline) undo(f *Filter, b []byte) ([]byte, error) {
	switch f.ID {
	case FilterDeflate:
		return p.inflate(b)
	case FilterShuffle:
		return p.unshuffle(f, b), nil
	case FilterFletcher32:
		return checkFletcher(b)
	case FilterLZF:
		return p.unLZF(b)
	case FilterNBit:
		return p.nbit(f, b)
	case FilterScaleOffset:
		return p.scaleOffset(f, b)
	}
	return nil, errors.ErrUnsupported
}

// inflate reads a zlib stream, growing its output with what is there rather
// than trusting the declared size.
func (p *pipeline) inflate(b []byte) ([]byte, error) {
	buf := p.buffer(b)
	src := bytes.NewReader(b)
	var err error
	if p.zr == nil {
		p.zr, err = zlib.NewReader(src)
	} else {
		err = p.zr.(zlib.Resetter).Reset(src, nil)
	}
	if err != nil {
		return nil, err
	}
	if want := min(p.size, 1032*len(b)); cap(*buf) <= want {
		*buf = make([]byte, 0, want+1)
	}
	out := (*buf)[:0]
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := p.zr.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > p.limit() {
			return nil, errs.Errorf("more than %d bytes for a chunk of %d", p.limit(), p.size)
		}
		if err == io.EOF {
			*buf = out
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// unshuffle turns planes of bytes of equal significance back into elements.
// Bytes past the last whole element stay where they are.
func (p *pipeline) unshuffle(f *Filter, b []byte) []byte {
	size := p.elem
	if len(f.Params) > 0 {
		size = int(f.Params[0])
	}
	if size <= 1 || len(b) < size {
		return b
	}
	n := len(b) / size
	out := grown(p.buffer(b), len(b))
	switch size {
	case 4:
		p0, p1, p2, p3 := b[:n], b[n:2*n], b[2*n:3*n], b[3*n:4*n]
		for i := range n {
			v := uint32(p0[i]) | uint32(p1[i])<<8 | uint32(p2[i])<<16 | uint32(p3[i])<<24
			binary.LittleEndian.PutUint32(out[4*i:], v)
		}
	default:
		for j := range size {
			plane := b[j*n : (j+1)*n]
			for i, v := range plane {
				out[i*size+j] = v
			}
		}
	}
	copy(out[n*size:], b[n*size:])
	return out
}

func checkFletcher(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errs.Errorf("%d bytes, too few for a checksum", len(b))
	}
	data := b[:len(b)-4]
	got, want := binary.LittleEndian.Uint32(b[len(b)-4:]), fletcher32(data)
	// Files written on some big-endian machines by HDF5 1.6.2 and older hold
	// each half of the sum byte-swapped.
	if got != want && bits.ReverseBytes32(bits.RotateLeft32(got, 16)) != want {
		return nil, errs.Errorf("checksum %08x, computed %08x", got, want)
	}
	return data, nil
}

// unLZF decompresses Marc Lehmann's LZF.
func (p *pipeline) unLZF(b []byte) ([]byte, error) {
	buf := p.buffer(b)
	if want := min(p.size, 300*len(b)); cap(*buf) < want {
		*buf = make([]byte, 0, want)
	}
	out := (*buf)[:0]
	for i := 0; i < len(b); {
		ctrl := int(b[i])
		i++
		if ctrl < 32 { // ctrl+1 literal bytes
			if i+ctrl+1 > len(b) {
				return nil, errs.Errorf("literal run of %d bytes, %d left", ctrl+1, len(b)-i)
			}
			out = append(out, b[i:i+ctrl+1]...)
			i += ctrl + 1
		} else {
			n, need := ctrl>>5, 1
			if n == 7 {
				need = 2
			}
			if i+need > len(b) {
				return nil, errors.New("cut off in a back reference")
			}
			if n == 7 {
				n += int(b[i])
				i++
			}
			from := len(out) - (ctrl&31)<<8 - int(b[i]) - 1
			i++
			if from < 0 {
				return nil, errs.Errorf("back reference to %d before the start", -from)
			}
			for range n + 2 {
				out = append(out, out[from])
				from++
			}
		}
		if len(out) > p.limit() {
			return nil, errs.Errorf("more than %d bytes for a chunk of %d", p.limit(), p.size)
		}
	}
	*buf = out
	return out, nil
}

// formatWrap turns an error of a filter into a FormatError at an offset.
func formatWrap(at int64, err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return &FormatError{Offset: at, Msg: err.Error(), Err: err}
}
