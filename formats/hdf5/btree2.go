package hdf5

import "math/bits"

// btree2 is the header of a version 2 B-tree.
type btree2 struct {
	kind     int
	nodeSize int
	recSize  int
	depth    int
	root     uint64
	rootRecs int
	nrecSize int   // bytes of a record count in a child pointer
	maxRecs  []int // per level, leaves first
	cumSize  []int // bytes of a subtree's record count, per level
}

// btree2Records calls fn with each record of the version 2 B-tree at addr, in
// order, until fn fails.
func (f *File) btree2Records(addr uint64, kind int, fn func(c *cursor) error) error {
	m := f.meter()
	c, err := f.block(addr, uint64(22+f.super.offs+f.super.lens), m, "B-tree header")
	if err != nil {
		return err
	}
	c.signature("BTHD")
	c.version(0)
	t := &btree2{kind: c.u8(), nodeSize: int(c.u32()), recSize: c.u16(), depth: c.u16()}
	c.skip(2) // split and merge percentages
	t.root, t.rootRecs = c.offset(), c.u16()
	c.length()
	c.checksum()
	if c.err != nil {
		return c.err
	}
	if t.kind != kind {
		return formatErr(c.at, "B-tree of type %d, want %d", t.kind, kind)
	}
	if t.root == undef || t.rootRecs == 0 {
		return nil
	}
	if err := t.plan(f, c); err != nil {
		return err
	}
	return f.btree2Node(t, span{t.root, uint64(t.rootRecs)}, t.depth, m, fn)
}

// plan computes the node capacities that fix the widths of child pointers.
func (t *btree2) plan(f *File, c *cursor) error {
	const prefix = 10 // signature, version, type, checksum
	if t.recSize == 0 || t.nodeSize < prefix+t.recSize || int64(t.nodeSize) > f.size || t.depth > 40 {
		return formatErr(c.at, "B-tree: nodes of %d bytes, records of %d, depth %d", t.nodeSize, t.recSize, t.depth)
	}
	leaf := (t.nodeSize - prefix) / t.recSize
	t.maxRecs, t.cumSize = []int{leaf}, []int{0}
	t.nrecSize = encodedSize(uint64(leaf))
	cum := uint64(leaf)
	for d := 1; d <= t.depth; d++ {
		ptr := f.super.offs + t.nrecSize + t.cumSize[d-1]
		n := (t.nodeSize - prefix - ptr) / (t.recSize + ptr)
		if n < 1 {
			return formatErr(c.at, "B-tree: nodes of %d bytes cannot branch", t.nodeSize)
		}
		hi, lo := bits.Mul64(uint64(n+1), cum)
		if hi != 0 || lo > 1<<62 {
			return formatErr(c.at, "B-tree: depth %d", t.depth)
		}
		cum = lo + uint64(n)
		t.maxRecs = append(t.maxRecs, n)
		t.cumSize = append(t.cumSize, encodedSize(cum))
	}
	return nil
}

// btree2Node walks a node; s.size is its number of records.
func (f *File) btree2Node(t *btree2, s span, depth int, m *meter, fn func(c *cursor) error) error {
	n := int(s.size)
	if s.size > uint64(t.maxRecs[depth]) {
		return formatErr(f.super.offset+int64(s.addr), "B-tree node of %d records, at most %d fit", s.size, t.maxRecs[depth])
	}
	c, err := f.block(s.addr, uint64(t.nodeSize), m, "B-tree node")
	if err != nil {
		return err
	}
	sig := "BTLF"
	if depth > 0 {
		sig = "BTIN"
	}
	c.signature(sig)
	c.version(0)
	if k := c.u8(); c.err == nil && k != t.kind {
		c.failf("type %d, want %d", k, t.kind)
	}
	recs := c.sub(n*t.recSize, "B-tree record")
	var kids []span
	if depth > 0 {
		for range n + 1 {
			kid := span{c.offset(), c.uint(t.nrecSize)}
			c.skip(t.cumSize[depth-1])
			kids = append(kids, kid)
		}
	}
	c.checksum()
	if c.err != nil {
		return c.err
	}
	for i := range n + 1 {
		if depth > 0 {
			if err := f.btree2Node(t, kids[i], depth-1, m, fn); err != nil {
				return err
			}
		}
		if i == n {
			break
		}
		r := recs.sub(t.recSize, "B-tree record")
		if err := fn(r); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
