package hdf5

import (
	"fmt"
	"slices"
	"sort"

	"github.com/nnrt/nnrt/internal/errs"
)

// An Attr is a small named value attached to an object.
type Attr struct {
	Name string
	value
	order int
}

// value is typed data: what attributes and datasets have in common.
type value struct {
	f     *File
	path  string // for errors
	typ   *Datatype
	space Space
	load  func() ([]byte, error) // elements as stored
	// each calls fn with consecutive blocks of elements as stored; first is the
	// index of a block's first element.
	each func(fn func(first int, b []byte) error) error
}

// Type returns the type of one element.
func (v *value) Type() *Datatype { return v.typ }

// Space returns the shape.
func (v *value) Space() Space { return v.space }

// Dims returns the dimensions: empty for scalars and null spaces.
func (v *value) Dims() []uint64 { return v.space.Dims }

// ReadRaw returns all elements as they are stored, in row-major order, after
// decompression. The result may alias the file in memory and must not be
// changed.
func (v *value) ReadRaw() ([]byte, error) {
	b, err := v.load()
	return b, inObject(err, v.path)
}

// Attrs returns the object's attributes: by creation where the file tracks it,
// else by name.
func (o *object) Attrs() ([]*Attr, error) {
	o.h.once.Do(func() { o.h.attrs, o.h.attrErr = o.attrs() })
	return slices.Clone(o.h.attrs), inObject(o.h.attrErr, o.path)
}

// Attr returns the attribute of the given name. Its error wraps ErrNotFound
// where there is none.
func (o *object) Attr(name string) (*Attr, error) {
	as, err := o.Attrs()
	if err != nil {
		return nil, err
	}
	for _, a := range as {
		if a.Name == name {
			return a, nil
		}
	}
	return nil, errs.Errorf("hdf5: %s: attribute %q: %w", o.path, name, ErrNotFound)
}

func (o *object) attrs() ([]*Attr, error) {
	var as []*Attr
	for i := range o.h.messages {
		m := &o.h.messages[i]
		if m.kind != msgAttribute {
			continue
		}
		c, _, err := o.f.resolve(m)
		if err != nil {
			return nil, err
		}
		a, err := o.attribute(c)
		if err != nil {
			return nil, err
		}
		a.order = m.order
		as = append(as, a)
	}
	ordered := o.h.attrsOrd
	if m := o.h.find(msgAttrInfo); m != nil {
		dense, tracked, err := o.denseAttrs(m)
		if err != nil {
			return nil, err
		}
		as = append(as, dense...)
		ordered = tracked
	}
	sort.SliceStable(as, func(i, j int) bool {
		if ordered && as[i].order != as[j].order {
			return as[i].order < as[j].order
		}
		return as[i].Name < as[j].Name
	})
	for i := 1; i < len(as); i++ {
		if as[i].Name == as[i-1].Name {
			return nil, formatErr(-1, "two attributes named %q", as[i].Name)
		}
	}
	return as, nil
}

// denseAttrs reads attributes kept in a fractal heap.
func (o *object) denseAttrs(m *message) (as []*Attr, tracked bool, err error) {
	f := o.f
	c := f.cursor(m.data, m.at, "attribute info")
	c.version(0)
	flags := c.u8()
	if flags&1 != 0 {
		c.skip(2)
	}
	heapAddr, tree := c.offset(), c.offset()
	tracked = flags&1 != 0
	if c.err != nil || heapAddr == undef {
		return nil, tracked, c.err
	}
	heap, err := f.fractalHeap(heapAddr)
	if err != nil {
		return nil, tracked, err
	}
	used := f.meter()
	err = f.btree2Records(tree, 8, func(c *cursor) error {
		id := c.bytes(8)
		mflags, order := c.u8(), int(c.u32())
		if c.err != nil {
			return c.err
		}
		var b []byte
		var at int64
		var err error
		if mflags&flagShared != 0 {
			b, at, err = f.sharedObject(msgAttribute, id)
		} else {
			b, at, err = heap.object(id)
		}
		if err != nil {
			return err
		}
		if err := used.take(int64(len(b)), at, "attributes"); err != nil {
			return err
		}
		a, err := o.attribute(f.cursor(b, at, "attribute"))
		if err != nil {
			return err
		}
		a.order = order
		as = append(as, a)
		return nil
	})
	return as, tracked, err
}

// attribute decodes an attribute message. Its value stays undecoded.
func (o *object) attribute(c *cursor) (*Attr, error) {
	f := o.f
	version := c.u8()
	if c.err == nil && (version < 1 || version > 3) {
		return nil, unsupported("attribute message version %d", version)
	}
	flags := c.u8()
	nameLen, typeLen, spaceLen := c.u16(), c.u16(), c.u16()
	if version == 3 {
		c.skip(1) // character set of the name
	}
	field := func(n int, what string) *cursor {
		s := c.sub(n, what)
		if version == 1 && n%8 != 0 {
			c.skip(8 - n%8)
		}
		return s
	}
	name := trimNull(field(nameLen, "attribute name").b)
	tc, sc := field(typeLen, "datatype"), field(spaceLen, "dataspace")
	if c.err != nil {
		return nil, c.err
	}
	a := &Attr{Name: name, value: value{f: f, path: o.path + " attribute " + name}}
	if version == 1 {
		flags = 0
	}
	if err := a.parseShape(flags, tc, sc); err != nil {
		return nil, inObject(err, a.path)
	}
	n, err := a.storedBytes()
	if err != nil {
		return nil, inObject(err, a.path)
	}
	if n > uint64(f.opts.MaxAttrBytes) {
		return nil, &LimitError{Object: a.path, What: "attribute bytes (MaxAttrBytes)", Got: clampInt64(n), Limit: f.opts.MaxAttrBytes}
	}
	if n > uint64(c.left()) {
		return nil, &FormatError{Object: a.path, Offset: c.at, Msg: fmt.Sprintf("attribute of %d bytes, %d stored", n, c.left())}
	}
	data := c.bytes(int(n))
	a.load = func() ([]byte, error) {
		return data, f.charge(n, "attribute")
	}
	a.each = func(fn func(int, []byte) error) error {
		b, err := a.load()
		if err != nil {
			return err
		}
		return fn(0, b)
	}
	return a, nil
}

// parseShape decodes type and dataspace; flags say which of them are shared.
func (v *value) parseShape(flags int, tc, sc *cursor) (err error) {
	owner := undef
	if flags&1 != 0 {
		if tc, owner, err = v.f.resolveShared(msgDatatype, tc); err != nil {
			return err
		}
	}
	if flags&2 != 0 {
		if sc, _, err = v.f.resolveShared(msgDataspace, sc); err != nil {
			return err
		}
	}
	if v.typ, err = parseDatatype(tc, v.f.opts.MaxDepth); err != nil {
		return err
	}
	v.typ.Committed, v.typ.owner = owner != undef, owner
	v.space, err = parseSpace(sc)
	return err
}

// storedBytes returns the size of all elements.
func (v *value) storedBytes() (uint64, error) {
	n, ok := v.space.NumElems()
	if ok {
		n, ok = mulSize(n, v.typ.Size)
	}
	if !ok {
		return 0, &LimitError{What: fmt.Sprintf("bytes of %v elements of %d bytes", v.space.Dims, v.typ.Size),
			Got: 1<<63 - 1, Limit: v.f.opts.MaxValueBytes}
	}
	return n, nil
}
