package schedule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/testdata"
)

func TestKerasGoldens(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), "schedule_*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		p, err := os.ReadFile(filepath.Join(dir, "case.json"))
		require.NoError(t, err)
		var c struct {
			Config struct {
				ClassName string          `json:"class_name"`
				Config    json.RawMessage `json:"config"`
			} `json:"config"`
			Values []float64 `json:"values"`
		}
		require.NoError(t, json.Unmarshal(p, &c))
		s, err := Decode(c.Config.ClassName, c.Config.Config)
		require.NoError(t, err)
		for i, want := range c.Values {
			require.InDelta(t, want, s.At(i), 1e-6*want+1e-7, "%s step %d", filepath.Base(dir), i)
		}
		class, cfg, err := Encode(s)
		require.NoError(t, err)
		back, err := Decode(class, cfg)
		require.NoError(t, err)
		require.Equal(t, s, back)
	}
}

func TestRefused(t *testing.T) {
	_, err := Decode("CosineDecay", json.RawMessage(`{"initial_learning_rate":1,"decay_steps":0}`))
	require.Error(t, err)
	_, err = Decode("PiecewiseConstantDecay", json.RawMessage(`{"boundaries":[1],"values":[1]}`))
	require.Error(t, err)
	_, err = Decode("Nonsense", json.RawMessage(`{}`))
	require.Error(t, err)
}
