package layers

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForeignFields checks that a field of a shared config is in the configs of its own classes alone, and
// refused where another class sets it.
func TestForeignFields(t *testing.T) {
	keys := func(l Layer) []string {
		cfg, err := Encode(l, nil)
		require.NoError(t, err)
		var out []string
		for _, e := range cfg {
			out = append(out, e.Key)
		}
		return out
	}
	require.Contains(t, keys(&GRU{}), "reset_after")
	require.NotContains(t, keys(&LSTM{}), "reset_after")
	require.NotContains(t, keys(&LSTMCell{}), "return_sequences")
	require.Contains(t, keys(&SeparableConv1D{}), "pointwise_initializer")
	require.NotContains(t, keys(&DepthwiseConv1D{}), "filters")

	for _, l := range []Layer{
		&LSTM{Units: 2, ResetBefore: true},
		&SimpleRNN{Units: 2, RecurrentActivation: "relu"},
		&RNN{Cell: &GRUCell{Units: 2}, ReturnState: true},
	} {
		m := NewSequential("m", &InputLayer{BatchShape: []int{-1, 3, 2}}, l)
		_, err := m.Graph(Options{})
		if _, ok := l.(*RNN); ok {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "has no Re")
	}
}
