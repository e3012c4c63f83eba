package mt19937

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The values are numpy's: RandomState(5489).tomaxint's words are those of the authors' mt19937ar.c, whose
// 10000th is in the C++ standard; the others are numpy.random.RandomState(0).rand(3) and .randn(3).
func TestKnownAnswers(t *testing.T) {
	s := New(5489)
	var w uint32
	for range 10000 {
		w = s.Uint32()
	}
	require.EqualValues(t, 4123659995, w)
	s = New(0)
	for _, want := range []float64{0.5488135039273248, 0.7151893663724195, 0.6027633760716439} {
		require.Equal(t, want, s.Float64())
	}
	s = New(0)
	for _, want := range []float64{1.764052345967664, 0.4001572083672233, 0.9787379841057392} {
		require.InDelta(t, want, s.Norm(), 1e-15)
	}
}

func TestBernoulliEnds(t *testing.T) {
	s := New(1)
	n := 0
	for range 1000 {
		require.False(t, s.Bernoulli(0))
		require.True(t, s.Bernoulli(1))
		if s.Bernoulli(0.3) {
			n++
		}
	}
	require.InDelta(t, 300, n, 60)
}
