// Package fingerprint hashes strings as TensorFlow does: FarmHash's Fingerprint64, and SipHash-2-4 with a key.
package fingerprint

import (
	"encoding/binary"
	"math/bits"
)

// The multipliers of FarmHash.
const (
	k0 = 0xc3a5c85c97cb3127
	k1 = 0xb492b66fbe98f273
	k2 = 0x9ae16a3b2f90404f
)

func f64(s []byte) uint64 { return binary.LittleEndian.Uint64(s) }

func f32(s []byte) uint64 { return uint64(binary.LittleEndian.Uint32(s)) }

func ror(v uint64, n int) uint64 { return bits.RotateLeft64(v, -n) }

func mix(v uint64) uint64 { return v ^ v>>47 }

func join(u, v, mul uint64) uint64 { return mix((v^mix((u^v)*mul))*mul) * mul }

// Sum64 is FarmHash's Fingerprint64 (farmhashna::Hash64) of s.
func Sum64(text string) uint64 {
	s := []byte(text)
	n := uint64(len(s))
	switch {
	case n <= 16:
		return upTo16(s, n)
	case n <= 32:
		mul := k2 + 2*n
		a, b, c, d := f64(s)*k1, f64(s[8:]), f64(s[n-8:])*mul, f64(s[n-16:])*k2
		return join(ror(a+b, 43)+ror(c, 30)+d, a+ror(b+k2, 18)+c, mul)
	case n <= 64:
		mul := k2 + 2*n
		a, b, c, d := f64(s)*k2, f64(s[8:]), f64(s[n-8:])*mul, f64(s[n-16:])*k2
		y := ror(a+b, 43) + ror(c, 30) + d
		z := join(y, a+ror(b+k2, 18)+c, mul)
		e, f := f64(s[16:])*mul, f64(s[24:])
		g, h := (y+f64(s[n-32:]))*mul, (z+f64(s[n-24:]))*mul
		return join(ror(e+f, 43)+ror(g, 30)+h, e+ror(f+a, 18)+g, mul)
	}
	return long(s)
}

func upTo16(s []byte, n uint64) uint64 {
	switch {
	case n >= 8:
		mul := k2 + 2*n
		a, b := f64(s)+k2, f64(s[n-8:])
		return join(ror(b, 37)*mul+a, (ror(a, 25)+b)*mul, mul)
	case n >= 4:
		return join(n+f32(s)<<3, f32(s[n-4:]), k2+2*n)
	case n > 0:
		y := uint64(s[0]) + uint64(s[n>>1])<<8
		z := n + uint64(s[n-1])<<2
		return mix(y*k2^z*k0) * k2
	}
	return k2
}

// state is what long strings are folded into, 64 bytes at a time.
type state struct{ x, y, z, v0, v1, w0, w1 uint64 }

// weak folds 32 bytes into two numbers.
func weak(s []byte, a, b uint64) (uint64, uint64) {
	w, x, y, z := f64(s), f64(s[8:]), f64(s[16:]), f64(s[24:])
	a += w
	b = ror(b+a+z, 21)
	c := a
	a += x + y
	return a + z, b + ror(a, 44) + c
}

// fold takes in 64 bytes; scale is 9 for the last ones, otherwise 1.
func (t *state) fold(s []byte, mul, scale uint64) {
	t.x = ror(t.x+t.y+t.v0+f64(s[8:]), 37) * mul
	t.y = ror(t.y+t.v1+f64(s[48:]), 42) * mul
	t.x ^= t.w1 * scale
	t.y += t.v0*scale + f64(s[40:])
	t.z = ror(t.z+t.w0, 33) * mul
	t.v0, t.v1 = weak(s, t.v1*mul, t.x+t.w0)
	t.w0, t.w1 = weak(s[32:], t.z+t.w1, t.y+f64(s[16:]))
	t.x, t.z = t.z, t.x
}

func long(s []byte) uint64 {
	const seed = 81
	var y uint64 = seed
	y = y*k1 + 113
	t := state{x: seed, y: y, z: mix(y*k2+113) * k2}
	t.x = t.x*k2 + f64(s)
	last := s[len(s)-64:]
	rest := uint64(len(s)-1) & 63
	for len(s) > 64 {
		t.fold(s, k1, 1)
		s = s[64:]
	}
	mul := k1 + (t.z&0xff)<<1
	t.w0 += rest
	t.v0 += t.w0
	t.w0 += t.v0
	t.fold(last, mul, 9)
	return join(join(t.v0, t.w0, mul)+mix(t.y)*k0+t.z, join(t.v1, t.w1, mul)+t.x, mul)
}

// Cat is a hash of two hashes, as TensorFlow's FingerprintCat64.
func Cat(a, b uint64) uint64 {
	const mul = 0xc6a4a7935bd1e995
	r := a ^ mul
	r = (r ^ mix(b*mul)*mul) * mul
	return mix(mix(r) * mul)
}

// Keyed is SipHash-2-4 of s under a key.
func Keyed(key [2]uint64, s string) uint64 {
	v := [4]uint64{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573}
	rounds := func(n int) {
		for range n {
			v[0] += v[1]
			v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
			v[0] = bits.RotateLeft64(v[0], 32)
			v[2] += v[3]
			v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
			v[0] += v[3]
			v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
			v[2] += v[1]
			v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
			v[2] = bits.RotateLeft64(v[2], 32)
		}
	}
	b := make([]byte, len(s)/8*8+8)
	copy(b, s)
	b[len(b)-1] = byte(len(s))
	for ; len(b) > 0; b = b[8:] {
		m := f64(b)
		v[3] ^= m
		rounds(2)
		v[0] ^= m
	}
	v[2] ^= 0xff
	rounds(4)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}
