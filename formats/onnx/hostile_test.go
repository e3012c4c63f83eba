package onnx_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// underLimits reads, compiles and runs a model with little memory and time. Any error will do but a panic's.
func underLimits(b []byte, feed []tensor.Value, seed uint64) error {
	g, err := onnx.ReadBytes(b, onnx.Options{Limits: formats.Options{MaxAlloc: 1 << 24, MaxNodes: 1000}})
	if err != nil {
		return err
	}
	p, err := runtime.Compile(g, ref.New(), runtime.Options{MemoryLimit: 1 << 24})
	if err != nil {
		return err
	}
	s, err := p.NewSession()
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 1))
	var in []tensor.Value
	for i, v := range g.Inputs {
		x := randomValue(v.Type, r)
		if i < len(feed) {
			x = feed[i]
		}
		if x == nil {
			return nil
		}
		in = append(in, x)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = s.RunValues(ctx, in)
	return err
}

// randomValue is a small value of a type, nil where there is none that is small.
func randomValue(t graph.Type, r *rand.Rand) tensor.Value {
	switch t.Kind {
	case graph.OptionalKind:
		return &tensor.Optional{}
	case graph.SequenceKind:
		return &tensor.Sequence{DType: t.DType}
	case graph.MapKind:
		return nil
	}
	n, shape := 1, []int{}
	for _, d := range t.Dims {
		k, ok := d.Const()
		if !ok {
			k = r.IntN(4)
		}
		shape = append(shape, k)
		if n *= k; n > 1<<16 {
			return nil
		}
	}
	x, err := tensor.Make(t.DType, shape)
	if err != nil || t.DType == tensor.String || t.DType.IsComplex() {
		return x
	}
	vs := make([]float64, n)
	for i := range vs {
		vs[i] = float64(r.IntN(9) - 3)
	}
	if x.SetFloat64s(vs) != nil {
		return nil
	}
	return x
}

// isPanic reports whether an error was a panic of nnrt's own.
func isPanic(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "runtime error"))
}

// TestHostileRuns: damaged models, and damaged inputs, end in time and memory with an error that is no mistake
// of nnrt's own. NNRT_HOSTILE is how many damaged models are made of each case, 1 by default.
func TestHostileRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	times, _ := strconv.Atoi(os.Getenv("NNRT_HOSTILE"))
	seed, _ := strconv.ParseUint(os.Getenv("NNRT_SEED"), 10, 64)
	r := rand.New(rand.NewPCG(3, seed))
	cases := examples(t)
	written(t, cases)
	var keys [][2]string
	for k := range cases {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	for _, k := range keys {
		list := cases[k]
		if times == 0 {
			list = list[:min(1, len(list))]
		}
		for _, e := range list {
			for range max(1, times) {
				m := &pb.ModelProto{}
				require.NoError(t, pb.Unmarshal(pb.Marshal(e.model), m, pb.Limits{}))
				mutate(m, r)
				if r.IntN(2) == 0 {
					mutate(m, r)
				}
				var feed []tensor.Value
				for i, in := range m.Graph.Input[:min(len(e.in), len(m.Graph.Input))] {
					if v, err := value(e.in[i], in.Type); err == nil && r.IntN(5) > 0 {
						feed = append(feed, v)
						continue
					}
					break
				}
				start := time.Now()
				err := underLimits(pb.Marshal(m), feed, r.Uint64())
				if isPanic(err) {
					t.Errorf("%s: %v", e.name, err)
				}
				if d := time.Since(start); d > 20*time.Second || errors.Is(err, context.DeadlineExceeded) {
					t.Logf("%s took %v: %v", e.name, d, err)
				}
			}
		}
	}
}

// FuzzRun: whatever the bytes are, reading, compiling and running end in time and memory.
func FuzzRun(f *testing.F) {
	for i, ops := range [][]string{{"Relu", "Softmax"}, {"MatMul", "Add"}, {"Shape", "Gather"}, {"Conv", "MaxPool"}, {"TopK", "Cast"}} {
		a, b := node(ops[0], []string{"x", "x"}[:1+i%2], []string{"h"}), node(ops[1], []string{"h", "x"}[:1+i%2], []string{"y"})
		f.Add(pb.Marshal(model(a, b)), uint64(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		if err := underLimits(b, nil, seed); isPanic(err) {
			t.Fatal(err)
		}
	})
}
