package schedule

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/goldentest"
)

func TestKerasGoldens(t *testing.T) {
	goldentest.Each(t, "schedule", func(t *testing.T, c goldentest.Case) {
		var recorded struct{ Values []float64 }
		c.Read(t, &recorded)
		s, err := Decode(c.Config.ClassName, c.Config.Config)
		require.NoError(t, err)
		for i, want := range recorded.Values {
			require.InDelta(t, want, s.At(i), 1e-6*want+1e-7, "step %d", i)
		}
		goldentest.RoundTrip(t, s, Encode, Decode)
	})
}

func TestRefused(t *testing.T) {
	_, err := Decode("CosineDecay", json.RawMessage(`{"initial_learning_rate":1,"decay_steps":0}`))
	require.Error(t, err)
	_, err = Decode("PiecewiseConstantDecay", json.RawMessage(`{"boundaries":[1],"values":[1]}`))
	require.Error(t, err)
	_, err = Decode("Nonsense", json.RawMessage(`{}`))
	require.Error(t, err)
}
