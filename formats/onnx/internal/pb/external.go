package pb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/mmap"
	"github.com/nnrt/nnrt/internal/sha1"
)

// External reads the files beside a model that hold tensors' bytes. Paths are
// relative and stay below one folder whatever links say; a file must be a
// regular one, reached without a link at its end and with no other hard link:
// a model must not be able to show what lies elsewhere. It is not safe for
// concurrent use.
type External struct {
	// AllowHardLinks accepts files with several names, as package stores make them.
	AllowHardLinks bool

	root  *os.Root
	fsys  fs.FS
	files map[string]extFile
}

type extFile struct {
	data []byte
	keep any
}

// NewExternal reads below root, mapping files. Mappings outlive root's Close.
func NewExternal(root *os.Root) *External {
	return &External{root: root, files: map[string]extFile{}}
}

// NewExternalFS reads below a file system, into memory.
func NewExternalFS(fsys fs.FS) *External { return &External{fsys: fsys, files: map[string]extFile{}} }

// place is the parsed external_data of a tensor.
type place struct {
	location, checksum string
	offset             int64
	length             int64 // -1: not given
}

func parsePlace(entries []*StringStringEntryProto) (place, error) {
	p := place{length: -1}
	seen := map[string]bool{}
	number := func(e *StringStringEntryProto) (int64, error) {
		v, err := strconv.ParseInt(e.Value, 10, 64)
		if err != nil || v < 0 {
			return 0, errs.Errorf("external data: %s %q is no number of bytes", e.Key, e.Value)
		}
		return v, nil
	}
	for _, e := range entries {
		if seen[e.Key] {
			return p, errs.Errorf("external data: key %q twice", e.Key)
		}
		seen[e.Key] = true
		var err error
		switch e.Key {
		case "location":
			p.location = e.Value
		case "offset":
			p.offset, err = number(e)
		case "length":
			p.length, err = number(e)
		case "checksum":
			p.checksum = e.Value
		}
		if err != nil {
			return p, err
		}
	}
	if p.location == "" {
		return p, errors.New("external data: no location")
	}
	return p, nil
}

// bytes is the want bytes of p in its file, and the owner of their memory.
func (x *External) bytes(p *TensorProto, want int64) ([]byte, any, error) {
	if x == nil {
		return nil, nil, errors.New("external data, and no folder to look for it in")
	}
	at, err := parsePlace(p.ExternalData)
	if err != nil {
		return nil, nil, err
	}
	if at.length >= 0 && at.length != want {
		return nil, nil, errs.Errorf("external data %q: length %d, but %v%v takes %d", at.location, at.length, p.DataType, p.Dims, want)
	}
	f, err := x.open(at)
	if err != nil {
		return nil, nil, errs.Errorf("external data %q: %w", at.location, err)
	}
	size := int64(len(f.data))
	if at.offset > size || want > size-at.offset {
		return nil, nil, errs.Errorf("external data %q: %d bytes at offset %d, but the file has %d", at.location, want, at.offset, size)
	}
	return f.data[at.offset : at.offset+want : at.offset+want], f.keep, nil
}

func (x *External) open(at place) (extFile, error) {
	if f, ok := x.files[at.location]; ok {
		return f, nil
	}
	// Backslashes are refused on every system: a model is to mean the same on all.
	if !filepath.IsLocal(at.location) || strings.ContainsAny(at.location, "\\\x00") {
		return extFile{}, errors.New("the location must be a relative path without ..")
	}
	var f extFile
	var err error
	if x.root != nil {
		f, err = x.mapBelowRoot(filepath.FromSlash(at.location))
	} else {
		f, err = x.readFS(at.location)
	}
	if err != nil {
		return f, err
	}
	if at.checksum != "" {
		sum := sha1.Sum(f.data)
		if want, err := hex.DecodeString(at.checksum); err != nil || !bytes.Equal(want, sum[:]) {
			return f, errs.Errorf("checksum %q, but the file's is %x", at.checksum, sum)
		}
	}
	x.files[at.location] = f
	return f, nil
}

func (x *External) mapBelowRoot(name string) (extFile, error) {
	named, err := x.root.Lstat(name)
	if err != nil {
		return extFile{}, err
	}
	if err := regular(named); err != nil {
		return extFile{}, err
	}
	f, err := x.root.Open(name)
	if err != nil {
		return extFile{}, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return extFile{}, err
	}
	if !os.SameFile(named, opened) {
		return extFile{}, errors.New("the file changed while it was opened")
	}
	if n := hardLinks(opened); n > 1 && !x.AllowHardLinks {
		return extFile{}, errs.Errorf("the file has %d hard links", n)
	}
	m, err := mmap.Map(f)
	if err != nil {
		return extFile{}, err
	}
	return extFile{data: m.Bytes(), keep: m}, nil
}

// regular refuses everything but regular files.
func regular(st fs.FileInfo) error {
	switch m := st.Mode().Type(); m {
	case 0:
		return nil
	case fs.ModeDir:
		return errors.New("it is a folder")
	case fs.ModeSymlink:
		return errors.New("it is a symbolic link, which is not followed")
	default:
		return errs.Errorf("not a regular file but %v", m)
	}
}

func (x *External) readFS(name string) (extFile, error) {
	st, err := fs.Stat(x.fsys, name)
	if err != nil {
		return extFile{}, err
	}
	if err := regular(st); err != nil {
		return extFile{}, err
	}
	data, err := fs.ReadFile(x.fsys, name)
	return extFile{data: data}, err
}
