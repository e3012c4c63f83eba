package bench_test

import (
	"context"
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
