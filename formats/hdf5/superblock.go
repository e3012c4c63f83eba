package hdf5

import "fmt"

const signature = "\x89HDF\r\n\x1a\n"

// superblock holds what the file header says. Addresses in the file count from
// offset.
type superblock struct {
	version    int
	offset     int64 // of the signature in the file
	offs, lens int   // sizes of addresses and lengths in bytes
	root       uint64
	ext        uint64
	chunkK     int // half rank of chunk B-tree nodes
	leafK      int
	groupK     int
	eof        uint64
}

// SuperblockVersion returns the version of the file's superblock, 0 to 3.
func (f *File) SuperblockVersion() int { return f.super.version }

// SuperblockOffset returns the size in bytes of the user block before the
// HDF5 data; 0 in most files.
func (f *File) SuperblockOffset() int64 { return f.super.offset }

// readSuperblock looks for the signature at 0, 512, 1024, 2048 and so on.
func (f *File) readSuperblock() error {
	at := int64(0)
	var sig [8]byte
	for {
		if at+8 > f.size {
			return &FormatError{Offset: 0, Msg: "no HDF5 signature", Err: ErrNotHDF5}
		}
		if err := f.readAt(sig[:], at); err != nil {
			return err
		}
		if string(sig[:]) == signature {
			break
		}
		at = max(512, 2*at)
	}
	b, err := f.view(at, min(f.size-at, 160))
	if err != nil {
		return err
	}
	c := f.cursor(b, at, "superblock")
	c.skip(8)
	s := &f.super
	s.offset = at
	s.version = c.u8()
	s.ext = undef
	s.chunkK = 32
	var base uint64
	switch s.version {
	case 0, 1:
		base = s.parseOld(c)
	case 2, 3:
		base = s.parseNew(c)
	default:
		return unsupported("superblock version %d", s.version)
	}
	if c.err != nil {
		return c.err
	}
	return f.checkEOF(base)
}

func sizes(c *cursor, s *superblock) {
	s.offs, s.lens = c.u8(), c.u8()
	for _, n := range []int{s.offs, s.lens} {
		if c.err == nil && n != 2 && n != 4 && n != 8 {
			c.err = unsupported("superblock: addresses of %d and lengths of %d bytes", s.offs, s.lens)
		}
	}
	c.offs, c.lens = s.offs, s.lens
}

func (s *superblock) parseOld(c *cursor) (base uint64) {
	c.version(0) // free-space storage
	c.version(0) // root symbol table
	c.skip(1)
	c.version(0) // shared header messages
	sizes(c, s)
	c.skip(1)
	s.leafK, s.groupK = c.u16(), c.u16()
	c.skip(4) // consistency flags
	if s.version == 1 {
		s.chunkK = c.u16()
		c.skip(2)
	}
	base = c.offset()
	c.offset() // free space
	s.eof = c.offset()
	if driver := c.offset(); c.err == nil && driver != undef {
		c.err = unsupported("file driver block (family or multi files)")
	}
	c.offset() // link name offset of the root entry
	s.root = c.offset()
	return base
}

func (s *superblock) parseNew(c *cursor) (base uint64) {
	sizes(c, s)
	c.skip(1) // consistency flags
	base = c.offset()
	s.ext = c.offset()
	s.eof = c.offset()
	s.root = c.offset()
	c.checksum()
	return base
}

// checkEOF refuses truncated files. A user block that was added or removed
// after writing shifts everything by the same amount.
func (f *File) checkEOF(base uint64) error {
	s := &f.super
	if base == undef || s.eof == undef || base > s.eof {
		return formatErr(s.offset, "superblock: base address %d and end of file %d", base, s.eof)
	}
	if room := uint64(f.size - s.offset); s.eof-base > room {
		return formatErr(s.offset, "truncated: the superblock says %d bytes, the file has %d", s.eof-base, room)
	}
	return nil
}

// readExtension reads the superblock extension: an object header that can
// hold B-tree ranks and the table of shared messages.
func (f *File) readExtension() error {
	if f.super.ext == undef {
		return nil
	}
	h, err := f.header(f.super.ext)
	if err != nil {
		return inObject(err, "superblock extension")
	}
	for _, m := range h.messages {
		c := f.cursor(m.data, m.at, "superblock extension")
		switch m.kind {
		case msgBTreeK:
			c.version(0)
			f.super.chunkK, f.super.groupK, f.super.leafK = c.u16(), c.u16(), c.u16()
		case msgSharedTable:
			err = f.readSharedTable(c)
		case msgDriverInfo:
			err = unsupported("file driver block (family or multi files)")
		}
		if err == nil {
			err = c.err
		}
		if err != nil {
			return inObject(err, "superblock extension")
		}
	}
	return nil
}

// String names the file for messages.
func (f *File) String() string {
	return fmt.Sprintf("HDF5 file, superblock %d, %d bytes", f.super.version, f.size)
}
