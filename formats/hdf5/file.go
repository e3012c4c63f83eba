package hdf5

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/nnrt/nnrt/internal/errs"
)

// A File is an open HDF5 file. It is safe for concurrent use.
type File struct {
	r      io.ReaderAt
	data   []byte // the whole file, when it was opened from memory
	closer io.Closer
	size   int64
	opts   Options
	super  superblock
	root   *header

	total atomic.Int64 // value bytes handed out so far

	mu     sync.Mutex
	groups map[uint64]*linkTable
	links  int // entries in groups
	heaps  map[uint64]*heapCollection
	heapSz int64 // bytes of file covered by heaps
	shared *sohmTable
}

// Open reads the superblock and the root group of an HDF5 file of the given
// size. Everything else is read when it is asked for.
func Open(r io.ReaderAt, size int64, opts Options) (*File, error) {
	f := &File{r: r, size: size, opts: opts.withDefaults(size)}
	return f.open()
}

// OpenBytes opens a file that is in memory, for example memory-mapped. Values
// may alias b (see Dataset.Raw), which must not change while they are in use.
func OpenBytes(b []byte, opts Options) (*File, error) {
	f := &File{data: b, size: int64(len(b)), opts: opts.withDefaults(int64(len(b)))}
	return f.open()
}

// OpenFile opens the named file. The caller must Close it.
func OpenFile(path string, opts Options) (*File, error) {
	fd, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := fd.Stat()
	if err != nil {
		fd.Close()
		return nil, err
	}
	f, err := Open(fd, st.Size(), opts)
	if err != nil {
		fd.Close()
		return nil, errs.Errorf("%s: %w", path, err)
	}
	f.closer = fd
	return f, nil
}

// Close closes the underlying file if OpenFile opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

func (f *File) open() (*File, error) {
	f.groups = make(map[uint64]*linkTable)
	f.heaps = make(map[uint64]*heapCollection)
	if err := f.readSuperblock(); err != nil {
		return nil, err
	}
	if err := f.readExtension(); err != nil {
		return nil, err
	}
	o, err := f.object(f.super.root, "/")
	if err != nil {
		return nil, err
	}
	g, ok := o.(*Group)
	if !ok {
		return nil, &FormatError{Object: "/", Offset: f.super.offset + int64(f.super.root), Msg: "the root object is " + kindName(o)}
	}
	f.root = g.h
	return f, nil
}

// A meter bounds the metadata that one traversal may read. In a valid file
// blocks never overlap, so a traversal never needs more than the file's size;
// cycles and self-referencing structures run out of it.
type meter struct{ left int64 }

func (f *File) meter() *meter { return &meter{left: f.size + 4096} }

func (m *meter) take(n int64, at int64, what string) error {
	if n < 0 || n > m.left {
		return formatErr(at, "%s: blocks overlap or form a cycle: they add up to more than the file", what)
	}
	m.left -= n
	return nil
}

// check turns an address relative to the superblock into a file offset at
// which n bytes exist.
func (f *File) check(addr uint64, n uint64, what string) (int64, error) {
	if addr == undef {
		return 0, formatErr(-1, "%s: undefined address", what)
	}
	room := uint64(f.size - f.super.offset)
	if addr > room || n > room-addr {
		return 0, formatErr(f.super.offset, "%s: address %d and size %d reach beyond the file's end at %d", what, addr, n, room)
	}
	return f.super.offset + int64(addr), nil
}

// block reads n bytes of metadata.
func (f *File) block(addr, n uint64, m *meter, what string) (*cursor, error) {
	at, err := f.check(addr, n, what)
	if err != nil {
		return nil, err
	}
	if err := m.take(int64(n), at, what); err != nil {
		return nil, err
	}
	b, err := f.view(at, int64(n))
	if err != nil {
		return nil, err
	}
	return f.cursor(b, at, what), nil
}

//go:noinline
func (f *File) cursor(b []byte, at int64, what string) *cursor {
	return &cursor{b: b, at: at, what: what, offs: f.super.offs, lens: f.super.lens, lax: f.opts.noChecksums}
}

// view returns n bytes at a file offset that check has approved: an alias of
// the file in memory, or a fresh copy.
func (f *File) view(at, n int64) ([]byte, error) {
	if f.data != nil {
		return f.data[at : at+n : at+n], nil
	}
	b := make([]byte, n)
	return b, f.readAt(b, at)
}

// readAt fills b from a file offset that check has approved.
func (f *File) readAt(b []byte, at int64) error {
	if f.data != nil {
		copy(b, f.data[at:])
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	n, err := f.r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &FormatError{Offset: at, Msg: fmt.Sprintf("reading %d bytes: %v", len(b), err), Err: err}
}

// charge accounts for n bytes of values about to be allocated.
func (f *File) charge(n uint64, what string) error {
	if n > uint64(f.opts.MaxValueBytes) {
		return &LimitError{What: what + " bytes (MaxValueBytes)", Got: clampInt64(n), Limit: f.opts.MaxValueBytes}
	}
	if t := f.total.Add(int64(n)); f.opts.MaxTotalBytes > 0 && t > f.opts.MaxTotalBytes {
		return &LimitError{What: "bytes read from this file (MaxTotalBytes)", Got: t, Limit: f.opts.MaxTotalBytes}
	}
	return nil
}

func clampInt64(n uint64) int64 {
	return int64(min(n, 1<<63-1))
}
