package hdf5

import (
	"bytes"
	"encoding/binary"
)

// undef is the address that the format calls undefined: all bits set.
const undef = ^uint64(0)

// A cursor decodes little-endian fields from a block of metadata. The first
// failure sticks; every later read returns zero.
type cursor struct {
	b    []byte
	pos  int
	at   int64 // file offset of b[0], for errors
	what string
	offs int  // size of addresses in bytes
	lens int  // size of lengths in bytes
	lax  bool // do not compare checksums
	err  error
}

//go:noinline
func (c *cursor) failf(format string, args ...any) {
	if c.err == nil {
		c.err = formatErr(c.at+int64(c.pos), c.what+": "+format, args...)
	}
}

func (c *cursor) left() int { return len(c.b) - c.pos }

func (c *cursor) bytes(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > c.left() {
		c.failf("needs %d bytes, has %d", n, c.left())
		return nil
	}
	s := c.b[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return s
}

//go:noinline
func (c *cursor) skip(n int) { c.bytes(n) }

// align skips to a multiple of n, counted from the start of the block.
func (c *cursor) align(n int) {
	if r := c.pos % n; r != 0 {
		c.skip(n - r)
	}
}

// uint reads an n-byte unsigned integer, n <= 8.
func (c *cursor) uint(n int) uint64 {
	b := c.bytes(n)
	if b == nil {
		return 0
	}
	return leUint(b)
}

func leUint(b []byte) uint64 {
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

//go:noinline
func (c *cursor) u8() int { return int(c.uint(1)) }

//go:noinline
func (c *cursor) u16() int {
	if b := c.bytes(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

//go:noinline
func (c *cursor) u32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// offset reads an address; the undefined address of any size becomes undef.
func (c *cursor) offset() uint64 {
	v := c.uint(c.offs)
	if c.err == nil && c.offs < 8 && v == 1<<(8*c.offs)-1 {
		return undef
	}
	return v
}

func (c *cursor) length() uint64 {
	v := c.uint(c.lens)
	if c.err == nil && c.lens < 8 && v == 1<<(8*c.lens)-1 {
		return undef
	}
	return v
}

// cstring reads up to and including a NUL.
func (c *cursor) cstring() string {
	if c.err != nil {
		return ""
	}
	i := bytes.IndexByte(c.b[c.pos:], 0)
	if i < 0 {
		c.failf("string without terminator")
		return ""
	}
	s := string(c.b[c.pos : c.pos+i])
	c.pos += i + 1
	return s
}

// sub returns a cursor over the next n bytes.
func (c *cursor) sub(n int, what string) *cursor {
	at := c.at + int64(c.pos)
	return &cursor{b: c.bytes(n), at: at, what: what, offs: c.offs, lens: c.lens, lax: c.lax, err: c.err}
}

// signature checks the four bytes that open a block.
func (c *cursor) signature(s string) {
	if got := c.bytes(4); got != nil && string(got) != s {
		c.pos -= 4
		c.failf("signature %q, want %q", got, s)
	}
}

func (c *cursor) version(want int) {
	if v := c.u8(); c.err == nil && v != want {
		c.err = unsupported("%s version %d", c.what, v)
	}
}

// checksum compares the Jenkins hash of everything before pos with the next
// four bytes.
func (c *cursor) checksum() {
	if c.err != nil {
		return
	}
	sum := lookup3(c.b[:c.pos])
	if got := c.u32(); c.err == nil && got != sum && !c.lax {
		c.pos -= 4
		c.failf("checksum %08x, computed %08x", got, sum)
	}
}
