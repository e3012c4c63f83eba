// Package mmap maps files into memory for reading. Where the system has no
// mappings, the file is read instead.
package mmap

import (
	"os"
	"runtime"

	"github.com/nnrt/nnrt/internal/errs"
)

// A File is a file's content in memory. Its memory must not be written to.
// Shrinking the file while it is mapped makes reading the lost part a fault
// that Go can not recover from.
type File struct {
	data    []byte
	mapped  bool
	cleanup runtime.Cleanup
}

// Open maps the regular file of that name.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Map(f)
}

// Map maps all of f, which must be a regular file and may be closed
// afterwards. The memory lives until Close, or until the File is unreachable:
// whoever keeps a slice of it keeps the File too.
func Map(f *os.File) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errs.Errorf("%s is not a regular file", f.Name())
	}
	size := st.Size()
	if size < 0 || size != int64(int(size)) {
		return nil, errs.Errorf("%s: %d bytes are more than this machine can address", f.Name(), size)
	}
	if size == 0 {
		return &File{data: []byte{}}, nil
	}
	data, err := mapFile(f, int(size))
	if err == nil {
		m := &File{data: data, mapped: true}
		m.cleanup = runtime.AddCleanup(m, func(b []byte) { _ = unmap(b) }, data)
		return m, nil
	}
	data = make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, err
	}
	return &File{data: data}, nil
}

// Bytes is the content; nil after Close.
func (m *File) Bytes() []byte { return m.data }

// Mapped reports whether Bytes is a mapping rather than a copy.
func (m *File) Mapped() bool { return m.mapped }

// Close releases the memory, which nobody may use any more. A second Close
// does nothing.
func (m *File) Close() error {
	data := m.data
	m.data = nil
	if !m.mapped {
		return nil
	}
	m.mapped = false
	m.cleanup.Stop()
	return unmap(data)
}
