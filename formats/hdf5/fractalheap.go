package hdf5

import "math/bits"

// fractalHeap holds links and attributes of objects with many of them, and
// shared messages.
type fractalHeap struct {
	f          *File
	addr       uint64
	idLen      int
	checkBlock bool // direct blocks carry a checksum
	hugeTree   uint64
	width      int
	startSize  uint64
	maxDirect  uint64
	offLen     int // bytes of a heap offset
	lenLen     int // bytes of an object length
	root       uint64
	rootRows   int
	filters    []Filter
	rootSize   uint64 // stored bytes of a filtered root direct block
	rootMask   uint32
	directRows int

	m      *meter
	blocks map[uint64][]byte       // direct blocks, by heap offset
	inner  map[uint64][]heapEntry  // indirect blocks, by address
	huge   map[uint64]hugeHeapItem // by id; nil until needed
}

type heapEntry struct {
	addr, size uint64 // size: stored bytes of a filtered direct block
	mask       uint32
}

type hugeHeapItem struct {
	addr, size, full uint64
	mask             uint32
}

func (f *File) fractalHeap(addr uint64) (*fractalHeap, error) {
	h := &fractalHeap{f: f, addr: addr, m: f.meter(), blocks: map[uint64][]byte{}, inner: map[uint64][]heapEntry{}}
	at, err := f.check(addr, 0, "fractal heap")
	if err != nil {
		return nil, err
	}
	n := uint64(min(f.size-at, 4096)) // a filter pipeline makes the header longer than its fixed part
	c, err := f.block(addr, n, f.meter(), "fractal heap")
	if err != nil {
		return nil, err
	}
	c.signature("FRHP")
	c.version(0)
	h.idLen = c.u16()
	filterLen := c.u16()
	h.checkBlock = c.u8()&2 != 0
	maxManaged := c.u32()
	c.length() // next huge id
	h.hugeTree = c.offset()
	c.length() // free space
	c.offset()
	c.skip(8 * c.lens) // statistics
	h.width = c.u16()
	h.startSize, h.maxDirect = c.length(), c.length()
	heapBits := c.u16()
	c.skip(2) // starting rows
	h.root, h.rootRows = c.offset(), c.u16()
	if filterLen > 0 {
		h.rootSize, h.rootMask = c.length(), c.u32()
		if h.filters, err = parseFilters(c.sub(filterLen, "fractal heap filters")); err != nil {
			return nil, err
		}
	}
	c.checksum()
	if c.err != nil {
		return nil, c.err
	}
	return h, h.plan(c, heapBits, uint64(maxManaged))
}

func (h *fractalHeap) plan(c *cursor, heapBits int, maxManaged uint64) error {
	pow2 := func(n uint64) bool { return n != 0 && n&(n-1) == 0 }
	if !pow2(h.startSize) || !pow2(h.maxDirect) || !pow2(uint64(h.width)) || h.maxDirect < h.startSize ||
		heapBits > 64 || heapBits < 1 || h.idLen < 2 || h.rootRows > 64 || h.maxDirect > 64<<20 || maxManaged > h.maxDirect {
		return formatErr(c.at, "fractal heap: width %d, blocks of %d to %d bytes, %d bits, ids of %d bytes",
			h.width, h.startSize, h.maxDirect, heapBits, h.idLen)
	}
	h.offLen = (heapBits + 7) / 8
	h.lenLen = min((bits.Len64(h.maxDirect)+6)/8, encodedSize(maxManaged))
	h.directRows = bits.Len64(h.maxDirect) - bits.Len64(h.startSize) + 2
	return nil
}

// object returns the bytes of the object with the given heap id.
func (h *fractalHeap) object(id []byte) ([]byte, int64, error) {
	c := h.f.cursor(id, -1, "fractal heap id")
	b0 := c.u8()
	if c.err == nil && b0>>6 != 0 {
		return nil, 0, unsupported("fractal heap id version %d", b0>>6)
	}
	switch b0 >> 4 & 3 {
	case 0:
		off, n := c.uint(h.offLen), c.uint(h.lenLen)
		if c.err != nil {
			return nil, 0, c.err
		}
		return h.managed(off, n)
	case 1:
		return h.hugeObject(c)
	case 2:
		n := b0&15 + 1
		if h.idLen-1 > 16 {
			n = (b0&15)<<8 | c.u8() + 1
		}
		b := c.bytes(n)
		return b, -1, c.err
	}
	return nil, 0, formatErr(-1, "fractal heap id of type %d", b0>>4&3)
}

// managed finds the direct block that covers a heap offset.
func (h *fractalHeap) managed(off, n uint64) ([]byte, int64, error) {
	e := heapEntry{h.root, h.rootSize, h.rootMask}
	base, size := uint64(0), h.startSize
	for rows := h.rootRows; rows > 0; {
		entries, err := h.indirect(e.addr, base, rows)
		if err != nil {
			return nil, 0, err
		}
		row, col, rowSize, rel := h.locate(off - base)
		if row >= rows {
			return nil, 0, formatErr(-1, "fractal heap: offset %d beyond the heap", off)
		}
		e, base, size = entries[row*h.width+col], base+rel, rowSize
		if e.addr == undef {
			return nil, 0, formatErr(-1, "fractal heap: offset %d in an unallocated block", off)
		}
		if row < h.directRows {
			break
		}
		rows = bits.Len64(rowSize) - bits.Len64(h.startSize*uint64(h.width)) + 1
		if rows < 1 {
			return nil, 0, formatErr(-1, "fractal heap: block of %d bytes cannot nest", rowSize)
		}
	}
	b, at, err := h.direct(e, base, size)
	if err != nil {
		return nil, 0, err
	}
	rel := off - base
	if rel > uint64(len(b)) || n > uint64(len(b))-rel {
		return nil, 0, formatErr(at, "fractal heap: object of %d bytes at %d in a block of %d", n, rel, len(b))
	}
	return b[rel : rel+n : rel+n], at + int64(rel), nil
}

// locate returns the row, column and block size at a heap offset, and the
// offset of that block.
func (h *fractalHeap) locate(off uint64) (row, col int, size, start uint64) {
	rowBytes := h.startSize * uint64(h.width)
	size = h.startSize
	if off >= rowBytes {
		row = bits.Len64(off / rowBytes)
		start = rowBytes << (row - 1)
		size = h.startSize << (row - 1)
	}
	c := (off - start) / size
	return row, int(c), size, start + c*size
}

// indirect reads the entries of an indirect block.
func (h *fractalHeap) indirect(addr, base uint64, rows int) ([]heapEntry, error) {
	if e, ok := h.inner[addr]; ok && len(e) == rows*h.width {
		return e, nil
	}
	f := h.f
	direct := min(rows, h.directRows) * h.width
	entry := f.super.offs
	if h.filters != nil {
		entry += f.super.lens + 4
	}
	n := 5 + f.super.offs + h.offLen + direct*entry + (rows*h.width-direct)*f.super.offs + 4
	c, err := f.block(addr, uint64(n), h.m, "fractal heap indirect block")
	if err != nil {
		return nil, err
	}
	if err := h.blockPrefix(c, "FHIB", base); err != nil {
		return nil, err
	}
	var es []heapEntry
	for i := range rows * h.width {
		e := heapEntry{addr: c.offset()}
		if i < direct && h.filters != nil {
			e.size, e.mask = c.length(), c.u32()
		}
		es = append(es, e)
	}
	c.checksum()
	h.inner[addr] = es
	return es, c.err
}

func (h *fractalHeap) blockPrefix(c *cursor, sig string, base uint64) error {
	c.signature(sig)
	c.version(0)
	if a := c.offset(); c.err == nil && a != h.addr {
		c.failf("belongs to the heap at %d, not %d", a, h.addr)
	}
	if o := c.uint(h.offLen); c.err == nil && o != base {
		c.failf("block at heap offset %d, want %d", o, base)
	}
	return c.err
}

// direct reads a direct block, which covers size bytes of heap from base.
func (h *fractalHeap) direct(e heapEntry, base, size uint64) ([]byte, int64, error) {
	at, err := h.f.check(e.addr, 0, "fractal heap direct block")
	if err != nil {
		return nil, 0, err
	}
	if b, ok := h.blocks[base]; ok {
		return b, at, nil
	}
	stored := size
	if h.filters != nil {
		stored = e.size
	}
	c, err := h.f.block(e.addr, stored, h.m, "fractal heap direct block")
	if err != nil {
		return nil, 0, err
	}
	if h.filters != nil {
		p := pipeline{filters: h.filters, size: int(size)}
		if c.b, err = p.decode(c.b, e.mask); err != nil {
			return nil, 0, err
		}
	}
	if err := h.blockPrefix(c, "FHDB", base); err != nil {
		return nil, 0, err
	}
	if h.checkBlock {
		if err := h.blockChecksum(c); err != nil {
			return nil, 0, err
		}
	}
	if h.filters != nil {
		at = -1 // what follows is not at a place in the file
	}
	h.blocks[base] = c.b
	return c.b, at, nil
}

// blockChecksum verifies the checksum of a whole direct block, in which the
// checksum's own bytes count as zero.
func (h *fractalHeap) blockChecksum(c *cursor) error {
	at := c.pos
	got := c.u32()
	if c.err != nil {
		return c.err
	}
	b := append([]byte(nil), c.b...)
	clear(b[at : at+4])
	if sum := lookup3(b); sum != got && !c.lax {
		return formatErr(c.at+int64(at), "%s: checksum %08x, computed %08x", c.what, got, sum)
	}
	return nil
}

// hugeObject reads an object stored on its own in the file.
func (h *fractalHeap) hugeObject(c *cursor) ([]byte, int64, error) {
	f := h.f
	direct := f.super.offs + f.super.lens
	if h.filters != nil {
		direct += 4 + f.super.lens
	}
	var it hugeHeapItem
	if h.idLen-1 >= direct {
		it = h.hugeRecord(c, h.filters != nil)
		if c.err != nil {
			return nil, 0, c.err
		}
	} else {
		id := c.uint(min(f.super.lens, h.idLen-1))
		if c.err != nil {
			return nil, 0, c.err
		}
		if err := h.loadHuge(); err != nil {
			return nil, 0, err
		}
		var ok bool
		if it, ok = h.huge[id]; !ok {
			return nil, 0, formatErr(-1, "fractal heap: huge object %d is missing", id)
		}
	}
	oc, err := f.block(it.addr, it.size, h.m, "fractal heap huge object")
	if err != nil {
		return nil, 0, err
	}
	if h.filters == nil {
		return oc.b, oc.at, nil
	}
	if it.full > uint64(f.opts.MaxAttrBytes) {
		return nil, 0, &LimitError{What: "attribute bytes (MaxAttrBytes)", Got: clampInt64(it.full), Limit: f.opts.MaxAttrBytes}
	}
	p := pipeline{filters: h.filters, size: int(it.full)}
	b, err := p.decode(oc.b, it.mask)
	return b, -1, err
}

func (h *fractalHeap) hugeRecord(c *cursor, filtered bool) hugeHeapItem {
	it := hugeHeapItem{addr: c.offset(), size: c.length()}
	if filtered {
		it.mask, it.full = c.u32(), c.length()
	}
	return it
}

// loadHuge reads the B-tree that maps ids to huge objects.
func (h *fractalHeap) loadHuge() error {
	if h.huge != nil {
		return nil
	}
	h.huge = map[uint64]hugeHeapItem{}
	kind, filtered := 1, h.filters != nil
	if filtered {
		kind = 2
	}
	return h.f.btree2Records(h.hugeTree, kind, func(c *cursor) error {
		it := h.hugeRecord(c, filtered)
		h.huge[c.length()] = it
		return c.err
	})
}
