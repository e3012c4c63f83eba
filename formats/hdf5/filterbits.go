package hdf5

import (
	"encoding/binary"
	"math"

	"github.com/nnrt/nnrt/internal/errs"
)

// bitReader takes bits from the most significant end of each byte.
type bitReader struct {
	b   []byte
	pos int // in bits
	bad bool
}

// take returns the next n bits, n <= 64, as a number.
func (r *bitReader) take(n int) uint64 {
	if r.pos+n > 8*len(r.b) {
		r.bad = true
		r.pos = 8 * len(r.b)
		return 0
	}
	var v uint64
	for n > 0 {
		free := 8 - r.pos%8
		k := min(free, n)
		x := r.b[r.pos/8] >> (free - k) & (1<<k - 1)
		v = v<<k | uint64(x)
		r.pos += k
		n -= k
	}
	return v
}

// Parameters of the n-bit filter: classes of the types it describes.
const (
	nbitAtomic   = 1
	nbitArray    = 2
	nbitCompound = 3
	nbitRaw      = 4
)

// nbit undoes the n-bit filter, which keeps only the significant bits of each
// number. Its parameters describe the element's type: counts first, then class
// by class.
func (p *pipeline) nbit(f *Filter, b []byte) ([]byte, error) {
	if len(f.Params) < 5 {
		return nil, errs.Errorf("%d parameters", len(f.Params))
	}
	if f.Params[1] != 0 { // nothing to gain: stored as it is
		return b, nil
	}
	elem := int(f.Params[4])
	n := uint64(f.Params[2])
	if elem <= 0 || n*uint64(elem) != uint64(p.size) {
		return nil, errs.Errorf("%d elements of %d bytes in a chunk of %d", n, elem, p.size)
	}
	out := grown(p.buffer(b), p.size)
	clear(out)
	x := nbitReader{bitReader: bitReader{b: b}, params: f.Params}
	for i := range int(n) {
		if rest := x.element(3, out[i*elem:(i+1)*elem], 0); rest < 0 {
			return nil, errs.Errorf("parameters %v do not describe a type", f.Params)
		}
		if x.bad {
			return nil, errs.Errorf("%d bytes end within element %d of %d", len(b), i, n)
		}
	}
	return out, nil
}

type nbitReader struct {
	bitReader
	params []uint32
}

// element fills out with an element whose type begins at params[at]. It
// returns the index after the type, or -1 where it makes no sense.
func (x *nbitReader) element(at int, out []byte, depth int) int {
	if at+2 > len(x.params) || depth > 16 {
		return -1
	}
	size := int(x.params[at+1])
	if size <= 0 || size > len(out) {
		return -1
	}
	switch x.params[at] {
	case nbitAtomic:
		if at+5 > len(x.params) {
			return -1
		}
		order, prec, off := x.params[at+2], int(x.params[at+3]), int(x.params[at+4])
		if order > 1 || prec <= 0 || off < 0 || prec > 8*size || off > 8*size-prec {
			return -1
		}
		x.atomic(out[:size], order == 1, prec, off)
		return at + 5
	case nbitRaw:
		for i := range size {
			out[i] = byte(x.take(8))
		}
		return at + 2
	case nbitArray:
		if at+4 > len(x.params) {
			return -1
		}
		base := int(x.params[at+3])
		if base <= 0 || size%base != 0 {
			return -1
		}
		rest := -1
		for i := 0; i < size; i += base {
			if rest = x.element(at+2, out[i:i+base], depth+1); rest < 0 {
				return -1
			}
		}
		return rest
	case nbitCompound:
		return x.compound(at, out[:size], depth)
	}
	return -1
}

func (x *nbitReader) compound(at int, out []byte, depth int) int {
	if at+3 > len(x.params) {
		return -1
	}
	n := x.params[at+2]
	at += 3
	for range n {
		if at >= len(x.params) {
			return -1
		}
		off := int(x.params[at])
		if off >= len(out) {
			return -1
		}
		if at = x.element(at+1, out[off:], depth+1); at < 0 {
			return -1
		}
	}
	return at
}

// atomic places prec bits at bit off of a number of len(out) bytes.
func (x *nbitReader) atomic(out []byte, bigEndian bool, prec, off int) {
	for top := off + prec; top > off; {
		low := max((top-1)&^7, off)
		v := byte(x.take(top-low)) << (low & 7)
		i := low / 8
		if bigEndian {
			i = len(out) - 1 - i
		}
		out[i] |= v
		top = low
	}
}

// scaleOffset undoes the scale-offset filter: integers relative to a minimum,
// or floats scaled by a power of ten, in as many bits as their range needs.
func (p *pipeline) scaleOffset(f *Filter, b []byte) ([]byte, error) {
	const header = 21
	if len(f.Params) < 8 || len(b) < 5 {
		return nil, errs.Errorf("%d parameters, %d bytes", len(f.Params), len(b))
	}
	kind, scale, n := f.Params[0], int32(f.Params[1]), int(f.Params[2])
	class, size, bigEndian, hasFill := f.Params[3], int(f.Params[4]), f.Params[6] == 1, f.Params[7] == 1
	if size != 1 && size != 2 && size != 4 && size != 8 || n < 0 || uint64(n)*uint64(size) != uint64(p.size) || class > 1 {
		return nil, errs.Errorf("%d elements of %d bytes and class %d in a chunk of %d", n, size, class, p.size)
	}
	if class == 1 && (kind != 0 || size < 4) {
		return nil, unsupported("scale-offset of type %d for %d-byte floats", kind, size)
	}
	bitsEach := int(binary.LittleEndian.Uint32(b))
	minLen := min(int(b[4]), 8)
	if bitsEach > 8*size || 5+minLen > len(b) {
		return nil, errs.Errorf("%d bits for %d-byte elements", bitsEach, size)
	}
	minimum := leUint(b[5 : 5+minLen])
	body := b[min(header, len(b)):]
	var fill uint64
	if hasFill {
		for i := min(len(f.Params), 10) - 1; i >= 8; i-- {
			fill = fill<<32 | uint64(f.Params[i])
		}
	}
	out := grown(p.buffer(b), p.size)
	r := bitReader{b: body}
	for i := range n {
		v := uint64(0)
		switch {
		case bitsEach == 8*size: // stored whole, in little-endian order
			if (i+1)*size > len(body) {
				r.bad = true
				break
			}
			v = leUint(body[i*size : (i+1)*size])
		default:
			v = r.take(bitsEach)
			switch {
			case hasFill && v == 1<<bitsEach-1:
				v = fill
			case class == 0:
				v += minimum
			default:
				v = descale(v, minimum, scale, size)
			}
		}
		putUint(out[i*size:(i+1)*size], v, bigEndian)
	}
	if r.bad {
		return nil, errs.Errorf("%d bytes for %d elements of %d bits", len(body), n, bitsEach)
	}
	return out, nil
}

// descale computes v/10^scale + minimum in the precision of the type.
func descale(v, minimum uint64, scale int32, size int) uint64 {
	if size == 4 {
		x := float32(int32(v))/float32(math.Pow(10, float64(scale))) + math.Float32frombits(uint32(minimum))
		return uint64(math.Float32bits(x))
	}
	return math.Float64bits(float64(int64(v))/math.Pow(10, float64(scale)) + math.Float64frombits(minimum))
}

func putUint(b []byte, v uint64, bigEndian bool) {
	for i := range b {
		if bigEndian {
			b[len(b)-1-i] = byte(v)
		} else {
			b[i] = byte(v)
		}
		v >>= 8
	}
}
