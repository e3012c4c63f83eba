package nnrt_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// nets are architectures as model.to_json() writes them, with initialized weights.
var nets = map[string]struct {
	json  string
	shape []int
}{
	"conv": {`{"class_name":"Sequential","config":{"name":"conv","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,16,16,3],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Conv2D","config":{"name":"a","filters":8,"kernel_size":[3,3],"padding":"same"}},
{"module":"keras.layers","class_name":"BatchNormalization","config":{"name":"b"}},
{"module":"keras.layers","class_name":"ReLU","config":{"name":"r"}},
{"module":"keras.layers","class_name":"DepthwiseConv2D","config":{"name":"dw","kernel_size":[3,3],"strides":[2,2],"padding":"same"}},
{"module":"keras.layers","class_name":"MaxPooling2D","config":{"name":"p","pool_size":[2,2]}},
{"module":"keras.layers","class_name":"GlobalAveragePooling2D","config":{"name":"g"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"d","units":3,"activation":"softmax"}}]}}`, []int{2, 16, 16, 3}},
	"mlp": {`{"class_name":"Sequential","config":{"name":"mlp","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,20],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"a","units":64,"activation":"relu"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"b","units":32,"activation":"tanh"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"c","units":4,"activation":"sigmoid"}}]}}`, []int{8, 20}},
	"lstm": {`{"class_name":"Sequential","config":{"name":"lstm","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,12,6],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"LSTM","config":{"name":"l","units":16}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"d","units":1}}]}}`, []int{3, 12, 6}},
}

func ramp(shape ...int) *tensor.Tensor {
	x := tensor.New(tensor.Float32, shape...)
	for i := range tensor.As[float32](x) {
		tensor.As[float32](x)[i] = float32(i%13)/13 - 0.4
	}
	return x
}

// RunInto on shapes it has seen allocates nothing.
func TestRunIntoAllocatesNothing(t *testing.T) {
	for name, net := range nets {
		t.Run(name, func(t *testing.T) {
			m, err := nnrt.Load([]byte(net.json), nnrt.Options{Threads: 2})
			require.NoError(t, err)
			defer m.Close()
			s, err := m.Session()
			require.NoError(t, err)
			in, ctx := []tensor.Value{ramp(net.shape...)}, context.Background()
			out, err := s.RunValues(ctx, in)
			require.NoError(t, err)
			want := out[0].(*tensor.Tensor).Clone()
			require.NoError(t, s.RunInto(ctx, in, out))
			require.Equal(t, tensor.As[float32](want), tensor.As[float32](out[0].(*tensor.Tensor)))
			n := testing.AllocsPerRun(100, func() {
				if err := s.RunInto(ctx, in, out); err != nil {
					panic(err)
				}
			})
			require.Zero(t, n)
		})
	}
}

// One Model serves many goroutines, with inputs of several shapes, and each gets what it would get alone.
func TestConcurrentRuns(t *testing.T) {
	for name, net := range nets {
		t.Run(name, func(t *testing.T) {
			m, err := nnrt.Load([]byte(net.json), nnrt.Options{Threads: 2})
			require.NoError(t, err)
			defer m.Close()
			ctx, input := context.Background(), m.Inputs()[0].Name
			feeds, want := make([]map[string]*tensor.Tensor, 3), make([]map[string]*tensor.Tensor, 3)
			for i := range feeds {
				shape := append([]int{i + 1}, net.shape[1:]...)
				feeds[i] = map[string]*tensor.Tensor{input: ramp(shape...)}
				if want[i], err = m.Run(ctx, feeds[i]); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for k := range 10 {
						i := (g + k) % len(feeds)
						got, err := m.Run(ctx, feeds[i])
						if err != nil {
							t.Error(err)
							return
						}
						for o, w := range want[i] {
							for e, v := range tensor.As[float32](w) {
								if tensor.As[float32](got[o])[e] != v {
									t.Errorf("goroutine %d, run %d: element %d is %v, alone it was %v", g, k, e, tensor.As[float32](got[o])[e], v)
									return
								}
							}
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// A run ends soon after its context, wherever it is, and the model goes on to work.
func TestCancel(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(128)))
	h, w := x, b.Param("w", ramp(128, 128))
	for range 400 {
		h = b.Add(ops.Tanh{}, b.Add(ops.MatMul{}, h, w))
	}
	b.Rename(h, "y")
	b.Output(h)
	require.NoError(t, b.Err())
	m, err := nnrt.New(g, nnrt.Options{Threads: 1})
	require.NoError(t, err)
	defer m.Close()
	in := map[string]*tensor.Tensor{"x": ramp(256, 128)}
	_, err = m.Run(context.Background(), in) // plans are made at the first run
	require.NoError(t, err)
	done, cancelDone := context.WithCancel(context.Background())
	cancelDone()
	_, err = m.Run(done, in)
	require.ErrorIs(t, err, context.Canceled)
	// The machine may be busy: the best of some attempts counts.
	best := time.Hour
	for range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		var at time.Time
		go func() {
			time.Sleep(time.Millisecond)
			at = time.Now()
			cancel()
		}()
		_, err = m.Run(ctx, in)
		end := time.Now()
		<-ctx.Done()
		if err == nil {
			continue // it was through before
		}
		require.True(t, errors.Is(err, context.Canceled), err)
		best = min(best, end.Sub(at))
		runtime.Gosched()
	}
	require.Less(t, best, 50*time.Millisecond)
	_, err = m.Run(context.Background(), in)
	require.NoError(t, err)
}

// One kernel that takes long ends with its context too, with the context's cause.
func TestCancelInsideKernel(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(2048), graph.D(2048)))
	b.Output(b.Add(ops.MatMul{}, x, b.Input("w", graph.TensorOf(tensor.Float32, graph.D(2048), graph.D(2048)))))
	require.NoError(t, b.Err())
	m, err := nnrt.New(g, nnrt.Options{Threads: 1})
	require.NoError(t, err)
	defer m.Close()
	in := map[string]*tensor.Tensor{"x": ramp(2048, 2048), "w": ramp(2048, 2048)}
	start := time.Now()
	_, err = m.Run(context.Background(), in)
	require.NoError(t, err)
	whole := time.Since(start)
	why, best := errors.New("the caller has gone"), time.Hour
	for range 3 { // the machine may be busy: the best of some attempts counts
		ctx, cancel := context.WithCancelCause(context.Background())
		start := time.Now()
		time.AfterFunc(5*time.Millisecond, func() { cancel(why) })
		_, err = m.Run(ctx, in)
		require.ErrorIs(t, err, why)
		best = min(best, time.Since(start))
	}
	require.Less(t, best, whole/3)
}
