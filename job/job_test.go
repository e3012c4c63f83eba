package job_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/job"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// colours is a folder of pictures in two or three classes: mostly red, mostly blue, mostly green.
func colours(t *testing.T, classes int) string {
	t.Helper()
	root := t.TempDir()
	for c, name := range []string{"red", "sky", "tree"}[:classes] {
		require.NoError(t, os.Mkdir(filepath.Join(root, name), 0o755))
		for i := range 12 {
			img := image.NewNRGBA(image.Rect(0, 0, 12, 12))
			for p := range 144 {
				v := []uint8{uint8(20 * (p % 5)), uint8(17 * ((p + i) % 6)), uint8(13 * ((p * i) % 7))}
				v[(2*c)%3] += 120
				img.SetNRGBA(p%12, p/12, color.NRGBA{v[0], v[1], v[2], 255})
			}
			f, err := os.Create(filepath.Join(root, name, fmt.Sprintf("%d.png", i)))
			require.NoError(t, err)
			require.NoError(t, png.Encode(f, img))
			require.NoError(t, f.Close())
		}
	}
	return root
}

func body() []layers.Layer {
	return []layers.Layer{
		&layers.InputLayer{Base: layers.Named("in"), BatchShape: []int{-1, 12, 12, 3}},
		&layers.Rescaling{Base: layers.Named("scale"), Scale: 1.0 / 255},
		&layers.Conv2D{Base: layers.Named("block1"), Filters: 6, KernelSize: []int{3, 3}, Activation: "relu"},
		&layers.BatchNormalization{Base: layers.Named("bn")},
		&layers.MaxPooling2D{Base: layers.Named("pool")},
	}
}

// networks are ways in which classifiers end.
func networks() map[string]*layers.Model {
	dense := append(body(), &layers.Flatten{Base: layers.Named("flat")}, &layers.Dropout{Base: layers.Named("drop"), Rate: 0.2},
		&layers.Dense{Base: layers.Named("predictions"), Units: 7, Activation: "softmax"})
	conv := append(body(), &layers.GlobalAveragePooling2D{Base: layers.Named("gap"), Keepdims: true}, &layers.Conv2D{Base: layers.Named("preds"), Filters: 7, KernelSize: []int{1, 1}},
		&layers.Reshape{Base: layers.Named("reshape"), TargetShape: []int{7}}, &layers.ActivationLayer{Base: layers.Named("act"), Activation: "softmax"})
	trunk := layers.NewSequential("trunk", append(body(), &layers.GlobalAveragePooling2D{Base: layers.Named("gap")})...)
	head := layers.NewSequential("top", &layers.InputLayer{Base: layers.Named("f"), BatchShape: []int{-1, 6}},
		&layers.Dense{Base: layers.Named("hidden"), Units: 5, Activation: "relu"}, &layers.Dense{Base: layers.Named("out"), Units: 7, Activation: "softmax"})
	fn := layers.NewModel("functional")
	x := fn.AddInput("in", 12, 12, 3)
	for _, l := range body()[1:] {
		x = fn.Apply(l, x)
	}
	fn.SetOutputs(x)
	return map[string]*layers.Model{
		"dense": layers.NewSequential("dense", dense...), "conv": layers.NewSequential("conv", conv...), "features": layers.NewSequential("features", body()...),
		"nested": layers.NewSequential("nested", trunk, head), "functional": fn,
	}
}

func save(t *testing.T, m *layers.Model, path string) string {
	t.Helper()
	require.NoError(t, m.Initialize(3))
	g, err := m.Graph(layers.Options{Seed: 3})
	require.NoError(t, err)
	s := &nnrt.Source{Graph: g, Keras: &keras.File{Model: m}}
	require.NoError(t, s.Export(path, onnx.WriteOptions{}))
	return path
}

func options(t *testing.T, model, data, out string) job.FinetuneOptions {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = dev.Close() })
	return job.FinetuneOptions{Options: job.Options{Model: model, Data: job.Data{Path: data}, Output: out, Epochs: 25, Batch: 6, LearningRate: 0.05,
		Seed: 1, Device: dev, Log: io.Discard}}
}

// Every kind of ending gets a head for the classes of the pictures and learns them, the rest staying as it was, and
// cached features give what uncached ones give.
func TestFinetuneKeras(t *testing.T) {
	data := colours(t, 3)
	for name, m := range networks() {
		dir := t.TempDir()
		model := save(t, m, filepath.Join(dir, "m.h5"))
		o := options(t, model, data, filepath.Join(dir, "out.keras"))
		r, err := job.Finetune(context.Background(), o)
		require.NoError(t, err, name)
		require.Equal(t, []string{"red", "sky", "tree"}, r.Classes)
		require.Greater(t, r.History.Last("accuracy"), 0.9, name)
		before, err := nnrt.Import(model, nnrt.ImportOptions{})
		require.NoError(t, err)
		after, err := nnrt.Import(o.Output, nnrt.ImportOptions{})
		require.NoError(t, err)
		same := 0
		for _, p := range after.Params {
			if q := before.Param(p.Name); q != nil && strings.Contains(p.Name, "b") && (strings.HasPrefix(p.Name, "block1") || strings.HasPrefix(p.Name, "bn")) {
				require.Equal(t, q.Data.Bytes(), p.Data.Bytes(), "%s: %s", name, p.Name)
				same++
			}
		}
		require.Equal(t, 6, same+map[bool]int{true: 6}[name == "nested"], name)
		o.NoCache, o.Force = true, true
		slow, err := job.Finetune(context.Background(), o)
		require.NoError(t, err, name)
		if name != "dense" { // dropout draws for itself in each
			require.InDelta(t, slow.History.Last("loss"), r.History.Last("loss"), 1e-3, name)
		}
		logs, err := job.Evaluate(context.Background(), job.Options{Model: o.Output, Data: o.Data, Device: o.Device})
		require.NoError(t, err)
		acc, _ := logs.Get("accuracy")
		require.Greater(t, acc, 0.9, name)
	}
}

// ONNX models likewise; a second phase trains more, normalizations excepted.
func TestFinetuneONNX(t *testing.T) {
	data := colours(t, 2)
	for name, m := range networks() {
		dir := t.TempDir()
		o := options(t, save(t, m, filepath.Join(dir, "m.onnx")), data, filepath.Join(dir, "out.onnx"))
		o.Data.Preprocess = "none"
		o.Unfreeze, o.FineRate, o.FineEpochs = []string{"*"}, 0.002, 2
		r, err := job.Finetune(context.Background(), o)
		require.NoError(t, err, name)
		require.Greater(t, r.History.Last("accuracy"), 0.9, name)
		require.Len(t, r.History.Epoch, 27, name)
		before, err := nnrt.Import(o.Model, nnrt.ImportOptions{})
		require.NoError(t, err)
		after, err := nnrt.Import(o.Output, nnrt.ImportOptions{})
		require.NoError(t, err)
		changed := map[string]bool{}
		for _, p := range before.Params {
			q := after.Param(p.Name)
			require.NotNil(t, q, p.Name)
			changed[p.Name] = !tensor.SameShape(p.Data, q.Data) || string(p.Data.Bytes()) != string(q.Data.Bytes())
		}
		for n, c := range changed {
			require.Equal(t, !strings.Contains(n, "bn/"), c, "%s: %s", name, n)
		}
	}
}

// A head of the right size is kept, unless a new one is asked for.
func TestHeadIsKept(t *testing.T) {
	m := networks()["dense"]
	require.NoError(t, m.Initialize(1))
	weights := func() string { return string(m.LayerWeights(m.Layer("predictions"))[0].Data.Bytes()) }
	old := weights()
	h, err := job.ReplaceHead(m, 7, false)
	require.NoError(t, err)
	require.False(t, h.New)
	require.Equal(t, old, weights())
	h, err = job.ReplaceHead(m, 7, true)
	require.NoError(t, err)
	require.True(t, h.New)
	require.NoError(t, m.Initialize(2))
	require.NotEqual(t, old, weights())
}

// A fine-tuning that ends in either phase goes on from its checkpoint to the same file.
func TestFinetuneResumes(t *testing.T) {
	data, dir := colours(t, 2), t.TempDir()
	model := save(t, networks()["functional"], filepath.Join(dir, "m.h5"))
	run := func(ctx context.Context, out string, change func(o *job.FinetuneOptions)) error {
		o := options(t, model, data, filepath.Join(dir, out))
		o.Epochs, o.FineEpochs, o.Unfreeze = 3, 3, []string{"block1"}
		o.Resume, o.Force = true, true
		if change != nil {
			change(&o)
		}
		_, err := job.Finetune(ctx, o)
		return err
	}
	require.NoError(t, run(context.Background(), "whole.h5", nil))
	for stop := 1; stop <= 6; stop++ {
		out := fmt.Sprintf("stop%d.h5", stop)
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		count := func(o *job.FinetuneOptions) {
			log := o.Log
			o.Verbose = 2
			o.Log = writer(func(p []byte) (int, error) {
				if strings.Contains(string(p), "step") {
					if n++; n == stop {
						cancel()
					}
				}
				return log.Write(p)
			})
		}
		err := run(ctx, out, count)
		require.ErrorIs(t, err, job.ErrInterrupted)
		require.NoError(t, run(context.Background(), out, nil))
		want, err := os.ReadFile(filepath.Join(dir, "whole.h5"))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, out))
		require.NoError(t, err)
		require.Equal(t, want, got, "stopped after epoch %d", stop)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
