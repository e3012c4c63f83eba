package hdf5

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
)

// A Writer describes a file and then writes it, in the layout that libhdf5,
// h5py and Keras write by default: superblock 0, symbol tables, version 1
// object headers. It is not safe for concurrent use.
//
//	w := hdf5.NewWriter()
//	g, err := w.Root().Group("dense")
//	err = g.SetAttr("weight_names", hdf5.FixedStrings([]string{"kernel:0"}))
//	_, err = g.Dataset("kernel:0", data, hdf5.Storage{})
//	_, err = w.WriteTo(file)
//
// Values stay with the caller until WriteTo, which needs little memory beyond
// them: compressed chunks, and the metadata.
type Writer struct{ root *GroupWriter }

// NewWriter returns a Writer of a file with an empty root group.
func NewWriter() *Writer {
	return &Writer{root: &GroupWriter{objectWriter: objectWriter{path: "/"}, byName: map[string]int{}}}
}

// Root returns the root group.
func (w *Writer) Root() *GroupWriter { return w.root }

// Storage says how a dataset is stored. The zero value is contiguous.
type Storage struct {
	Chunks     []uint64 // chunk shape; nil for contiguous
	Shuffle    bool     // group bytes by significance before compressing
	Deflate    int      // gzip level 1 to 9; 0 for none
	Fletcher32 bool     // append a checksum to each chunk
}

type namedData struct {
	name string
	data Data
}

// objectWriter is what groups and datasets have in common.
type objectWriter struct {
	path  string
	attrs []namedData
}

// maxMessage is the greatest size of an object header message: it is a
// multiple of 8 in 16 bits.
const maxMessage = 65528

// SetAttr attaches a value under a name, or replaces the one it had. Values
// that do not fit the 64 KB of an object header message are refused: callers
// split them, as Keras does.
func (o *objectWriter) SetAttr(name string, d Data) error {
	if name == "" || strings.Contains(name, "\x00") {
		return errs.Errorf("hdf5: %s: attribute name %q", o.path, name)
	}
	size, err := d.size()
	if err == nil && d.Source != nil {
		err = errors.New("hdf5: attributes need their value at once, not a Source")
	}
	var t []byte
	if err == nil {
		t, err = encodeType(nil, d.Type)
	}
	if err != nil {
		return errs.Errorf("hdf5: %s: attribute %q: %w", o.path, name, err)
	}
	if total := 8 + uint64(len(name)+8+len(t)+8+16+16*len(d.Dims)) + size; total > maxMessage {
		return &LimitError{Object: o.path, What: fmt.Sprintf("bytes of attribute %q in the file format's object header", name),
			Got: clampInt64(total), Limit: maxMessage}
	}
	for i := range o.attrs {
		if o.attrs[i].name == name {
			o.attrs[i].data = d
			return nil
		}
	}
	o.attrs = append(o.attrs, namedData{name, d})
	return nil
}

// Path returns the object's path in the file.
func (o *objectWriter) Path() string { return o.path }

// A GroupWriter is a group to be written.
type GroupWriter struct {
	objectWriter
	members []memberWriter
	byName  map[string]int
}

type memberWriter struct {
	name    string
	group   *GroupWriter
	dataset *DatasetWriter
	soft    string // target of a soft link
}

// A DatasetWriter is a dataset to be written.
type DatasetWriter struct {
	objectWriter
	data    Data
	storage Storage
}

func (g *GroupWriter) add(m memberWriter) error {
	if m.name == "" || m.name == "." || strings.ContainsAny(m.name, "/\x00") {
		return errs.Errorf("hdf5: %s: member name %q", g.path, m.name)
	}
	if _, dup := g.byName[m.name]; dup {
		return errs.Errorf("hdf5: %s: two members named %q", g.path, m.name)
	}
	g.byName[m.name] = len(g.members)
	g.members = append(g.members, m)
	return nil
}

// Group returns the group at a relative path, making it and its parents where
// they do not exist.
func (g *GroupWriter) Group(path string) (*GroupWriter, error) {
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		if i, ok := g.byName[name]; ok {
			sub := g.members[i].group
			if sub == nil {
				return nil, errs.Errorf("hdf5: %s is not a group", join(g.path, name))
			}
			g = sub
			continue
		}
		sub := &GroupWriter{objectWriter: objectWriter{path: join(g.path, name)}, byName: map[string]int{}}
		if err := g.add(memberWriter{name: name, group: sub}); err != nil {
			return nil, err
		}
		g = sub
	}
	return g, nil
}

// Has reports whether the group has a member of that name.
func (g *GroupWriter) Has(name string) bool {
	_, ok := g.byName[name]
	return ok
}

// SoftLink adds a link to a path in this file, which need not exist.
func (g *GroupWriter) SoftLink(name, target string) error {
	if target == "" || strings.Contains(target, "\x00") {
		return errs.Errorf("hdf5: %s: soft link to %q", join(g.path, name), target)
	}
	return g.add(memberWriter{name: name, soft: target})
}

// Dataset adds a dataset at a relative path, making its parent groups where
// they do not exist.
func (g *GroupWriter) Dataset(path string, d Data, s Storage) (*DatasetWriter, error) {
	i := strings.LastIndexByte(path, '/')
	parent, err := g.Group(path[:i+1])
	if err != nil {
		return nil, err
	}
	w := &DatasetWriter{objectWriter: objectWriter{path: join(parent.path, path[i+1:])}, data: d, storage: s}
	if err := w.check(); err != nil {
		return nil, errs.Errorf("hdf5: %s: %w", w.path, err)
	}
	return w, parent.add(memberWriter{name: path[i+1:], dataset: w})
}

func (w *DatasetWriter) check() error {
	d, s := &w.data, &w.storage
	if _, err := d.size(); err != nil {
		return err
	}
	if _, err := encodeType(nil, d.Type); err != nil {
		return err
	}
	if d.MaxDims != nil && len(d.MaxDims) != len(d.Dims) {
		return errs.Errorf("hdf5: maximum dims %v for dims %v", d.MaxDims, d.Dims)
	}
	for i, m := range d.MaxDims {
		if m < d.Dims[i] || m != d.Dims[i] && s.Chunks == nil {
			return errs.Errorf("hdf5: dims %v with maximum %v and chunks %v", d.Dims, d.MaxDims, s.Chunks)
		}
	}
	if s.Chunks == nil {
		if s.Shuffle || s.Deflate != 0 || s.Fletcher32 {
			return errors.New("hdf5: filters need chunks")
		}
		return nil
	}
	n, ok := product(s.Chunks)
	size, ok2 := mulSize(n, d.Type.Size)
	switch {
	case len(s.Chunks) != len(d.Dims) || len(d.Dims) == 0 || !ok || !ok2 || n == 0 || size > 1<<31:
		return errs.Errorf("hdf5: chunks %v for dims %v", s.Chunks, d.Dims)
	case s.Deflate < 0 || s.Deflate > 9:
		return errs.Errorf("hdf5: gzip level %d", s.Deflate)
	case d.Source != nil || d.Type.hasRefs():
		return unsupported("chunks of values from a Source or of variable strings")
	}
	return nil
}

// WriteTo writes the file from its beginning to its end. To write to an
// io.WriterAt, wrap it by io.NewOffsetWriter.
func (w *Writer) WriteTo(dst io.Writer) (int64, error) {
	p := &planner{pos: superblockSize}
	root, err := p.group(w.root)
	if err != nil {
		return 0, err
	}
	p.closeHeap()
	sb := superblockBytes(root, p.pos)
	p.segments = append(p.segments, segment{size: superblockSize, write: func(w io.Writer) error {
		_, err := w.Write(sb)
		return err
	}})
	order.Sort(p.segments, func(a, b segment) int { return int(int64(a.addr) - int64(b.addr)) })
	out := &countWriter{w: bufio.NewWriterSize(dst, 64<<10)}
	for _, s := range p.segments {
		if out.n != s.addr {
			return int64(out.n), errs.Errorf("hdf5: writing at %d, planned %d", out.n, s.addr)
		}
		if err := s.write(out); err != nil {
			return int64(out.n), err
		}
		if out.n > s.addr+s.size {
			return int64(out.n), errs.Errorf("hdf5: %s: wrote %d bytes, its dims say %d", s.path, out.n-s.addr, s.size)
		}
		if s.streamed && out.n < s.addr+s.size {
			return int64(out.n), errs.Errorf("hdf5: %s: its source wrote %d bytes, its dims say %d", s.path, out.n-s.addr, s.size)
		}
		if err := out.pad(s.addr + (s.size+7)&^7); err != nil {
			return int64(out.n), err
		}
	}
	return int64(out.n), out.w.Flush()
}

// WriteFile writes the file under a name, replacing what was there only when
// all is written.
func (w *Writer) WriteFile(name string) error {
	tmp, err := os.CreateTemp(dirOf(name), ".hdf5-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = w.WriteTo(tmp)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return errs.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, os.PathSeparator); i >= 0 {
		return name[:i+1]
	}
	return "."
}

// countWriter counts what it writes.
type countWriter struct {
	w *bufio.Writer
	n uint64
}

func (c *countWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += uint64(n)
	return n, err
}

// pad writes zeros up to a position.
func (c *countWriter) pad(to uint64) error {
	if to <= c.n {
		return nil
	}
	_, err := c.Write(make([]byte, to-c.n))
	return err
}
