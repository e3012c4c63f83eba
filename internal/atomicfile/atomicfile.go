// Package atomicfile writes files so that a name shows either what it showed
// before or the whole of the new content, never a part.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/nnrt/nnrt/internal/errs"
)

// A File is a file under construction beside the one it will replace.
type File struct {
	f    *os.File
	name string
	done bool
}

// Create starts to write what will be the file of that name, in its folder,
// which must exist. The permissions will be those of the file that is
// replaced, or what the umask leaves of 0666.
func Create(name string) (*File, error) {
	perm := fs.FileMode(0o666)
	if st, err := os.Stat(name); err == nil {
		if !st.Mode().IsRegular() {
			return nil, errs.Errorf("%s is not a regular file", name)
		}
		perm = st.Mode().Perm()
	}
	for range 100 {
		temp := fmt.Sprintf("%s.%08x.tmp", name, rand.Uint32())
		f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if at := (*fs.PathError)(nil); errors.As(err, &at) {
			at.Path = name // the temporary file's says nothing to anybody
		}
		if err != nil {
			return nil, err
		}
		return &File{f: f, name: name}, nil
	}
	return nil, errs.Errorf("%s: no free name for a temporary file", name)
}

// Write appends to the file.
func (f *File) Write(b []byte) (int, error) { return f.f.Write(b) }

// WriteAt writes at an offset.
func (f *File) WriteAt(b []byte, off int64) (int, error) { return f.f.WriteAt(b, off) }

// Commit makes the file durable and gives it its name. After a failure the old
// file is still there.
func (f *File) Commit() error {
	if f.done {
		return os.ErrClosed
	}
	f.done = true
	err := f.f.Sync()
	if e := f.f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.f.Name(), f.name)
	}
	if err != nil {
		os.Remove(f.f.Name())
		return err
	}
	if d, err := os.Open(filepath.Dir(f.name)); err == nil { // where the system can, make the name durable too
		_ = d.Sync()
		d.Close()
	}
	return nil
}

// Close drops the file unless it was committed: defer it.
func (f *File) Close() error {
	if f.done {
		return nil
	}
	f.done = true
	f.f.Close()
	return os.Remove(f.f.Name())
}

// Write replaces the file of that name by what write writes, which is buffered.
func Write(name string, write func(w io.Writer) error) error {
	f, err := Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Commit()
}
