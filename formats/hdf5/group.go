package hdf5

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
)

// An Object is a *Group, a *Dataset or a *NamedType.
type Object interface {
	Path() string // a path under which the object was reached
	Addr() uint64 // address of its header: equal for hard links to one object
	Comment() string
	Attrs() ([]*Attr, error)
	Attr(name string) (*Attr, error)
}

// object is what all objects share.
type object struct {
	f    *File
	path string
	h    *header
}

// Path returns the path under which the object was reached.
func (o *object) Path() string { return o.path }

// Addr returns the address of the object's header, which identifies it.
func (o *object) Addr() uint64 { return o.h.addr }

// Comment returns the text that describes the object, "" in most files.
func (o *object) Comment() string {
	m := o.h.find(msgComment)
	if m == nil {
		return ""
	}
	return trimNull(m.data)
}

// A Group holds links to other objects by name.
type Group struct{ object }

// A NamedType is a datatype that is an object of its own.
type NamedType struct {
	object
	t *Datatype
}

// Type returns the datatype.
func (n *NamedType) Type() *Datatype { return n.t }

// Root returns the root group.
//
//go:noinline
func (f *File) Root() *Group { return &Group{object{f: f, path: "/", h: f.root}} }

// object opens the object whose header is at addr.
func (f *File) object(addr uint64, path string) (Object, error) {
	h, err := f.header(addr)
	if err != nil {
		return nil, inObject(err, path)
	}
	o := object{f, path, h}
	switch {
	case h.find(msgSymbolTable) != nil || h.find(msgLinkInfo) != nil || h.find(msgLink) != nil:
		return &Group{o}, nil
	case h.find(msgLayout) != nil || h.find(msgDataspace) != nil:
		d, err := newDataset(o)
		if err != nil {
			return nil, inObject(err, path)
		}
		return d, nil
	case h.find(msgDatatype) != nil:
		t, err := o.datatype(h.find(msgDatatype))
		if err != nil {
			return nil, inObject(err, path)
		}
		t.Committed, t.owner = true, addr
		return &NamedType{o, t}, nil
	}
	return nil, &FormatError{Object: path, Offset: f.super.offset + int64(addr), Msg: "object of no known kind"}
}

func (o *object) datatype(m *message) (*Datatype, error) {
	c, owner, err := o.f.resolve(m)
	if err != nil {
		return nil, err
	}
	t, err := parseDatatype(c, o.f.opts.MaxDepth)
	if err != nil {
		return nil, err
	}
	t.Committed, t.owner = owner != undef, owner
	return t, nil
}

// Members returns the group's links in native order: by creation where the
// file tracks it, else by name.
func (g *Group) Members() ([]Link, error) {
	t, err := g.f.linkTable(g.h)
	if err != nil {
		return nil, inObject(err, g.path)
	}
	return slices.Clone(t.links), nil
}

// Names returns the members' names sorted by byte.
func (g *Group) Names() ([]string, error) {
	t, err := g.f.linkTable(g.h)
	if err != nil {
		return nil, inObject(err, g.path)
	}
	names := make([]string, len(t.links))
	for i, l := range t.links {
		names[i] = l.Name
	}
	slices.Sort(names)
	return names, nil
}

// Lookup returns the link of the given name. Its error wraps ErrNotFound where
// there is none.
func (g *Group) Lookup(name string) (Link, error) {
	t, err := g.f.linkTable(g.h)
	if err != nil {
		return Link{}, inObject(err, g.path)
	}
	i, ok := t.byName[name]
	if !ok {
		return Link{}, errs.Errorf("hdf5: %s: %w", join(g.path, name), ErrNotFound)
	}
	return t.links[i], nil
}

// maxSoftLinks bounds the soft links followed while resolving one path.
const maxSoftLinks = 40

// Open returns the object at a path relative to the group, or to the root if
// it begins with a slash. Soft links are followed; external links are refused
// with an UnsupportedError. A missing name gives an error that wraps
// ErrNotFound.
func (g *Group) Open(path string) (Object, error) {
	soft := 0
	return g.open(path, &soft, 0)
}

// OpenGroup is Open for a path that must be a group.
func (g *Group) OpenGroup(path string) (*Group, error) {
	o, err := g.Open(path)
	if err != nil {
		return nil, err
	}
	if x, ok := o.(*Group); ok {
		return x, nil
	}
	return nil, errs.Errorf("hdf5: %s is %s, not a group", o.Path(), kindName(o))
}

// OpenDataset is Open for a path that must be a dataset.
func (g *Group) OpenDataset(path string) (*Dataset, error) {
	o, err := g.Open(path)
	if err != nil {
		return nil, err
	}
	if x, ok := o.(*Dataset); ok {
		return x, nil
	}
	return nil, errs.Errorf("hdf5: %s is %s, not a dataset", o.Path(), kindName(o))
}

func kindName(o Object) string {
	switch o.(type) {
	case *Group:
		return "a group"
	case *Dataset:
		return "a dataset"
	}
	return "a datatype"
}

func (g *Group) open(path string, soft *int, depth int) (Object, error) {
	cur := g
	if strings.HasPrefix(path, "/") {
		cur = g.f.Root()
	}
	var o Object = cur
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		group, ok := o.(*Group)
		if !ok {
			return nil, errs.Errorf("hdf5: %s is %s, it has no member %q: %w", o.Path(), kindName(o), name, ErrNotFound)
		}
		if depth++; depth > g.f.opts.MaxDepth*maxSoftLinks {
			return nil, &LimitError{Object: path, What: "path components", Got: int64(depth), Limit: int64(g.f.opts.MaxDepth) * maxSoftLinks}
		}
		l, err := group.Lookup(name)
		if err != nil {
			return nil, err
		}
		if o, err = group.follow(l, soft, depth); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Follow returns the object that one of the group's links refers to.
func (g *Group) Follow(l Link) (Object, error) {
	soft := 0
	return g.follow(l, &soft, 0)
}

func (g *Group) follow(l Link, soft *int, depth int) (Object, error) {
	path := join(g.path, l.Name)
	switch l.Kind {
	case HardLink:
		return g.f.object(l.addr, path)
	case SoftLink:
		if *soft++; *soft > maxSoftLinks {
			return nil, &FormatError{Object: path, Offset: -1, Msg: "soft links form a cycle"}
		}
		o, err := g.open(l.Target, soft, depth)
		if err != nil {
			return nil, errs.Errorf("hdf5: %s: %s: %w", path, l.describe(), err)
		}
		return o, nil
	}
	return nil, &UnsupportedError{Object: path, What: l.describe()}
}

func join(dir, name string) string {
	if strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// A Visit is one step of Group.Walk.
type Visit struct {
	Path   string
	Link   Link
	Object Object // nil for links that are not hard, and where SameAs is set
	SameAs string // the path under which the same object was visited before
}

// Walk calls fn for every link below the group, parents first and members in
// native order. An object with several hard links, a parent for instance, is
// descended into once. fn may return fs.SkipDir for a group. Groups deeper than
// Options.MaxDepth are an error.
func (g *Group) Walk(fn func(Visit) error) error {
	return g.walk(map[uint64]string{g.Addr(): g.path}, false, 1, fn)
}

func (g *Group) walk(seen map[uint64]string, byName bool, depth int, fn func(Visit) error) error {
	if depth > g.f.opts.MaxDepth {
		return &LimitError{Object: g.path, What: "group nesting (MaxDepth)", Got: int64(depth), Limit: int64(g.f.opts.MaxDepth)}
	}
	links, err := g.Members()
	if err != nil {
		return err
	}
	if byName {
		order.Sort(links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, l := range links {
		v := Visit{Path: join(g.path, l.Name), Link: l}
		if l.Kind == HardLink {
			var again bool
			if v.SameAs, again = seen[l.addr]; !again {
				if v.Object, err = g.f.object(l.addr, v.Path); err != nil {
					return err
				}
				seen[l.addr] = v.Path
			}
		}
		err := fn(v)
		if errors.Is(err, fs.SkipDir) {
			continue
		}
		if err != nil {
			return err
		}
		if sub, ok := v.Object.(*Group); ok {
			if err := sub.walk(seen, byName, depth+1, fn); err != nil {
				return err
			}
		}
	}
	return nil
}
