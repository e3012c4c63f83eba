package hdf5

import (
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
)

// A Dataset is an array of elements. Opening one reads its description only.
type Dataset struct {
	object
	value
	layout   *layout // nil for null spaces written without one
	filters  []Filter
	fill     []byte
	external bool // values are in other files
}

// Path returns the path under which the dataset was reached.
func (d *Dataset) Path() string { return d.object.path }

func newDataset(o object) (*Dataset, error) {
	d := &Dataset{object: o, value: value{f: o.f, path: o.path}}
	for _, kind := range []int{msgDatatype, msgDataspace, msgLayout} {
		if o.h.find(kind) == nil {
			return nil, formatErr(o.f.super.offset+int64(o.h.addr), "dataset without a %s message", messageName(kind))
		}
	}
	var err error
	if d.typ, err = o.datatype(o.h.find(msgDatatype)); err != nil {
		return nil, err
	}
	if err = d.parse(msgDataspace, func(c *cursor) error { d.space, err = parseSpace(c); return err }); err != nil {
		return nil, err
	}
	if err = d.parse(msgLayout, func(c *cursor) error { d.layout, err = parseLayout(c); return err }); err != nil {
		return nil, err
	}
	if err = d.parse(msgFilters, func(c *cursor) error { d.filters, err = parseFilters(c); return err }); err != nil {
		return nil, err
	}
	for _, kind := range []int{msgFillOld, msgFill} {
		if err = d.parse(kind, func(c *cursor) error { d.fill, err = parseFill(c, kind); return err }); err != nil {
			return nil, err
		}
	}
	d.external = o.h.find(msgExternal) != nil
	d.load, d.each = d.loadAll, d.stream
	return d, d.verify()
}

// parse decodes the message of a kind if there is one.
func (d *Dataset) parse(kind int, fn func(c *cursor) error) error {
	m := d.h.find(kind)
	if m == nil {
		return nil
	}
	c, _, err := d.object.f.resolve(m)
	if err != nil {
		return err
	}
	return fn(c)
}

// verify checks that the messages agree with each other.
func (d *Dataset) verify() error {
	l, at := d.layout, d.object.f.super.offset+int64(d.h.addr)
	if len(d.fill) > 0 && len(d.fill) != d.typ.Size {
		return formatErr(at, "fill value of %d bytes for elements of %d", len(d.fill), d.typ.Size)
	}
	if l.class == Chunked {
		if len(l.dims) != len(d.space.Dims) && !d.space.Null {
			return formatErr(at, "chunks %v for a dataset %v", l.dims, d.space.Dims)
		}
		if l.elem != uint64(d.typ.Size) {
			return formatErr(at, "chunks of %d-byte elements, the type has %d", l.elem, d.typ.Size)
		}
	}
	return nil
}

// MaxDims returns the dimensions to which the dataset may grow; Unlimited marks
// those without bound.
func (d *Dataset) MaxDims() []uint64 { return d.space.MaxDims }

// Layout returns the storage layout.
func (d *Dataset) Layout() Layout { return d.layout.class }

// Chunks returns the chunk shape, or nil if the layout is not chunked.
func (d *Dataset) Chunks() []uint64 { return slices.Clone(d.layout.dims) }

// Filters returns the pipeline that chunks went through when written, in that
// order.
func (d *Dataset) Filters() []Filter { return d.filters }

// FillValue returns the element that unwritten parts hold, as stored; nil
// means zeros.
func (d *Dataset) FillValue() []byte { return d.fill }

// Raw returns the dataset's bytes without copying them. ok is false unless the
// file was opened with OpenBytes and the dataset is contiguous (or compact),
// fully stored, and of integers, floats or enums in little-endian order.
func (d *Dataset) Raw() (b []byte, ok bool) {
	f, t := d.object.f, d.typ
	if f.data == nil || d.external || !t.IsNumeric() || t.Order != LittleEndian && t.Size > 1 {
		return nil, false
	}
	n, err := d.storedBytes()
	if err != nil {
		return nil, false
	}
	switch d.layout.class {
	case Compact:
		return d.layout.data, uint64(len(d.layout.data)) == n
	case Contiguous:
		at, err := d.contiguous(n)
		if err != nil {
			return nil, false
		}
		return f.data[at : at+int64(n) : at+int64(n)], true
	}
	return nil, false
}

// ReadRawInto fills dst with the elements as ReadRaw returns them. dst must
// have exactly their size.
func (d *Dataset) ReadRawInto(dst []byte) error {
	n, err := d.storedBytes()
	if err == nil && n != uint64(len(dst)) {
		err = errs.Errorf("hdf5: %s: %d bytes to read into %d", d.Path(), n, len(dst))
	}
	if err == nil && n > 0 {
		_, err = d.read(n, dst)
	}
	return inObject(err, d.Path())
}

// check refuses what cannot be read, before anything is allocated for it.
func (d *Dataset) check(n uint64) error {
	switch {
	case d.external:
		return unsupported("values in external files")
	case d.layout.class == Virtual:
		return unsupported("virtual dataset")
	}
	if n > uint64(d.object.f.opts.MaxValueBytes) {
		return &LimitError{What: "dataset bytes (MaxValueBytes)", Got: clampInt64(n), Limit: d.object.f.opts.MaxValueBytes}
	}
	return nil
}

// checkStored refuses datasets that declare far more than they store.
func (d *Dataset) checkStored(declared, stored uint64) error {
	o := &d.object.f.opts
	if declared > uint64(o.ExpandFloor) && declared/uint64(o.MaxExpand) > stored {
		return &LimitError{What: fmt.Sprintf("bytes declared for %d stored (ExpandFloor, MaxExpand)", stored),
			Got: clampInt64(declared), Limit: max(o.ExpandFloor, clampInt64(stored)*o.MaxExpand)}
	}
	return nil
}

func (d *Dataset) loadAll() ([]byte, error) {
	n, err := d.storedBytes()
	if err != nil {
		return nil, err
	}
	if b, ok := d.Raw(); ok {
		return b, nil
	}
	return d.read(n, nil)
}

// alloc returns dst, or n fresh bytes where it is nil. It is called once
// everything about the dataset has been checked.
func (d *Dataset) alloc(n uint64, dst []byte) ([]byte, error) {
	if err := d.object.f.charge(n, "dataset"); err != nil {
		return nil, err
	}
	if dst == nil {
		dst = make([]byte, n)
	}
	return dst, nil
}

// read fills dst, or fresh memory where it is nil, with the dataset's n bytes.
func (d *Dataset) read(n uint64, dst []byte) ([]byte, error) {
	if err := d.check(n); err != nil {
		return nil, err
	}
	l := d.layout
	switch {
	case n == 0:
		return dst, nil
	case l.class == Chunked:
		return d.readChunks(n, dst)
	case l.class == Compact:
		if uint64(len(l.data)) < n {
			return nil, formatErr(-1, "compact dataset of %d bytes, %d stored", n, len(l.data))
		}
		dst, err := d.alloc(n, dst)
		copy(dst, l.data)
		return dst, err
	case l.addr == undef:
		if err := d.checkStored(n, 0); err != nil {
			return nil, err
		}
		dst, err := d.alloc(n, dst)
		d.fillIn(dst)
		return dst, err
	}
	at, err := d.contiguous(n)
	if err != nil {
		return nil, err
	}
	if dst, err = d.alloc(n, dst); err != nil {
		return nil, err
	}
	return dst, d.object.f.readAt(dst, at)
}

// contiguous returns the file offset of n bytes of contiguous data.
func (d *Dataset) contiguous(n uint64) (int64, error) {
	if s := d.layout.size; s != undef && s < n {
		return 0, formatErr(-1, "contiguous dataset of %d bytes, %d stored", n, s)
	}
	return d.object.f.check(d.layout.addr, n, "dataset")
}

// blockBytes is how much of a contiguous dataset is converted at a time: small
// enough to stay in a core's cache.
const blockBytes = 256 << 10

// stream calls fn with consecutive blocks of whole elements, the first of
// which has the index first.
func (d *Dataset) stream(fn func(first int, b []byte) error) error {
	n, err := d.storedBytes()
	if err != nil {
		return err
	}
	if d.object.f.data != nil || d.layout.class != Contiguous || d.layout.addr == undef || d.external || n <= blockBytes {
		b, err := d.loadAll()
		if err != nil {
			return err
		}
		return fn(0, b)
	}
	if err := d.check(n); err != nil {
		return err
	}
	at, err := d.contiguous(n)
	if err != nil {
		return err
	}
	if err := d.object.f.charge(n, "dataset"); err != nil {
		return err
	}
	per := max(blockBytes/d.typ.Size, 1)
	buf := make([]byte, per*d.typ.Size)
	for first, left := 0, int(n); left > 0; first += per {
		b := buf[:min(left, len(buf))]
		if err := d.object.f.readAt(b, at); err != nil {
			return err
		}
		if err := fn(first, b); err != nil {
			return err
		}
		at += int64(len(b))
		left -= len(b)
	}
	return nil
}

// fillIn sets every element of b, which may hold anything, to the fill value.
func (d *Dataset) fillIn(b []byte) {
	if len(d.fill) == 0 || isZero(d.fill) {
		clear(b)
		return
	}
	n := copy(b, d.fill)
	for n < len(b) {
		n += copy(b[n:], b[:n])
	}
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
