// Package sha1 computes the SHA-1 of FIPS 180-4, with which ONNX files say what their external data is. The
// standard library's crypto/sha1 does the same and brings crypto's FIPS module along, random generators and
// all: a quarter of a megabyte of every program that links nnrt, for a checksum that protects nobody.
package sha1

import (
	"encoding/binary"
	"math/bits"
)

// Size is the length of a sum in bytes.
const Size = 20

const block = 64

// Sum is the SHA-1 of data.
func Sum(data []byte) [Size]byte {
	h := [5]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
	whole := len(data) / block * block
	for at := 0; at < whole; at += block {
		mix(&h, (*[block]byte)(data[at:]))
	}
	// The end: a one bit, zeros, and the length in bits in the last eight bytes of a block.
	var tail [2 * block]byte
	n := copy(tail[:], data[whole:])
	tail[n] = 0x80
	end := block
	if n >= block-8 {
		end = 2 * block
	}
	binary.BigEndian.PutUint64(tail[end-8:], uint64(len(data))*8)
	for at := 0; at < end; at += block {
		mix(&h, (*[block]byte)(tail[at:]))
	}
	var sum [Size]byte
	for i, v := range h {
		binary.BigEndian.PutUint32(sum[4*i:], v)
	}
	return sum
}

// mix takes one block into h (FIPS 180-4, 6.1.2).
func mix(h *[5]uint32, p *[block]byte) {
	var w [80]uint32
	for i := range 16 {
		w[i] = binary.BigEndian.Uint32(p[4*i:])
	}
	for i := 16; i < 80; i++ {
		w[i] = bits.RotateLeft32(w[i-3]^w[i-8]^w[i-14]^w[i-16], 1)
	}
	a, b, c, d, e := h[0], h[1], h[2], h[3], h[4]
	for i, x := range w {
		var f, k uint32
		switch i / 20 {
		case 0:
			f, k = b&c|^b&d, 0x5a827999
		case 1:
			f, k = b^c^d, 0x6ed9eba1
		case 2:
			f, k = b&c|b&d|c&d, 0x8f1bbcdc
		default:
			f, k = b^c^d, 0xca62c1d6
		}
		a, b, c, d, e = bits.RotateLeft32(a, 5)+f+e+k+x, a, bits.RotateLeft32(b, 30), c, d
	}
	h[0], h[1], h[2], h[3], h[4] = h[0]+a, h[1]+b, h[2]+c, h[3]+d, h[4]+e
}
