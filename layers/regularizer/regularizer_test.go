package regularizer_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

func TestKerasGoldens(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), "regularizer_*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		p, err := os.ReadFile(filepath.Join(dir, "case.json"))
		require.NoError(t, err)
		var c struct {
			Config struct {
				ClassName string          `json:"class_name"`
				Config    json.RawMessage `json:"config"`
			}
			RTol float64
		}
		require.NoError(t, json.Unmarshal(p, &c))
		r, err := regularizer.Decode(c.Config.ClassName, c.Config.Config)
		require.NoError(t, err)
		data, err := npz.Read(filepath.Join(dir, "data.npz"))
		require.NoError(t, err)
		g := &graph.Graph{}
		b := graph.NewBuilder(g)
		w := b.Input("w", graph.TensorOf(data["w"].DType(), graph.Dims(data["w"].Shape()...)...))
		y := r.Penalty(b, w)
		b.Output(y)
		require.NoError(t, b.Err())
		prog, err := runtime.Compile(g, ref.New(), runtime.Options{})
		require.NoError(t, err)
		s, err := prog.NewSession()
		require.NoError(t, err)
		out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"w": data["w"]})
		require.NoError(t, err)
		got, err := out[y.Name].Float64s()
		require.NoError(t, err)
		want, err := data["value"].Float64s()
		require.NoError(t, err)
		require.LessOrEqual(t, math.Abs(got[0]-want[0]), c.RTol*math.Abs(want[0]), filepath.Base(dir))
		class, cfg, err := regularizer.Encode(r)
		require.NoError(t, err)
		back, err := regularizer.Decode(class, cfg)
		require.NoError(t, err)
		require.Equal(t, r, back)
	}
}
