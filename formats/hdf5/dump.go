package hdf5

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
)

// DumpOptions says what Dump prints.
type DumpOptions struct {
	Name       string // the file's name in the first line
	Path       string // the object to print; the root group if empty
	HeaderOnly bool   // no values
	AttrsOnly  bool   // the values of attributes only
}

// Dump prints a file's contents in the language of h5dump: types, spaces and
// values of all datasets and attributes. Text is printed as UTF-8, with control
// characters in octal. A value that this package does not read is replaced by
// the reason.
func Dump(w io.Writer, f *File, opts DumpOptions) error {
	d := &dumper{w: bufio.NewWriter(w), f: f, opts: opts, seen: map[uint64]string{}}
	var o Object = f.Root()
	if opts.Path != "" {
		var err error
		if o, err = f.Root().Open(opts.Path); err != nil {
			return err
		}
	}
	name := o.Path()
	if name != "/" {
		name = opts.Path
	}
	d.printf(0, "HDF5 \"%s\" {", printable(opts.Name))
	if err := d.object(name, o, 0, 1); err != nil {
		return err
	}
	d.printf(0, "}")
	return d.w.Flush()
}

type dumper struct {
	w     *bufio.Writer
	f     *File
	opts  DumpOptions
	seen  map[uint64]string // objects printed, by address
	paths map[uint64]string // objects in the file, by address; nil until needed
}

// printf writes a line indented by ind columns.
func (d *dumper) printf(ind int, format string, args ...any) {
	for range ind {
		d.w.WriteByte(' ')
	}
	fmt.Fprintf(d.w, format, args...)
	d.w.WriteByte('\n')
}

func (d *dumper) object(name string, o Object, ind, depth int) error {
	kind := "DATATYPE"
	switch o.(type) {
	case *Group:
		kind = "GROUP"
	case *Dataset:
		kind = "DATASET"
	}
	if first, ok := d.seen[o.Addr()]; ok {
		d.printf(ind, "%s \"%s\" {", kind, printable(name))
		d.printf(ind+3, "HARDLINK \"%s\"", printable(first))
		d.printf(ind, "}")
		return nil
	}
	d.seen[o.Addr()] = o.Path()
	if t, ok := o.(*NamedType); ok {
		return d.namedType(name, t, ind)
	}
	d.printf(ind, "%s \"%s\" {", kind, printable(name))
	if c := o.Comment(); c != "" {
		d.printf(ind, "COMMENT \"%s\"", printable(c))
	}
	var err error
	switch o := o.(type) {
	case *Group:
		if err = d.attrs(o, ind+3); err == nil {
			err = d.members(o, ind+3, depth)
		}
	case *Dataset:
		values := !d.opts.HeaderOnly && !d.opts.AttrsOnly
		if err = d.value(&o.value, ind+3, values); err == nil {
			err = d.attrs(o, ind+3)
		}
	}
	d.printf(ind, "}")
	return err
}

func (d *dumper) namedType(name string, t *NamedType, ind int) error {
	var b strings.Builder
	typeText(&b, t.t, ind)
	end := ";"
	if t.t.Class == ClassCompound {
		end = ""
	}
	d.printf(ind, "DATATYPE \"%s\" %s%s", printable(name), b.String(), end)
	return nil
}

func (d *dumper) members(g *Group, ind, depth int) error {
	if depth > d.f.opts.MaxDepth {
		return &LimitError{Object: g.path, What: "group nesting (MaxDepth)", Got: int64(depth), Limit: int64(d.f.opts.MaxDepth)}
	}
	links, err := g.Members()
	if err != nil {
		return err
	}
	order.Sort(links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	for _, l := range links {
		switch l.Kind {
		case HardLink:
			o, err := g.Follow(l)
			if err == nil {
				err = d.object(l.Name, o, ind, depth+1)
			}
			if err != nil {
				return err
			}
			continue
		case SoftLink:
			d.printf(ind, "SOFTLINK \"%s\" {", printable(l.Name))
			d.printf(ind+3, "LINKTARGET \"%s\"", printable(l.Target))
		case ExternalLink:
			d.printf(ind, "EXTERNAL_LINK \"%s\" {", printable(l.Name))
			d.printf(ind+3, "TARGETFILE \"%s\"", printable(l.File))
			d.printf(ind+3, "TARGETPATH \"%s\"", printable(l.Target))
		default:
			d.printf(ind, "USERDEFINED_LINK \"%s\" {", printable(l.Name))
		}
		d.printf(ind, "}")
	}
	return nil
}

func (d *dumper) attrs(o Object, ind int) error {
	as, err := o.Attrs()
	if err != nil {
		return err
	}
	order.Sort(as, func(a, b *Attr) int { return cmp.Compare(a.Name, b.Name) })
	for _, a := range as {
		d.printf(ind, "ATTRIBUTE \"%s\" {", printable(a.Name))
		if err := d.value(&a.value, ind+3, !d.opts.HeaderOnly); err != nil {
			return err
		}
		d.printf(ind, "}")
	}
	return nil
}

// value prints type, space and, if values is set, the elements.
func (d *dumper) value(v *value, ind int, values bool) error {
	text := ""
	if v.typ.Committed {
		path, err := d.pathOf(v.typ.owner)
		if err != nil {
			return err
		}
		text = `"` + printable(path) + `"`
	} else {
		var b strings.Builder
		typeText(&b, v.typ, ind)
		text = b.String()
	}
	d.printf(ind, "DATATYPE  %s", text)
	d.printf(ind, "DATASPACE  %s", spaceText(v.space))
	if !values {
		return nil
	}
	d.printf(ind, "DATA {")
	if !v.space.Null {
		p := &elementPrinter{d: d, v: v, ind: ind, h: v.f.heapReader()}
		err := v.each(p.block)
		p.end()
		var no *UnsupportedError
		if errors.As(err, &no) {
			d.printf(ind, "unsupported: %s", printable(no.What))
		} else if err != nil {
			return inObject(err, v.path)
		}
	}
	d.printf(ind, "}")
	return nil
}

func spaceText(s Space) string {
	switch {
	case s.Null:
		return "NULL"
	case len(s.Dims) == 0:
		return "SCALAR"
	}
	list := func(dims []uint64) string {
		var parts []string
		for _, n := range dims {
			if n == Unlimited {
				parts = append(parts, "H5S_UNLIMITED")
			} else {
				parts = append(parts, fmt.Sprint(n))
			}
		}
		return "( " + strings.Join(parts, ", ") + " )"
	}
	return "SIMPLE { " + list(s.Dims) + " / " + list(s.MaxDims) + " }"
}

// pathOf returns a path of the object at an address.
func (d *dumper) pathOf(addr uint64) (string, error) {
	if d.paths == nil {
		d.paths = map[uint64]string{d.f.Root().Addr(): "/"}
		err := d.f.Root().Walk(func(v Visit) error {
			if v.Object != nil {
				d.paths[v.Object.Addr()] = v.Path
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	if p, ok := d.paths[addr]; ok {
		return p, nil
	}
	return fmt.Sprintf("#%d", addr), nil
}

// lineEnd is the last column of a line, with the comma after its last element.
const lineEnd = 77

// elementPrinter prints elements in rows, each line beginning with the index of
// its first element.
type elementPrinter struct {
	d    *dumper
	v    *value
	ind  int
	h    *heapReader
	line []byte
}

func (p *elementPrinter) block(first int, b []byte) error {
	size := p.v.typ.Size
	row := 0
	if n := len(p.v.space.Dims); n > 0 {
		row = int(p.v.space.Dims[n-1])
	}
	total, _ := p.v.space.NumElems()
	for i := range len(b) / size {
		s, err := p.d.element(p.v.typ, b[i*size:(i+1)*size], p.ind+3, p.h)
		if err != nil {
			return errs.Errorf("element %d: %w", first+i, err)
		}
		if p.line != nil {
			p.line = append(p.line, ',')
			end := p.ind + len(p.line) + 1 + len(s)
			if uint64(first+i) < total-1 {
				end++ // its own comma
			}
			if row > 0 && (first+i)%row == 0 || end > lineEnd {
				p.end()
			} else {
				p.line = append(p.line, ' ')
			}
		}
		if p.line == nil {
			p.line = append([]byte(p.index(first+i)), ": "...)
		}
		p.line = append(p.line, s...)
	}
	return nil
}

// end writes the line begun.
func (p *elementPrinter) end() {
	if p.line != nil {
		p.d.printf(p.ind, "%s", p.line)
		p.line = nil
	}
}

// index formats the position of an element.
func (p *elementPrinter) index(n int) string {
	dims := p.v.space.Dims
	if len(dims) == 0 {
		return "(0)"
	}
	parts := make([]string, len(dims))
	for i := len(dims) - 1; i >= 0; i-- {
		parts[i] = fmt.Sprint(uint64(n) % dims[i])
		n = int(uint64(n) / dims[i])
	}
	return "(" + strings.Join(parts, ",") + ")"
}
