// Package philox is the counter-based random generator Philox4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). A number depends on key and counter alone, so every device and
// any number of threads draw the same ones, and a checkpoint needs to keep nothing but a counter.
package philox

import (
	"math"
	"math/bits"
)

const (
	mul0, mul1   = 0xD2511F53, 0xCD9E8D57
	weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
)

// Block is the 128 random bits of a counter under a key.
func Block(key [2]uint32, ctr [4]uint32) [4]uint32 {
	for round := range 10 {
		if round > 0 {
			key[0] += weyl0
			key[1] += weyl1
		}
		hi0, lo0 := bits.Mul32(mul0, ctr[0])
		hi1, lo1 := bits.Mul32(mul1, ctr[2])
		ctr = [4]uint32{hi1 ^ ctr[1] ^ key[0], lo1, hi0 ^ ctr[3] ^ key[1], lo0}
	}
	return ctr
}

// At is random word i of the sequence that key and hi (the upper half of the counter) name: the form that
// kernels use, where element i of a tensor takes word i.
func At(key, hi, i uint64) uint32 {
	return BlockAt(key, hi, i)[i&3]
}

// BlockAt is the four words of a sequence, as At gives them, that word i is one of.
func BlockAt(key, hi, i uint64) [4]uint32 {
	return Block(split(key), [4]uint32{uint32(i >> 2), uint32(i >> 34), uint32(hi), uint32(hi >> 32)})
}

// Words is At for i = 0, 1, 2, ... in turn: four words cost one block.
func Words(key, hi uint64) func() uint32 {
	var b [4]uint32
	i := uint64(0)
	return func() uint32 {
		if i&3 == 0 {
			b = BlockAt(key, hi, i)
		}
		w := b[i&3]
		i++
		return w
	}
}

// Unit maps a word to [0, 1), exactly in float32 (24 bits).
func Unit(w uint32) float32 { return float32(w>>8) * (1.0 / (1 << 24)) }

func split(k uint64) [2]uint32 { return [2]uint32{uint32(k), uint32(k >> 32)} }

// Stream reads the words of one key in order. It is not safe for concurrent use. Its state is Key and Pos.
type Stream struct {
	Key uint64
	Pos uint64 // words read so far
	buf [4]uint32
	at  uint64 // 1 + the number of the block in buf; 0: none
}

// New starts the stream of a seed.
//
//go:noinline
func New(seed uint64) *Stream { return &Stream{Key: seed} }

// Fork is an independent stream, the same for the same key and id however much of s has been read.
func (s *Stream) Fork(id uint64) *Stream {
	b := Block(split(s.Key), [4]uint32{uint32(id), uint32(id >> 32), 0x666f726b, 0xffffffff})
	return New(uint64(b[0]) | uint64(b[1])<<32)
}

// Uint32 is the next word.
func (s *Stream) Uint32() uint32 {
	if n := s.Pos>>2 + 1; n != s.at {
		s.buf, s.at = Block(split(s.Key), [4]uint32{uint32(s.Pos >> 2), uint32(s.Pos >> 34), 0, 0}), n
	}
	w := s.buf[s.Pos&3]
	s.Pos++
	return w
}

// Uint64 is the next two words: with it a Stream is a math/rand/v2 Source.
func (s *Stream) Uint64() uint64 {
	lo := s.Uint32()
	return uint64(lo) | uint64(s.Uint32())<<32
}

// Float64 is uniform in [0, 1).
func (s *Stream) Float64() float64 { return float64(s.Uint64()>>11) * 0x1p-53 }

// Norm is from the standard normal distribution (Box-Muller; both uniforms are fresh each time, so that
// the position alone is the state).
func (s *Stream) Norm() float64 {
	u, v := 1-s.Float64(), s.Float64()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// IntN is uniform in [0, n); n must be positive. The bias is below 2^-32 for any n under 2^32.
func (s *Stream) IntN(n int) int {
	hi, _ := bits.Mul64(s.Uint64(), uint64(n))
	return int(hi)
}

// Perm is a permutation of [0, n).
func (s *Stream) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := s.IntN(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}
