package hdf5

import (
	"fmt"
	"math/bits"
)

// Space is a dataspace: the shape of a dataset or attribute.
type Space struct {
	Null    bool     // no elements at all
	Dims    []uint64 // nil for scalars (one element) and null spaces
	MaxDims []uint64 // Unlimited where it may grow without bound; len(Dims) entries
}

// Unlimited marks a dimension in MaxDims that may grow without bound.
const Unlimited = ^uint64(0)

// maxRank is the format's limit on dimensions.
const maxRank = 32

// NumElems returns the number of elements; ok is false when the product
// overflows 63 bits.
func (s Space) NumElems() (n uint64, ok bool) {
	if s.Null {
		return 0, true
	}
	return product(s.Dims)
}

// product multiplies dims; ok is false beyond 63 bits. A zero anywhere makes
// it zero.
func product(dims []uint64) (n uint64, ok bool) {
	n, ok = 1, true
	for _, d := range dims {
		if d == 0 {
			return 0, true
		}
		hi, lo := bits.Mul64(n, d)
		if hi != 0 || lo > 1<<63-1 {
			ok = false
			lo = 1
		}
		n = lo
	}
	return n, ok
}

// mulSize returns n*size or false beyond 63 bits.
func mulSize(n uint64, size int) (uint64, bool) {
	hi, lo := bits.Mul64(n, uint64(size))
	return lo, hi == 0 && lo <= 1<<63-1
}

func parseSpace(c *cursor) (Space, error) {
	var s Space
	version, rank, flags := c.u8(), c.u8(), c.u8()
	kind := 1
	switch version {
	case 1:
		c.skip(5)
	case 2:
		kind = c.u8()
	default:
		if c.err == nil {
			c.failf("dataspace version %d", version)
		}
	}
	if c.err == nil && (rank > maxRank || kind > 2) {
		c.failf("dataspace of type %d and rank %d", kind, rank)
	}
	if c.err != nil {
		return s, c.err
	}
	if kind == 2 {
		s.Null = true
		return s, nil
	}
	for range rank {
		s.Dims = append(s.Dims, c.length())
	}
	s.MaxDims = append([]uint64(nil), s.Dims...)
	if flags&1 != 0 {
		for i := range rank {
			s.MaxDims[i] = c.length()
		}
	}
	for i, d := range s.Dims {
		if c.err == nil && (d > s.MaxDims[i] || d == undef) {
			c.failf("dimension %d of %d exceeds its maximum %d", i, d, s.MaxDims[i])
		}
	}
	return s, c.err
}

// Layout says how a dataset's values are stored.
type Layout uint8

// Storage layouts.
const (
	Compact    Layout = iota // in the object header
	Contiguous               // one block
	Chunked                  // blocks of equal shape
	Virtual                  // mapped from other datasets: not read
)

func (l Layout) String() string {
	names := [...]string{"compact", "contiguous", "chunked", "virtual"}
	if int(l) < len(names) {
		return names[l]
	}
	return fmt.Sprintf("layout %d", uint8(l))
}

// Chunk index types of layout version 4; indexBTree1 is the older one.
const (
	indexBTree1 = iota
	indexSingle
	indexImplicit
	indexFixed
	indexExtensible
	indexBTree2
)

// layout is a decoded data layout message.
type layout struct {
	class    Layout
	addr     uint64   // contiguous data or chunk index
	size     uint64   // contiguous: bytes
	data     []byte   // compact
	dims     []uint64 // chunk shape
	elem     uint64   // chunked: element size
	index    int
	rawEdges bool   // chunks cut by the dataset's edge skip the filters
	single   uint64 // indexSingle: stored bytes, when filtered
	mask     uint32 // indexSingle: filters skipped
}

func parseLayout(c *cursor) (*layout, error) {
	l := &layout{addr: undef}
	switch v := c.u8(); v {
	case 1, 2:
		l.parseOld(c)
	case 3, 4:
		l.parseNew(c, v)
	default:
		if c.err == nil {
			c.err = unsupported("data layout version %d", v)
		}
	}
	return l, c.err
}

func (l *layout) parseOld(c *cursor) {
	rank := c.u8()
	l.class = Layout(c.u8())
	c.skip(5)
	if l.class > Chunked {
		c.failf("layout class %d", l.class)
	}
	if l.class != Compact {
		l.addr = c.offset()
	}
	if rank > maxRank+1 {
		c.failf("rank %d", rank)
	}
	var dims []uint64
	for i := 0; i < rank && c.err == nil; i++ {
		dims = append(dims, uint64(c.u32()))
	}
	switch l.class {
	case Compact:
		l.data = c.bytes(int(c.u32()))
	case Contiguous:
		l.size = undef // the dataspace says
	case Chunked:
		l.setChunk(c, dims)
	}
}

func (l *layout) setChunk(c *cursor, dims []uint64) {
	if c.err == nil && len(dims) < 2 {
		c.failf("chunk of rank %d", len(dims)-1)
	}
	for _, d := range dims {
		if c.err == nil && d == 0 {
			c.failf("chunk dimensions %v", dims)
		}
	}
	if c.err == nil {
		l.dims, l.elem = dims[:len(dims)-1], dims[len(dims)-1]
	}
}

func (l *layout) parseNew(c *cursor, version int) {
	l.class = Layout(c.u8())
	switch l.class {
	case Compact:
		l.data = c.bytes(c.u16())
	case Contiguous:
		l.addr, l.size = c.offset(), c.length()
	case Chunked:
		if version == 3 {
			l.parseChunk3(c)
		} else {
			l.parseChunk4(c)
		}
	case Virtual:
		if version == 3 {
			c.failf("layout class %d in version 3", l.class)
		}
	default:
		c.failf("layout class %d", l.class)
	}
}

func (l *layout) parseChunk3(c *cursor) {
	rank := c.u8()
	l.addr = c.offset()
	var dims []uint64
	for i := 0; i < rank && c.err == nil; i++ {
		dims = append(dims, uint64(c.u32()))
	}
	if rank > maxRank+1 {
		c.failf("rank %d", rank)
	}
	l.setChunk(c, dims)
}

func (l *layout) parseChunk4(c *cursor) {
	flags := c.u8()
	rank, width := c.u8(), c.u8()
	if c.err == nil && (rank > maxRank+1 || width < 1 || width > 8) {
		c.failf("chunk of rank %d with %d-byte dimensions", rank, width)
	}
	var dims []uint64
	for i := 0; i < rank && c.err == nil; i++ {
		dims = append(dims, c.uint(width))
	}
	l.setChunk(c, dims)
	l.rawEdges = flags&1 != 0
	l.index = c.u8()
	switch l.index {
	case indexSingle:
		if flags&2 != 0 {
			l.single, l.mask = c.length(), c.u32()
		}
	case indexImplicit:
	case indexFixed:
		c.skip(1)
	case indexExtensible:
		c.skip(5)
	case indexBTree2:
		c.skip(6)
	default:
		c.failf("chunk index type %d", l.index)
	}
	l.addr = c.offset()
}

// parseFill returns the fill value's bytes; nil means zeros.
func parseFill(c *cursor, kind int) ([]byte, error) {
	if kind == msgFillOld {
		return c.bytes(int(c.u32())), c.err
	}
	defined := true
	switch v := c.u8(); v {
	case 1, 2:
		c.skip(2)
		defined = c.u8() != 0 || v == 1
	case 3:
		defined = c.u8()&0x20 != 0
	default:
		if c.err == nil {
			c.failf("fill value version %d", v)
		}
	}
	if !defined || c.err != nil {
		return nil, c.err
	}
	n := int32(c.u32())
	if n <= 0 {
		return nil, c.err
	}
	return c.bytes(int(n)), c.err
}

// Filter is one step of a dataset's filter pipeline.
type Filter struct {
	ID       int
	Name     string // from the file, or the well-known name
	Optional bool   // writers may have skipped it for a chunk
	Params   []uint32
}

// Well-known filter ids.
const (
	FilterDeflate     = 1
	FilterShuffle     = 2
	FilterFletcher32  = 3
	FilterSzip        = 4
	FilterNBit        = 5
	FilterScaleOffset = 6
	FilterLZF         = 32000
)

func filterName(id int) string {
	switch id {
	case FilterDeflate:
		return "deflate"
	case FilterShuffle:
		return "shuffle"
	case FilterFletcher32:
		return "fletcher32"
	case FilterSzip:
		return "szip"
	case FilterNBit:
		return "nbit"
	case FilterScaleOffset:
		return "scaleoffset"
	case FilterLZF:
		return "lzf"
	}
	return fmt.Sprintf("filter %d", id)
}

func parseFilters(c *cursor) ([]Filter, error) {
	version, n := c.u8(), c.u8()
	if c.err == nil && (version < 1 || version > 2 || n > 32) {
		c.failf("filter pipeline version %d with %d filters", version, n)
	}
	if version == 1 {
		c.skip(6)
	}
	var fs []Filter
	for i := 0; i < n && c.err == nil; i++ {
		f := Filter{ID: c.u16()}
		nameLen := 0
		if version == 1 || f.ID >= 256 {
			nameLen = c.u16()
		}
		f.Optional = c.u16()&1 != 0
		params := c.u16()
		if version == 1 {
			nameLen = (nameLen + 7) &^ 7
		}
		if b := c.bytes(nameLen); nameLen > 0 && c.err == nil {
			f.Name = trimNull(b)
		}
		for j := 0; j < params && c.err == nil; j++ {
			f.Params = append(f.Params, c.u32())
		}
		if version == 1 && params%2 == 1 {
			c.skip(4)
		}
		if f.Name == "" || f.ID < 256 {
			f.Name = filterName(f.ID)
		}
		fs = append(fs, f)
	}
	return fs, c.err
}

func trimNull(b []byte) string {
	for i, x := range b {
		if x == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
