package hdf5

import (
	"io"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
)

const (
	superblockSize = 96
	leafHalf       = 4  // symbol table nodes hold twice as many entries
	groupHalf      = 16 // group B-tree nodes hold twice as many children
	chunkHalf      = 32 // chunk B-tree nodes hold twice as many children
	minHeap        = 4096
)

// A segment is a part of the file with a fixed place.
type segment struct {
	addr, size uint64
	write      func(w io.Writer) error
	path       string // whose data it is
	streamed   bool   // the bytes come from a caller's function
}

// planner gives everything its place in the file before anything is written,
// so that a file can go to a plain io.Writer.
type planner struct {
	pos      uint64
	segments []segment

	heap     []byte // the open global heap collection
	heapAddr uint64
	heapCap  int
	heapNext int // index of the next object
}

// alloc reserves size bytes, aligned to 8.
func (p *planner) alloc(size uint64) uint64 {
	at := p.pos
	p.pos += (size + 7) &^ 7
	return at
}

// place reserves room for size bytes that write will produce.
func (p *planner) place(size uint64, write func(w io.Writer) error) uint64 {
	at := p.alloc(size)
	p.segments = append(p.segments, segment{addr: at, size: size, write: write})
	return at
}

// put reserves room for b.
//
//go:noinline
func (p *planner) put(b []byte) uint64 {
	at := p.alloc(uint64(len(b)))
	p.putAt(at, b)
	return at
}

// putAt fills room that was reserved before.
//
//go:noinline
func (p *planner) putAt(at uint64, b []byte) {
	p.segments = append(p.segments, segment{addr: at, size: uint64(len(b)), write: func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}})
}

// A placed object is what a symbol table entry needs to know about it.
type placed struct {
	header     uint64
	tree, heap uint64 // groups
	isGroup    bool
}

func superblockBytes(root placed, eof uint64) []byte {
	b := []byte(signature)
	b = append(b, 0, 0, 0, 0, 0, 8, 8, 0)
	b = le32(le16(le16(b, leafHalf), groupHalf), 0)
	b = le64(le64(le64(le64(b, 0), undef), eof), undef)
	return symbolEntry(b, 0, root)
}

func symbolEntry(b []byte, name uint64, o placed) []byte {
	b = le64(le64(b, name), o.header)
	if o.isGroup {
		return le64(le64(le32(le32(b, 1), 0), o.tree), o.heap)
	}
	return append(b, make([]byte, 24)...)
}

func softEntry(b []byte, name, target uint64) []byte {
	b = le32(le32(le64(le64(b, name), undef), 2), 0)
	return append(le32(b, uint32(target)), make([]byte, 12)...)
}

// headerBytes encodes an object header of version 1.
func (p *planner) headerBytes(o *objectWriter, msgs []byte, count int) ([]byte, error) {
	for i := range o.attrs {
		a := &o.attrs[i]
		b, err := p.attrBytes(a)
		if err != nil {
			return nil, errs.Errorf("hdf5: %s: attribute %q: %w", o.path, a.name, err)
		}
		msgs = putMessage(msgs, msgAttribute, 0, b)
		count++
	}
	if count > 1<<16-1 || len(msgs) > 1<<31 {
		return nil, &LimitError{Object: o.path, What: "attributes of one object", Got: int64(len(o.attrs)), Limit: 1<<16 - 8}
	}
	b := le32(le32(le16([]byte{1, 0}, count), 1), uint32(len(msgs)))
	b = append(b, 0, 0, 0, 0)
	return append(b, msgs...), nil
}

// putMessage appends a message, padded to a multiple of 8 bytes.
//
//go:noinline
func putMessage(b []byte, kind, flags int, data []byte) []byte {
	n := (len(data) + 7) &^ 7
	b = append(le16(le16(b, kind), n), byte(flags), 0, 0, 0)
	b = append(b, data...)
	return append(b, make([]byte, n-len(data))...)
}

func spaceBytes(d *Data) []byte {
	if d.Null {
		return []byte{2, 0, 0, 2}
	}
	if len(d.Dims) == 0 {
		return []byte{1, 0, 0, 0, 0, 0, 0, 0}
	}
	b := []byte{1, byte(len(d.Dims)), 1, 0, 0, 0, 0, 0}
	for _, n := range d.Dims {
		b = le64(b, n)
	}
	maxDims := d.MaxDims
	if maxDims == nil {
		maxDims = d.Dims
	}
	for _, n := range maxDims {
		b = le64(b, n)
	}
	return b
}

func pad8(b []byte) []byte { return append(b, make([]byte, -len(b)&7)...) }

// attrBytes encodes an attribute message of version 1.
func (p *planner) attrBytes(a *namedData) ([]byte, error) {
	t, err := encodeType(nil, a.data.Type)
	if err != nil {
		return nil, err
	}
	s := spaceBytes(&a.data)
	v, err := p.values(&a.data)
	if err != nil {
		return nil, err
	}
	b := le16(le16(le16([]byte{1, 0}, len(a.name)+1), len(t)), len(s))
	b = pad8(append(append(b, a.name...), 0))
	b = pad8(append(b, t...))
	b = pad8(append(b, s...))
	return append(b, v...), nil
}

// values returns the elements as stored, with strings put into the heap.
func (p *planner) values(d *Data) ([]byte, error) {
	if d.Null {
		return nil, nil
	}
	if d.Type.Class != ClassVLen {
		var w strings.Builder
		err := d.writeTo(&w)
		return []byte(w.String()), err
	}
	b := make([]byte, 0, 16*len(d.Strings))
	for _, s := range d.Strings {
		addr, index := p.heapObject(s)
		b = le32(le64(le32(b, uint32(len(s))), addr), uint32(index))
	}
	return b, nil
}

// heapObject stores a string in a global heap.
func (p *planner) heapObject(s string) (addr uint64, index int) {
	need := 16 + (len(s)+7)&^7
	if p.heapCap-len(p.heap) < need || p.heapNext > 1<<16-1 {
		p.closeHeap()
		// The free space that ends a collection has a header of its own.
		p.heapCap = max(minHeap, 16+need+16)
		p.heapAddr = p.alloc(uint64(p.heapCap))
		p.heap = append([]byte("GCOL\x01\x00\x00\x00"), make([]byte, 8)...)
		copy(p.heap[8:], le64(nil, uint64(p.heapCap)))
		p.heapNext = 1
	}
	index = p.heapNext
	p.heapNext++
	p.heap = le64(append(le16(p.heap, index), 0, 0, 0, 0, 0, 0), uint64(len(s)))
	p.heap = pad8(append(p.heap, s...))
	return p.heapAddr, index
}

// closeHeap finishes the open collection: what is left is object 0.
func (p *planner) closeHeap() {
	if p.heap == nil {
		return
	}
	if left := p.heapCap - len(p.heap); left >= 16 {
		p.heap = le64(append(p.heap, make([]byte, 8)...), uint64(left))
	}
	b := append(p.heap, make([]byte, p.heapCap-len(p.heap))...)
	p.putAt(p.heapAddr, b)
	p.heap, p.heapCap = nil, 0
}

// group plans a group and all below it.
func (p *planner) group(g *GroupWriter) (placed, error) {
	members := slices.Clone(g.members)
	objects := make(map[string]placed, len(members))
	for _, m := range members {
		var o placed
		var err error
		switch {
		case m.group != nil:
			o, err = p.group(m.group)
		case m.dataset != nil:
			o, err = p.dataset(m.dataset)
		}
		if err != nil {
			return placed{}, err
		}
		objects[m.name] = o
	}
	order.Sort(members, func(a, b memberWriter) int { return strings.Compare(a.name, b.name) })
	o := placed{isGroup: true}
	o.tree, o.heap = p.symbolTable(members, objects)
	msg := putMessage(nil, msgSymbolTable, 0, le64(le64(nil, o.tree), o.heap))
	b, err := p.headerBytes(&g.objectWriter, msg, 1)
	if err != nil {
		return placed{}, err
	}
	o.header = p.put(b)
	return o, nil
}

// symbolTable plans a group's names and the B-tree over its entries, which are
// sorted by name.
func (p *planner) symbolTable(order []memberWriter, objects map[string]placed) (tree, heap uint64) {
	names := make([]byte, 8) // the empty name, left of all others
	var nodes []treeChild
	for len(order) > 0 {
		n := min(len(order), 2*leafHalf)
		b := le16([]byte("SNOD\x01\x00"), n)
		var last uint64
		for _, m := range order[:n] {
			last = uint64(len(names))
			names = padded(names, m.name)
			if m.soft == "" {
				b = symbolEntry(b, last, objects[m.name])
				continue
			}
			b = softEntry(b, last, uint64(len(names)))
			names = padded(names, m.soft)
		}
		b = append(b, make([]byte, (2*leafHalf-n)*40)...)
		nodes = append(nodes, treeChild{key: le64(nil, last), addr: p.put(b)})
		order = order[n:]
	}
	// A group's keys are the greatest names of the child on their left.
	tree = p.btree(0, groupHalf, le64(nil, 0), nodes)
	h := []byte("HEAP\x00\x00\x00\x00")
	h = le64(le64(h, uint64(len(names))), 1) // 1: no free list
	heap = p.alloc(32)
	p.putAt(heap, le64(h, p.put(names)))
	return tree, heap
}

type treeChild struct {
	key  []byte // on the right of the child
	addr uint64
}

// btree plans a version 1 B-tree over children, whose leftmost key is first.
func (p *planner) btree(kind byte, half int, first []byte, kids []treeChild) uint64 {
	for level := byte(0); ; level++ {
		size := uint64(24 + 2*half*8 + (2*half+1)*len(first))
		count := max(1, (len(kids)+2*half-1)/(2*half))
		base := p.pos
		addr := func(i int) uint64 {
			if i < 0 || i >= count {
				return undef
			}
			return base + uint64(i)*((size+7)&^7)
		}
		left := first
		var up []treeChild
		for i := range count {
			// Spread evenly: libhdf5 expects nodes to be half full.
			part := kids[i*len(kids)/count : (i+1)*len(kids)/count]
			b := le16(append([]byte("TREE"), kind, level), len(part))
			b = le64(le64(b, addr(i-1)), addr(i+1))
			b = append(b, left...)
			for _, k := range part {
				b = append(le64(b, k.addr), k.key...)
				left = k.key
			}
			b = append(b, make([]byte, int(size)-len(b))...)
			up = append(up, treeChild{key: left, addr: p.put(b)})
		}
		if count == 1 {
			return up[0].addr
		}
		kids = up
	}
}
