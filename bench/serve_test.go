package bench_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/bench"
)

const mlp = `{"class_name":"Sequential","config":{"name":"mlp","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,20],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"a","units":64,"activation":"relu"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"c","units":4,"activation":"sigmoid"}}]}}`

// Several goroutines that call at once allocate nothing, and each run is counted.
func TestServe(t *testing.T) {
	m, err := nnrt.Load([]byte(mlp), nnrt.Options{Threads: 2})
	require.NoError(t, err)
	defer m.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := bench.Serve(ctx, m, bench.Options{}, bench.Requests{Goroutines: 4, Count: 2000})
	require.NoError(t, err)
	require.Equal(t, 2000, r.Requests)
	require.Less(t, r.AllocsPerRun, 0.1)
	require.Positive(t, r.MedianMS)
	require.GreaterOrEqual(t, r.P99MS, r.MedianMS)
	require.GreaterOrEqual(t, r.MaxMS, r.P99MS)
}

const conv = `{"class_name":"Sequential","config":{"name":"conv","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,24,24,32],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Conv2D","config":{"name":"a","filters":32,"kernel_size":[3,3],"padding":"same","activation":"relu"}},
{"module":"keras.layers","class_name":"Conv2D","config":{"name":"b","filters":16,"kernel_size":[1,1]}},
{"module":"keras.layers","class_name":"DepthwiseConv2D","config":{"name":"c","kernel_size":[3,3],"padding":"same"}}]}}`

// Every algorithm that could do a convolution is measured, and all of them agree (Choices fails where they don't).
func TestChoices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conv.json")
	require.NoError(t, os.WriteFile(path, []byte(conv), 0o644))
	list, err := bench.Choices(t.Context(), path, 1, bench.Options{})
	require.NoError(t, err)
	require.NotEmpty(t, list)
	most := 0
	for _, c := range list {
		most = max(most, c.Others)
		require.GreaterOrEqual(t, c.Ratio, 1.0)
		require.Positive(t, c.FastestMS)
	}
	require.GreaterOrEqual(t, most, 2, "a 3x3 convolution can be done in more ways")
}
