package hdf5

// A version 1 B-tree node has a 24-byte prefix with 8-byte addresses.

// btree1 walks the version 1 B-tree at addr. kind is 0 for groups and 1 for
// chunks; keySize is a key's size in bytes. leaf is called for each child of
// the lowest level with the key on its left.
func (f *File) btree1(addr uint64, kind, keySize int, leaf func(key *cursor, child uint64) error) error {
	return f.btree1Node(addr, kind, -1, keySize, f.meter(), leaf)
}

// btree1Node walks a node; level is -1 for the root, whose level may be any.
func (f *File) btree1Node(addr uint64, kind, level, keySize int, m *meter, leaf func(*cursor, uint64) error) error {
	prefix := uint64(8 + 2*f.super.offs)
	c, err := f.block(addr, prefix, m, "B-tree node")
	if err != nil {
		return err
	}
	c.signature("TREE")
	k, lv, n := c.u8(), c.u8(), c.u16()
	if c.err == nil && (k != kind || level >= 0 && lv != level) {
		c.failf("type %d level %d, want type %d level %d", k, lv, kind, level)
	}
	if c.err != nil {
		return c.err
	}
	size := n*(keySize+f.super.offs) + keySize
	c, err = f.block(addr+prefix, uint64(size), m, "B-tree node")
	if err != nil {
		return err
	}
	for range n {
		key := c.sub(keySize, "B-tree key")
		child := c.offset()
		if c.err != nil {
			return c.err
		}
		if lv > 0 {
			err = f.btree1Node(child, kind, lv-1, keySize, m, leaf)
		} else {
			err = leaf(key, child)
		}
		if err == nil {
			err = key.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// localHeap returns the data segment of the local heap at addr: the names of
// a symbol table's links.
func (f *File) localHeap(addr uint64) (*cursor, error) {
	m := f.meter()
	c, err := f.block(addr, uint64(8+2*f.super.lens+f.super.offs), m, "local heap")
	if err != nil {
		return nil, err
	}
	c.signature("HEAP")
	c.version(0)
	c.skip(3)
	size := c.length()
	c.length() // free list
	data := c.offset()
	if c.err != nil {
		return nil, c.err
	}
	return f.block(data, size, m, "local heap")
}

// heapString reads the name at an offset of a local heap.
func heapString(heap *cursor, off uint64) (string, error) {
	if off >= uint64(len(heap.b)) {
		return "", formatErr(heap.at, "name at %d of a local heap of %d bytes", off, len(heap.b))
	}
	c := *heap
	c.pos = int(off)
	return c.cstring(), c.err
}

// symbolTable reads the links of an old-style group.
func (f *File) symbolTable(tree, heapAddr uint64, add func(Link) error) error {
	heap, err := f.localHeap(heapAddr)
	if err != nil {
		return err
	}
	m := f.meter()
	names := &meter{left: int64(len(heap.b)) + 4096}
	return f.btree1(tree, 0, f.super.lens, func(_ *cursor, child uint64) error {
		c, err := f.block(child, 8, m, "symbol table node")
		if err != nil {
			return err
		}
		c.signature("SNOD")
		c.version(1)
		c.skip(1)
		n := c.u16()
		if c.err != nil {
			return c.err
		}
		entry := 2*f.super.offs + 24
		if c, err = f.block(child+8, uint64(n*entry), m, "symbol table node"); err != nil {
			return err
		}
		for range n {
			l, err := f.symbol(c, heap, names)
			if err != nil {
				return err
			}
			if err := add(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// symbol decodes one symbol table entry. names bounds the bytes of all names
// together, so that entries cannot share one long name.
func (f *File) symbol(c, heap *cursor, names *meter) (Link, error) {
	const cachedSoftLink = 2
	nameOff := c.offset()
	l := Link{Kind: HardLink, addr: c.offset()}
	cache := c.u32()
	c.skip(4)
	scratch := c.sub(16, "symbol table entry")
	if c.err != nil {
		return l, c.err
	}
	var err error
	if l.Name, err = heapString(heap, nameOff); err != nil {
		return l, err
	}
	used := int64(len(l.Name))
	if cache == cachedSoftLink {
		l.Kind = SoftLink
		if l.Target, err = heapString(heap, uint64(scratch.u32())); err != nil {
			return l, err
		}
		used += int64(len(l.Target))
	}
	return l, names.take(used, heap.at, "local heap")
}
