package hdf5

// A heapCollection is one block of a global heap: the place of variable-length
// values and region references.
type heapCollection struct {
	size    int64
	objects map[int][]byte
}

// maxHeapCache bounds the bytes of collections kept for later reads.
const maxHeapCache = 64 << 20

// heapReader resolves references into global heaps for one value. left bounds
// the bytes that the value may gain by them.
type heapReader struct {
	f    *File
	m    *meter
	left int64
}

func (f *File) heapReader() *heapReader {
	return &heapReader{f: f, m: f.meter(), left: f.opts.MaxValueBytes}
}

// object returns object index of the collection at addr.
func (r *heapReader) object(addr uint64, index int) ([]byte, error) {
	col, err := r.collection(addr)
	if err != nil {
		return nil, err
	}
	b, ok := col.objects[index]
	if !ok {
		return nil, formatErr(r.f.super.offset+int64(addr), "global heap: no object %d", index)
	}
	// The constant stands for what holds the bytes: a string or slice header.
	if r.left -= int64(len(b)) + 16; r.left < 0 {
		return nil, &LimitError{What: "bytes of variable-length values (MaxValueBytes)",
			Got: r.f.opts.MaxValueBytes - r.left, Limit: r.f.opts.MaxValueBytes}
	}
	return b, nil
}

func (r *heapReader) collection(addr uint64) (*heapCollection, error) {
	f := r.f
	f.mu.Lock()
	col := f.heaps[addr]
	f.mu.Unlock()
	if col != nil {
		return col, nil
	}
	col, err := f.readCollection(addr, r.m)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	if f.heapSz += col.size; f.heapSz > maxHeapCache {
		clear(f.heaps)
		f.heapSz = col.size
	}
	f.heaps[addr] = col
	f.mu.Unlock()
	return col, nil
}

func (f *File) readCollection(addr uint64, m *meter) (*heapCollection, error) {
	// Headers are padded to a multiple of 8 bytes, whatever the size of lengths.
	head := uint64(8+f.super.lens+7) &^ 7
	c, err := f.block(addr, head, m, "global heap")
	if err != nil {
		return nil, err
	}
	c.signature("GCOL")
	c.version(1)
	c.skip(3)
	size := c.length()
	if c.err != nil {
		return nil, c.err
	}
	if size < head {
		return nil, formatErr(c.at, "global heap of %d bytes", size)
	}
	if c, err = f.block(addr, size, m, "global heap"); err != nil {
		return nil, err
	}
	c.skip(int(head))
	col := &heapCollection{size: int64(size), objects: map[int][]byte{}}
	for c.left() >= int(head) {
		index := c.u16()
		c.skip(6)
		n := c.length()
		c.skip(int(head) - 8 - f.super.lens)
		if index == 0 {
			break // free space, always last
		}
		if n > uint64(c.left()) {
			c.failf("object %d of %d bytes, %d left", index, n, c.left())
			break
		}
		col.objects[index] = c.bytes(int(n))
		c.skip(min(int(-n&7), c.left()))
	}
	return col, c.err
}
