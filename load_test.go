package nnrt_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// One model comes out the same of a file, of bytes, of a reader, of a file system: external data and weights beside an
// architecture included. All of them can be saved again.
func TestEveryWayIn(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	first, err := nnrt.Load([]byte(nets["mlp"].json), nnrt.Options{Threads: 1})
	require.NoError(t, err)
	defer first.Close()
	x := ramp(nets["mlp"].shape...)
	run := func(m *nnrt.Model, err error) []float32 {
		t.Helper()
		require.NoError(t, err)
		defer m.Close()
		out, err := m.Run(ctx, map[string]*tensor.Tensor{m.Inputs()[0].Name: x})
		require.NoError(t, err)
		require.NotNil(t, m.Source())
		require.NoError(t, m.Save(filepath.Join(dir, "again.onnx")))
		return tensor.As[float32](out[m.Outputs()[0].Name])
	}
	for _, name := range []string{"m.h5", "m.keras", "m.onnx", "m.weights.h5"} {
		require.NoError(t, first.Source().Export(filepath.Join(dir, name), onnx.WriteOptions{External: true, ExternalFrom: 1}))
	}
	want := run(nnrt.Open(filepath.Join(dir, "m.h5"), nnrt.Options{Threads: 1}))
	files := fstest.MapFS{"models/net.json": {Data: []byte(nets["mlp"].json)}}
	for _, name := range []string{"m.h5", "m.keras", "m.onnx", "m.onnx.data", "m.weights.h5"} {
		b := read(t, filepath.Join(dir, name))
		files["models/"+name] = &fstest.MapFile{Data: b}
		if name == "m.h5" || name == "m.keras" {
			require.Equal(t, want, run(nnrt.Load(b, nnrt.Options{Threads: 1})))
			require.Equal(t, want, run(nnrt.LoadReader(bytes.NewReader(b), int64(len(b)), nnrt.Options{Threads: 1})))
		}
	}
	for _, name := range []string{"models/m.h5", "models/m.keras", "models/m.onnx"} {
		require.Equal(t, want, run(nnrt.OpenFS(files, name, nnrt.Options{Threads: 1})), name)
	}
	with := nnrt.Options{Threads: 1, Import: nnrt.ImportOptions{Weights: "models/m.weights.h5"}}
	require.Equal(t, want, run(nnrt.OpenFS(files, "models/net.json", with)))
	_, err = nnrt.LoadReader(bytes.NewReader([]byte("no model at all")), 15, nnrt.Options{})
	var bad *formats.FormatError
	require.ErrorAs(t, err, &bad)
}

// A logger hears of compilations and plans; sessions count what they hold, and keep no more plans than they may.
func TestLogAndStats(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m, err := nnrt.Load([]byte(nets["mlp"].json), nnrt.Options{Threads: 1, Runtime: runtime.Options{Log: log, MaxPlans: 2}})
	require.NoError(t, err)
	defer m.Close()
	s, err := m.Session()
	require.NoError(t, err)
	require.Zero(t, s.Stats())
	for rows := range 4 {
		_, err = s.RunValues(context.Background(), []tensor.Value{ramp(rows+1, 20)})
		require.NoError(t, err)
	}
	require.Equal(t, 2, s.Stats().Plans)
	require.Positive(t, s.Stats().Arenas)
	for _, want := range []string{"msg=compiled", "msg=planned", `msg="dropped a plan"`, "device=cpu"} {
		require.Contains(t, b.String(), want)
	}
}
