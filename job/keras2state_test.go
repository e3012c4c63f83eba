package job

import (
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/train"
	"github.com/stretchr/testify/require"
)

// TestKeras2State continues files that Keras 2.0 to 2.11 trained: their compile config and optimizer state fit.
func TestKeras2State(t *testing.T) {
	dir := testdata.Dir(t, "models")
	for _, name := range []string{"dl4j-flatten-rnn-keras2/model.h5", "dl4j-lstm-keras2/model.h5", "fer2013-big-xception/model.hdf5", "magika-standard-v1/model.h5",
		"mlperf-anomaly-autoencoder/model.h5", "mlperf-vww-mobilenet96/model.h5", "pdm-lstm-binary/model.h5"} {
		path := filepath.Join(dir, name)
		src, err := nnrt.ImportSource(path, nnrt.ImportOptions{})
		require.NoError(t, err, name)
		m, err := src.Trainer(ref.New(), 0)
		require.NoError(t, err, name)
		c, ok := ownTraining(src)
		require.True(t, ok, name)
		require.NoError(t, m.Compile(c), name)
		var vs []train.Variable
		for _, v := range src.Keras.State() {
			vs = append(vs, train.Variable{Path: v.Name, Value: v.Data})
		}
		require.NoError(t, m.SetOptimizerVariables(vs), name)
	}
}
