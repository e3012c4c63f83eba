package hdf5

import (
	"fmt"
	"sort"
)

// LinkKind tells how a group refers to a member.
type LinkKind uint8

// Link kinds.
const (
	HardLink     LinkKind = iota
	SoftLink              // a path in this file
	ExternalLink          // a path in another file: never followed
	UserLink              // defined by an application: never followed
)

// Link is a named member of a group.
type Link struct {
	Name   string
	Kind   LinkKind
	Target string // soft and external links: a path
	File   string // external links
	order  int64
	addr   uint64
}

// linkTable is a group's links.
type linkTable struct {
	links  []Link // in native order
	byName map[string]int
}

// linkTable loads the links of a group.
func (f *File) linkTable(h *header) (*linkTable, error) {
	f.mu.Lock()
	t := f.groups[h.addr]
	f.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t = &linkTable{byName: map[string]int{}}
	ordered, err := f.readLinks(h, func(l Link) error {
		if len(t.links) >= f.opts.MaxObjects {
			return &LimitError{What: "links (MaxObjects)", Got: int64(len(t.links)) + 1, Limit: int64(f.opts.MaxObjects)}
		}
		t.links = append(t.links, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.SliceStable(t.links, func(i, j int) bool {
		a, b := &t.links[i], &t.links[j]
		if ordered && a.order != b.order {
			return a.order < b.order
		}
		return a.Name < b.Name
	})
	for i, l := range t.links {
		if _, dup := t.byName[l.Name]; dup {
			return nil, formatErr(-1, "two links named %q", l.Name)
		}
		t.byName[l.Name] = i
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.groups[h.addr] == nil {
		if f.links += len(t.links); f.links > f.opts.MaxObjects {
			return nil, &LimitError{What: "links (MaxObjects)", Got: int64(f.links), Limit: int64(f.opts.MaxObjects)}
		}
		f.groups[h.addr] = t
	}
	return t, nil
}

// readLinks calls add with each link of a group of either style. ordered
// reports that creation order is tracked.
func (f *File) readLinks(h *header, add func(Link) error) (ordered bool, err error) {
	if m := h.find(msgSymbolTable); m != nil {
		c := f.cursor(m.data, m.at, "symbol table")
		tree, heap := c.offset(), c.offset()
		if c.err != nil {
			return false, c.err
		}
		return false, f.symbolTable(tree, heap, add)
	}
	for i := range h.messages {
		if h.messages[i].kind != msgLink {
			continue
		}
		c, _, err := f.resolve(&h.messages[i])
		if err != nil {
			return false, err
		}
		l, err := parseLink(c)
		if err == nil {
			err = add(l)
		}
		if err != nil {
			return false, err
		}
	}
	m := h.find(msgLinkInfo)
	if m == nil {
		return false, nil
	}
	c := f.cursor(m.data, m.at, "link info")
	c.version(0)
	flags := c.u8()
	if flags&1 != 0 {
		c.skip(8)
	}
	heapAddr, tree := c.offset(), c.offset()
	if c.err != nil {
		return false, c.err
	}
	ordered = flags&1 != 0
	if heapAddr == undef {
		return ordered, nil
	}
	return ordered, f.denseLinks(heapAddr, tree, add)
}

// denseLinks reads links from a fractal heap by way of their name index.
func (f *File) denseLinks(heapAddr, tree uint64, add func(Link) error) error {
	heap, err := f.fractalHeap(heapAddr)
	if err != nil {
		return err
	}
	m := f.meter()
	return f.btree2Records(tree, 5, func(c *cursor) error {
		c.skip(4) // hash of the name
		id := c.bytes(min(heap.idLen, c.left()))
		if c.err != nil {
			return c.err
		}
		b, at, err := heap.object(id)
		if err != nil {
			return err
		}
		if err := m.take(int64(len(b)), at, "links"); err != nil {
			return err
		}
		l, err := parseLink(f.cursor(b, at, "link"))
		if err != nil {
			return err
		}
		return add(l)
	})
}

func parseLink(c *cursor) (Link, error) {
	var l Link
	c.version(1)
	flags := c.u8()
	kind := 0
	if flags&8 != 0 {
		kind = c.u8()
	}
	if flags&4 != 0 {
		l.order = int64(c.uint(8))
	}
	if flags&16 != 0 {
		c.skip(1) // character set
	}
	n := c.uint(1 << (flags & 3))
	if n > uint64(c.left()) {
		c.failf("name of %d bytes, %d left", n, c.left())
		return l, c.err
	}
	l.Name = string(c.bytes(int(n)))
	switch {
	case kind == 0:
		l.addr = c.offset()
	case kind == 1:
		l.Kind = SoftLink
		l.Target = string(c.bytes(c.u16()))
	case kind == 64:
		l.Kind = ExternalLink
		e := c.sub(c.u16(), "external link")
		e.skip(1)
		l.File, l.Target = e.cstring(), e.cstring()
		if e.err != nil {
			return l, e.err
		}
	case kind > 64:
		l.Kind = UserLink
	default:
		c.failf("link type %d", kind)
	}
	if c.err == nil && l.Name == "" {
		c.failf("link without a name")
	}
	return l, c.err
}

// describe says what a link that is not hard refers to.
func (l *Link) describe() string {
	switch l.Kind {
	case SoftLink:
		return fmt.Sprintf("soft link to %q", l.Target)
	case ExternalLink:
		return fmt.Sprintf("external link to %q in file %q", l.Target, l.File)
	}
	return "user-defined link"
}
