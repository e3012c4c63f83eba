package hdf5

import "math/bits"

// extArray is the geometry of an extensible array: an index block, data
// blocks whose sizes double, and super blocks that list them.
type extArray struct {
	client, size int    // kind and bytes of an entry
	maxBits      int    // bits of the greatest index
	inIndex      uint64 // entries in the index block
	minEntries   uint64 // entries of the smallest data block
	minPtrs      uint64 // data blocks listed by the smallest super block
	pageLen      uint64 // entries in a data block's page
	n            uint64 // entries ever set
	first        int    // the dimension that grows
	m            *meter
}

func (x *chunkIndex) extensibleArray() error {
	f := x.f
	a := &extArray{m: f.meter()}
	for i, d := range x.d.space.MaxDims {
		if d == Unlimited {
			a.first = i
		}
	}
	c, err := f.block(x.l.addr, uint64(16+6*f.super.lens+f.super.offs), a.m, "extensible array")
	if err != nil {
		return err
	}
	a.client, a.size = x.arrayHeader(c, "EAHD")
	a.maxBits = c.u8()
	a.inIndex, a.minEntries, a.minPtrs = uint64(c.u8()), uint64(c.u8()), uint64(c.u8())
	pageBits := c.u8()
	c.skip(4 * f.super.lens)
	a.n = c.length()
	c.length()
	index := c.offset()
	c.checksum()
	if c.err != nil {
		return c.err
	}
	pow2 := func(n uint64) bool { return n != 0 && n&(n-1) == 0 }
	if a.maxBits < 1 || a.maxBits > 64 || !pow2(a.minEntries) || !pow2(a.minPtrs) || pageBits > 62 || a.maxBits < bits.Len64(a.minEntries)-1 {
		return formatErr(c.at, "extensible array: %d bits, blocks of %d, %d pointers, page bits %d", a.maxBits, a.minEntries, a.minPtrs, pageBits)
	}
	a.pageLen = 1 << pageBits
	if index == undef {
		return nil
	}
	return x.extIndexBlock(a, index)
}

// emit adds count entries, the first of which has the given index.
func (x *chunkIndex) emitExt(a *extArray, c *cursor, first, count uint64) {
	for i := range count {
		e := x.element(c, a.client, a.size)
		if first+i < a.n && c.err == nil {
			e.scaled = x.position(first+i, a.first)
			x.add(e)
		}
	}
}

// superShape returns how many data blocks super block s has and how many
// entries each of them.
func (a *extArray) superShape(s int) (blocks, entries uint64) {
	return 1 << (s / 2), a.minEntries << ((s + 1) / 2)
}

func (x *chunkIndex) extIndexBlock(a *extArray, addr uint64) error {
	f := x.f
	supers := 1 + a.maxBits - (bits.Len64(a.minEntries) - 1)
	direct := min(2*(bits.Len64(a.minPtrs)-1), supers) // super blocks whose data blocks the index block lists
	dataPtrs := 2 * (a.minPtrs - 1)
	n := uint64(6+f.super.offs) + a.inIndex*uint64(a.size) + dataPtrs*uint64(f.super.offs) +
		uint64(supers-direct)*uint64(f.super.offs) + 4
	c, err := f.block(addr, n, a.m, "extensible array index block")
	if err != nil {
		return err
	}
	x.arrayBlock(c, "EAIB", a.client)
	x.emitExt(a, c, 0, a.inIndex)
	data := make([]uint64, dataPtrs)
	for i := range data {
		data[i] = c.offset()
	}
	blocks := make([]uint64, supers-direct)
	for i := range blocks {
		blocks[i] = c.offset()
	}
	c.checksum()
	if c.err != nil {
		return c.err
	}
	index := a.inIndex
	for s := 0; s < supers && index < a.n; s++ {
		count, entries := a.superShape(s)
		if s < direct {
			for range count {
				if len(data) == 0 {
					return formatErr(c.at, "extensible array: too few data block addresses")
				}
				if err := x.extDataBlock(a, data[0], index, entries, nil); err != nil {
					return err
				}
				data = data[1:]
				index += entries
			}
			continue
		}
		if err := x.extSuperBlock(a, blocks[s-direct], s, index); err != nil {
			return err
		}
		index += count * entries
	}
	return nil
}

func (x *chunkIndex) extSuperBlock(a *extArray, addr uint64, s int, index uint64) error {
	if addr == undef {
		return nil
	}
	f := x.f
	count, entries := a.superShape(s)
	var pages uint64 // of each data block
	var bitmap int
	if entries > a.pageLen {
		pages = entries / a.pageLen
		if ceilDiv(pages, 8) > uint64(f.size) || count > uint64(f.size) {
			return formatErr(-1, "extensible array: super block %d in a file of %d bytes", s, f.size)
		}
		bitmap = int(ceilDiv(pages, 8) * count)
	}
	if count > uint64(f.size) {
		return formatErr(-1, "extensible array: super block %d in a file of %d bytes", s, f.size)
	}
	n := 6 + f.super.offs + (a.maxBits+7)/8 + bitmap + int(count)*f.super.offs + 4
	c, err := f.block(addr, uint64(n), a.m, "extensible array super block")
	if err != nil {
		return err
	}
	x.arrayBlock(c, "EASB", a.client)
	c.skip((a.maxBits + 7) / 8)
	used := c.bytes(bitmap)
	for b := range count {
		data := c.offset()
		if c.err != nil {
			return c.err
		}
		first := b * pages
		err := x.extDataBlock(a, data, index+b*entries, entries, func(p uint64) bool { return bitAt(used, first+p) })
		if err != nil {
			return err
		}
	}
	c.checksum()
	return c.err
}

func (x *chunkIndex) extDataBlock(a *extArray, addr, index, entries uint64, used func(uint64) bool) error {
	if addr == undef || index >= a.n {
		return nil
	}
	f := x.f
	prefix := uint64(6 + f.super.offs + (a.maxBits+7)/8)
	if entries > uint64(f.size) {
		return formatErr(-1, "extensible array: block of %d entries in a file of %d bytes", entries, f.size)
	}
	paged := entries > a.pageLen
	n := prefix + 4
	if !paged {
		n += entries * uint64(a.size)
	}
	c, err := f.block(addr, n, a.m, "extensible array data block")
	if err != nil {
		return err
	}
	x.arrayBlock(c, "EADB", a.client)
	c.skip((a.maxBits + 7) / 8)
	if !paged {
		x.emitExt(a, c, index, entries)
	}
	c.checksum()
	if c.err != nil || !paged {
		return c.err
	}
	if used == nil {
		used = func(uint64) bool { return true }
	}
	emit := func(c *cursor, first, count uint64) { x.emitExt(a, c, index+first, count) }
	return x.pages(addr+n, entries, a.pageLen, a.size, a.m, used, emit)
}
