package hdf5

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// ListOptions says what List prints.
type ListOptions struct {
	Verbose bool // attributes, types and storage too
}

// List prints one line per object, like h5ls -r: its path, kind and shape.
func List(w io.Writer, f *File, opts ListOptions) error {
	l := &lister{w: bufio.NewWriter(w), opts: opts, kinds: map[string]string{}}
	root := f.Root()
	if err := l.line("/", root); err != nil {
		return err
	}
	seen := map[uint64]string{root.Addr(): "/"}
	err := root.walk(seen, true, 1, func(v Visit) error {
		switch {
		case v.SameAs != "":
			l.entry(v.Path, l.kinds[v.SameAs]+", same as "+escapePath(v.SameAs))
		case v.Object != nil:
			return l.line(v.Path, v.Object)
		case v.Link.Kind == SoftLink:
			l.entry(v.Path, "Soft Link {"+printable(v.Link.Target)+"}")
		case v.Link.Kind == ExternalLink:
			l.entry(v.Path, "External Link {"+printable(v.Link.File)+"/"+printable(v.Link.Target)+"}")
		default:
			l.entry(v.Path, "User-defined Link")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.w.Flush()
}

type lister struct {
	w     *bufio.Writer
	opts  ListOptions
	kinds map[string]string // of the objects listed, by path
}

func (l *lister) entry(path, text string) {
	fmt.Fprintf(l.w, "%-24s %s\n", escapePath(path), text)
}

// escapePath marks spaces, as h5ls does.
func escapePath(p string) string {
	return strings.ReplaceAll(printable(p), " ", `\ `)
}

func (l *lister) line(path string, o Object) error {
	switch o := o.(type) {
	case *Group:
		l.kinds[path] = "Group"
		l.entry(path, "Group")
	case *NamedType:
		l.kinds[path] = "Type"
		l.entry(path, "Type")
	case *Dataset:
		l.kinds[path] = "Dataset"
		l.entry(path, "Dataset {"+shapeText(o.space)+"}")
	}
	if !l.opts.Verbose {
		return nil
	}
	as, err := o.Attrs()
	if err != nil {
		return err
	}
	for _, a := range as {
		fmt.Fprintf(l.w, "    Attribute: %s {%s} %s\n", printable(a.Name), shapeText(a.space), oneLine(a.typ))
	}
	fmt.Fprintf(l.w, "    Location:  1:%d\n", o.Addr())
	if d, ok := o.(*Dataset); ok {
		if c := d.Chunks(); c != nil {
			fmt.Fprintf(l.w, "    Chunks:    {%s}\n", dimsText(c, nil))
		} else {
			fmt.Fprintf(l.w, "    Layout:    %s\n", d.Layout())
		}
		for i, f := range d.filters {
			fmt.Fprintf(l.w, "    Filter-%d:  %s-%d %v\n", i, printable(f.Name), f.ID, f.Params)
		}
		fmt.Fprintf(l.w, "    Type:      %s\n", oneLine(d.typ))
	}
	return nil
}

// oneLine describes a type without line breaks.
func oneLine(t *Datatype) string { return strings.Join(strings.Fields(t.String()), " ") }

func shapeText(s Space) string {
	switch {
	case s.Null:
		return "NULL"
	case len(s.Dims) == 0:
		return "SCALAR"
	}
	return dimsText(s.Dims, s.MaxDims)
}

// dimsText lists dimensions, with the maximum where it is another.
func dimsText(dims, maxDims []uint64) string {
	parts := make([]string, len(dims))
	for i, n := range dims {
		parts[i] = fmt.Sprint(n)
		if maxDims == nil || maxDims[i] == n {
			continue
		}
		if maxDims[i] == Unlimited {
			parts[i] += "/Inf"
		} else {
			parts[i] += fmt.Sprintf("/%d", maxDims[i])
		}
	}
	return strings.Join(parts, ", ")
}
