package hdf5

// sohmTable is the master table of shared object header messages.
type sohmTable struct {
	indexes []sohmIndex
}

type sohmIndex struct {
	types int // bit i: messages of type i
	heap  uint64
	open  *fractalHeap
}

// readSharedTable reads the table that a superblock extension points to.
func (f *File) readSharedTable(c *cursor) error {
	c.version(0)
	addr, n := c.offset(), c.u8()
	if c.err != nil {
		return c.err
	}
	size := 4 + n*(14+2*f.super.offs) + 4
	t, err := f.block(addr, uint64(size), f.meter(), "shared message table")
	if err != nil {
		return err
	}
	t.signature("SMTB")
	tab := &sohmTable{}
	for range n {
		t.skip(2) // version and index type
		x := sohmIndex{types: t.u16()}
		t.skip(4 + 2 + 2 + 2)
		t.offset()
		x.heap = t.offset()
		tab.indexes = append(tab.indexes, x)
	}
	t.checksum()
	f.shared = tab
	return t.err
}

// sharedObject returns an object from the heap of shared messages of a type.
func (f *File) sharedObject(kind int, id []byte) ([]byte, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shared != nil {
		for i := range f.shared.indexes {
			x := &f.shared.indexes[i]
			if x.types>>kind&1 == 0 {
				continue
			}
			if x.open == nil {
				h, err := f.fractalHeap(x.heap)
				if err != nil {
					return nil, 0, err
				}
				x.open = h
			}
			x.open.m = f.meter()
			return x.open.object(id)
		}
	}
	return nil, 0, formatErr(-1, "message of type %d is shared, but the file has no index for it", kind)
}

// resolve returns the contents of a message, following it to where it is
// shared. owner is the address of the object that holds it, if that is another
// one, else undef.
func (f *File) resolve(m *message) (c *cursor, owner uint64, err error) {
	if m.flags&flagShared == 0 {
		return f.cursor(m.data, m.at, messageName(m.kind)), undef, nil
	}
	return f.resolveShared(m.kind, f.cursor(m.data, m.at, "shared message"))
}

func (f *File) resolveShared(kind int, c *cursor) (*cursor, uint64, error) {
	version, where := c.u8(), c.u8()
	if version == 1 {
		c.skip(6)
	}
	if c.err != nil {
		return nil, undef, c.err
	}
	if version < 1 || version > 3 {
		return nil, undef, unsupported("shared message version %d", version)
	}
	if version == 3 && where == 1 {
		id := c.bytes(8)
		if c.err != nil {
			return nil, undef, c.err
		}
		b, at, err := f.sharedObject(kind, id)
		if err != nil {
			return nil, undef, err
		}
		return f.cursor(b, at, messageName(kind)), undef, nil
	}
	addr := c.offset()
	if c.err != nil {
		return nil, undef, c.err
	}
	h, err := f.header(addr)
	if err != nil {
		return nil, undef, err
	}
	m := h.find(kind)
	if m == nil || m.flags&flagShared != 0 {
		return nil, undef, formatErr(c.at, "shared %s: the object at %d holds none", messageName(kind), addr)
	}
	return f.cursor(m.data, m.at, messageName(kind)), addr, nil
}

func messageName(kind int) string {
	switch kind {
	case msgDataspace:
		return "dataspace"
	case msgDatatype:
		return "datatype"
	case msgFill, msgFillOld:
		return "fill value"
	case msgLayout:
		return "data layout"
	case msgFilters:
		return "filter pipeline"
	case msgAttribute:
		return "attribute"
	case msgLink:
		return "link"
	case msgLinkInfo:
		return "link info"
	case msgAttrInfo:
		return "attribute info"
	case msgSymbolTable:
		return "symbol table"
	}
	return "message"
}
