// Package mt19937 draws the numbers that numpy's legacy RandomState draws: the Mersenne Twister MT19937
// (Matsumoto and Nishimura 1998) and the distributions that ONNX's reference evaluator takes from it.
package mt19937

import "math"

const (
	size  = 624
	shift = 397
)

// State is a generator. It is not safe for concurrent use.
type State struct {
	key   [size]uint32
	pos   int
	gauss float64
	saved bool // gauss is the second number of a pair
}

// New seeds a generator as RandomState(seed) does with an integer.
func New(seed uint32) *State {
	s := &State{pos: size}
	for i := range s.key {
		s.key[i] = seed
		seed = 1812433253*(seed^seed>>30) + uint32(i) + 1
	}
	return s
}

// Uint32 is the next word.
func (s *State) Uint32() uint32 {
	if s.pos == size {
		s.refill()
	}
	y := s.key[s.pos]
	s.pos++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (s *State) refill() {
	for i := range s.key {
		y := s.key[i]&0x80000000 | s.key[(i+1)%size]&0x7fffffff
		v := s.key[(i+shift)%size] ^ y>>1
		if y&1 != 0 {
			v ^= 0x9908b0df
		}
		s.key[i] = v
	}
	s.pos = 0
}

// Float64 is uniform in [0, 1), of 53 bits.
func (s *State) Float64() float64 {
	a, b := s.Uint32()>>5, s.Uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

// Norm is from the standard normal distribution, by the polar method, two at a time.
func (s *State) Norm() float64 {
	if s.saved {
		s.saved = false
		return s.gauss
	}
	for {
		x, y := 2*s.Float64()-1, 2*s.Float64()-1
		r := x*x + y*y
		if r < 1 && r != 0 {
			f := math.Sqrt(-2 * math.Log(r) / r)
			s.gauss, s.saved = f*x, true
			return f * y
		}
	}
}

// Bernoulli is binomial(1, p): true with probability p, which must be in [0, 1]; NaN is false.
func (s *State) Bernoulli(p float64) bool {
	switch {
	case p == 0 || math.IsNaN(p):
		return false
	case p <= 0.5:
		return s.Float64() > math.Exp(math.Log(1-p))
	}
	return s.Float64() <= math.Exp(math.Log(1-(1-p)))
}
