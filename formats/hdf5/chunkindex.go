package hdf5

import (
	"math/bits"
	"slices"

	"github.com/nnrt/nnrt/internal/order"
)

// A chunk is one stored block of a chunked dataset.
type chunk struct {
	scaled []uint64 // position in units of chunks
	addr   uint64
	size   uint64 // bytes stored
	mask   uint32 // bit i: filter i was skipped
}

// chunkIndex is what reading any of the chunk indexes needs.
type chunkIndex struct {
	d        *Dataset
	f        *File
	l        *layout
	bytes    uint64   // of an unfiltered chunk
	counts   []uint64 // chunks along each dimension
	maxCount []uint64 // the same at the maximum dimensions
	filtered bool
	out      []chunk
	err      error
}

// chunkCost estimates the memory that one chunk's description takes.
const chunkCost = 96

// chunks lists the stored chunks within the dataset's dimensions, in order of
// their position.
func (d *Dataset) chunks(chunkBytes uint64) ([]chunk, error) {
	x := &chunkIndex{d: d, f: d.object.f, l: d.layout, bytes: chunkBytes, filtered: len(d.filters) > 0}
	for i, c := range x.l.dims {
		x.counts = append(x.counts, ceilDiv(d.space.Dims[i], c))
		m := d.space.MaxDims[i]
		if m != Unlimited {
			m = ceilDiv(m, c)
		}
		x.maxCount = append(x.maxCount, m)
	}
	if x.l.addr == undef {
		return nil, nil
	}
	var err error
	switch x.l.index {
	case indexBTree1:
		err = x.btree1()
	case indexSingle:
		x.single()
	case indexImplicit:
		err = x.implicit()
	case indexFixed:
		err = x.fixedArray()
	case indexExtensible:
		err = x.extensibleArray()
	case indexBTree2:
		err = x.btree2()
	}
	if err == nil {
		err = x.err
	}
	if err != nil {
		return nil, err
	}
	return x.out, x.sort()
}

func ceilDiv(a, b uint64) uint64 {
	n := a / b
	if a%b != 0 {
		n++
	}
	return n
}

// add records a chunk, unless it lies outside of the dataset, as chunks can
// after shrinking.
func (x *chunkIndex) add(c chunk) {
	if limit := x.f.opts.MaxValueBytes; int64(len(x.out))*chunkCost > limit {
		x.err = &LimitError{What: "bytes describing chunks (MaxValueBytes)", Got: int64(len(x.out)) * chunkCost, Limit: limit}
		return
	}
	for i, s := range c.scaled {
		if s >= x.counts[i] {
			return
		}
	}
	if c.addr != undef {
		x.out = append(x.out, c)
	}
}

// sort orders the chunks and refuses duplicates and chunks that share storage,
// which a valid file never has and which would multiply the work of reading.
func (x *chunkIndex) sort() error {
	order.Sort(x.out, func(a, b chunk) int {
		if a.addr != b.addr {
			if a.addr < b.addr {
				return -1
			}
			return 1
		}
		return 0
	})
	for i, c := range x.out {
		at, err := x.f.check(c.addr, c.size, "chunk")
		if err != nil {
			return err
		}
		if i > 0 && x.out[i-1].addr+x.out[i-1].size > c.addr {
			return formatErr(at, "chunks %v and %v share storage", x.out[i-1].scaled, c.scaled)
		}
	}
	order.Sort(x.out, func(a, b chunk) int { return slices.Compare(a.scaled, b.scaled) })
	for i := 1; i < len(x.out); i++ {
		if slices.Equal(x.out[i-1].scaled, x.out[i].scaled) {
			return formatErr(-1, "two chunks at %v", x.out[i].scaled)
		}
	}
	return nil
}

func (x *chunkIndex) btree1() error {
	rank := len(x.l.dims)
	return x.f.btree1(x.l.addr, 1, 8+8*(rank+1), func(key *cursor, child uint64) error {
		c := chunk{addr: child, size: uint64(key.u32()), mask: key.u32(), scaled: make([]uint64, rank)}
		for i := range rank {
			off := key.uint(8)
			if off%x.l.dims[i] != 0 {
				key.failf("chunk at element %d, chunks are %d long", off, x.l.dims[i])
			}
			c.scaled[i] = off / x.l.dims[i]
		}
		if key.err == nil {
			x.add(c)
		}
		return key.err
	})
}

func (x *chunkIndex) single() {
	c := chunk{addr: x.l.addr, size: x.bytes, scaled: make([]uint64, len(x.l.dims))}
	if x.l.single != 0 || x.filtered {
		c.size, c.mask = x.l.single, x.l.mask
	}
	x.add(c)
}

// position turns a linear chunk number into a position; the counts along each
// dimension are those at the maximum dimensions, first is the dimension that
// varies slowest.
func (x *chunkIndex) position(n uint64, first int) []uint64 {
	p := make([]uint64, len(x.maxCount))
	for i := len(p) - 1; i >= 0; i-- {
		if i == first {
			continue
		}
		m := max(x.maxCount[i], 1)
		p[i] = n % m
		n /= m
	}
	p[first] = n
	return p
}

func (x *chunkIndex) implicit() error {
	n, ok := product(x.maxCount)
	size, ok2 := mulSize(n, int(min(x.bytes, 1<<62)))
	if !ok || !ok2 {
		return formatErr(-1, "chunks %v of %d bytes", x.maxCount, x.bytes)
	}
	if _, err := x.f.check(x.l.addr, size, "implicit chunks"); err != nil {
		return err
	}
	for i := range n {
		x.add(chunk{addr: x.l.addr + i*x.bytes, size: x.bytes, scaled: x.position(i, 0)})
	}
	return nil
}

// element decodes an entry of a fixed or extensible array.
func (x *chunkIndex) element(c *cursor, client, size int) chunk {
	e := chunk{addr: c.offset(), size: x.bytes}
	if client == 1 {
		e.size = c.uint(size - x.f.super.offs - 4)
		e.mask = c.u32()
	}
	return e
}

// arrayHeader reads the fields that open both kinds of arrays' headers.
func (x *chunkIndex) arrayHeader(c *cursor, sig string) (client, size int) {
	c.signature(sig)
	c.version(0)
	client, size = c.u8(), c.u8()
	want := x.f.super.offs
	ok := size == want
	if client == 1 {
		want += 4
		ok = size > want && size <= want+8
	}
	if c.err == nil && (client > 1 || !ok || (client == 1) != x.filtered) {
		c.failf("entries of kind %d and %d bytes, filters: %v", client, size, x.filtered)
	}
	return client, size
}

// arrayBlock checks the fields that open the blocks of both kinds of arrays.
func (x *chunkIndex) arrayBlock(c *cursor, sig string, client int) {
	c.signature(sig)
	c.version(0)
	if k := c.u8(); c.err == nil && k != client {
		c.failf("entries of kind %d, want %d", k, client)
	}
	if a := c.offset(); c.err == nil && a != x.l.addr {
		c.failf("belongs to the index at %d, not %d", a, x.l.addr)
	}
}

func (x *chunkIndex) fixedArray() error {
	f, m := x.f, x.f.meter()
	c, err := f.block(x.l.addr, uint64(12+f.super.lens+f.super.offs), m, "fixed array")
	if err != nil {
		return err
	}
	client, size := x.arrayHeader(c, "FAHD")
	pageBits := c.u8()
	n, data := c.length(), c.offset()
	c.checksum()
	if c.err != nil {
		return c.err
	}
	if want, ok := product(x.maxCount); !ok || n != want || n > uint64(f.size) || pageBits > 62 {
		return formatErr(c.at, "fixed array of %d entries for chunks %v", n, x.maxCount)
	}
	if data == undef {
		return nil
	}
	emit := func(c *cursor, first, count uint64) {
		for i := range count {
			e := x.element(c, client, size)
			e.scaled = x.position(first+i, 0)
			x.add(e)
		}
	}
	prefix := 6 + f.super.offs
	pageLen := uint64(1) << pageBits
	if n <= pageLen {
		c, err := f.block(data, uint64(prefix)+n*uint64(size)+4, m, "fixed array block")
		if err != nil {
			return err
		}
		x.arrayBlock(c, "FADB", client)
		emit(c, 0, n)
		c.checksum()
		return c.err
	}
	pages := ceilDiv(n, pageLen)
	bitmap := int(ceilDiv(pages, 8))
	c, err = f.block(data, uint64(prefix+bitmap+4), m, "fixed array block")
	if err != nil {
		return err
	}
	x.arrayBlock(c, "FADB", client)
	used := c.bytes(bitmap)
	c.checksum()
	if c.err != nil {
		return c.err
	}
	return x.pages(data+uint64(prefix+bitmap+4), n, pageLen, size, m, func(p uint64) bool { return bitAt(used, p) }, emit)
}

// bitAt reads bit i of a bitmap whose bytes begin with their highest bit.
func bitAt(b []byte, i uint64) bool {
	return i/8 < uint64(len(b)) && b[i/8]&(0x80>>(i%8)) != 0
}

// pages reads n entries in pages of pageLen, skipping those never written.
func (x *chunkIndex) pages(addr, n, pageLen uint64, size int, m *meter, used func(uint64) bool, emit func(c *cursor, first, count uint64)) error {
	for p := uint64(0); p*pageLen < n; p++ {
		count := min(pageLen, n-p*pageLen)
		if used(p) {
			c, err := x.f.block(addr+p*(pageLen*uint64(size)+4), count*uint64(size)+4, m, "chunk index page")
			if err != nil {
				return err
			}
			emit(c, p*pageLen, count)
			c.checksum()
			if c.err != nil {
				return c.err
			}
		}
	}
	return nil
}

func (x *chunkIndex) btree2() error {
	rank, kind := len(x.l.dims), 10
	if x.filtered {
		kind = 11
	}
	sizeLen := 1 + (bits.Len64(x.bytes)+7)/8
	sizeLen = min(sizeLen, 8)
	return x.f.btree2Records(x.l.addr, kind, func(c *cursor) error {
		e := chunk{addr: c.offset(), size: x.bytes, scaled: make([]uint64, rank)}
		if x.filtered {
			e.size, e.mask = c.uint(sizeLen), c.u32()
		}
		for i := range rank {
			e.scaled[i] = c.uint(8)
		}
		if c.err == nil && c.left() != 0 {
			c.failf("record of %d bytes for chunks of rank %d", len(c.b), rank)
		}
		if c.err == nil {
			x.add(e)
		}
		return c.err
	})
}
