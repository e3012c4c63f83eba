package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// convNet and denseNet are architectures as model.to_json() writes them.
const (
	convNet = `{"module":"keras","class_name":"Sequential","config":{"name":"conv","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,6,6,1],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Conv2D","config":{"name":"c","filters":2,"kernel_size":[3,3],"activation":"relu"}},
{"module":"keras.layers","class_name":"Flatten","config":{"name":"f"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"d","units":3,"activation":"softmax"}}]}}`
	denseNet = `{"module":"keras","class_name":"Sequential","config":{"name":"dense","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,2],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"d","units":4,"activation":"tanh"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"e","units":1,"activation":"sigmoid"}}]}}`
)

// call runs the command as main does.
func call(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// good calls and expects success.
func good(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := call(args...)
	require.Equal(t, 0, code, "nnrt %s: %s", strings.Join(args, " "), errs)
	return out
}

// refused calls and expects an exit code, and an error of one line that holds want.
func refused(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	got, _, errs := call(args...)
	require.Equal(t, code, got, "nnrt %s: %s", strings.Join(args, " "), errs)
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	require.True(t, strings.HasPrefix(errs, "nnrt: "), errs)
	require.Contains(t, errs, want)
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// fixtures is a folder with models and inputs of every format.
func fixtures(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"conv": convNet, "dense": denseNet} {
		arch := write(t, filepath.Join(dir, name+".json"), []byte(text))
		for _, ext := range []string{".onnx", ".h5", ".keras"} {
			good(t, "import", arch, "-o", filepath.Join(dir, name+ext))
		}
	}
	x := tensor.New(tensor.Float32, 2, 6, 6, 1)
	for i := range tensor.As[float32](x) {
		tensor.As[float32](x)[i] = float32(i%7) / 7
	}
	var b bytes.Buffer
	require.NoError(t, tensor.WriteNpy(&b, x))
	write(t, filepath.Join(dir, "x.npy"), b.Bytes())
	b.Reset()
	require.NoError(t, tensor.WriteNpz(&b, []tensor.Named{{Name: "in", Tensor: x}}))
	write(t, filepath.Join(dir, "x.npz"), b.Bytes())
	img := image.NewGray(image.Rect(0, 0, 6, 6))
	for i := range img.Pix {
		img.Pix[i] = byte(7 * i)
	}
	b.Reset()
	require.NoError(t, png.Encode(&b, img))
	write(t, filepath.Join(dir, "x.png"), b.Bytes())
	write(t, filepath.Join(dir, "ab.csv"), []byte("a,b\n0,1\n1,1\n0.5,0.25\n"))
	write(t, filepath.Join(dir, "aby.csv"), []byte("a,b,y\n0,1,1\n1,1,0\n1,0,1\n0,0,0\n"))
	write(t, filepath.Join(dir, "ab.json"), []byte("[[0,1],[1,1],[0.5,0.25]]"))
	return dir
}

func TestImportInfoRun(t *testing.T) {
	dir := fixtures(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, ext := range []string{".onnx", ".h5", ".keras"} {
		out := good(t, "info", at("conv"+ext))
		require.Contains(t, out, "Conv")
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(good(t, "info", "--json", at("conv"+ext))), &v))
		require.NotEmpty(t, v)
		require.NotEmpty(t, good(t, "info", "--graph", at("conv"+ext)))
		require.NotEmpty(t, good(t, "info", "--weights", at("conv"+ext)))
		require.Contains(t, good(t, "check", at("conv"+ext)), "runs on cpu")
		good(t, "run", at("conv"+ext), "--plan")
		for _, in := range []string{"x.npy", "x.npz", "x.png"} {
			good(t, "run", at("conv"+ext), "-i", at(in), "--top", "2")
		}
		a := good(t, "run", at("dense"+ext), "-i", at("ab.csv"))
		require.Equal(t, a, good(t, "run", at("dense"+ext), "-i", at("ab.json"), "--device", "ref"), "both devices, both ways to write numbers")
	}
	refused(t, 2, "--force", "import", at("conv.h5"), "-o", at("conv.keras"))
	require.Contains(t, good(t, "import", at("conv.h5"), "-o", at("conv.keras"), "--force", "--check"), "the outputs agree")
	good(t, "import", at("conv.json"), "--weights", at("conv.h5"), "-o", at("again.onnx"))
	good(t, "compare", at("again.onnx"), at("conv.keras"))
	good(t, "run", at("conv.onnx"), "-i", at("x.npy"), "-o", at("out"))
	_, err := os.Stat(filepath.Join(dir, "out", "output_0.npy"))
	require.NoError(t, err)
	good(t, "run", at("conv.onnx"), "-i", at("x.npy"), "-o", at("out.npz"))
	good(t, "h5", "ls", at("conv.h5"))
	good(t, "h5", "dump", at("conv.h5"))
	var r struct {
		Model  string  `json:"model"`
		Median float64 `json:"median_ms"`
	}
	require.NoError(t, json.Unmarshal([]byte(good(t, "bench", at("dense.onnx"), "--seconds", "0.05", "--json")), &r))
	require.Equal(t, "dense.onnx", r.Model)
	require.Positive(t, r.Median)
}

func TestTrainPredict(t *testing.T) {
	dir := fixtures(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	good(t, "train", "--model", at("dense.json"), "--data", at("aby.csv"), "--epochs", "2", "-o", at("t.keras"), "--history", at("h.json"), "--quiet")
	require.Contains(t, good(t, "train", "--model", at("dense.json"), "--data", at("aby.csv"), "--plan"), "peak / must live")
	require.Contains(t, good(t, "train", "--model", at("dense.json"), "--data", at("aby.csv"), "--plan", "--json"), `"ratio":`)
	refused(t, 2, "--force", "train", "--model", at("dense.json"), "--data", at("aby.csv"), "-o", at("t.keras"), "--quiet")
	good(t, "finetune", at("t.keras"), "--data", at("aby.csv"), "--epochs", "1", "--freeze", "d*", "-o", at("u.h5"), "--quiet")
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(good(t, "evaluate", at("t.keras"), "--data", at("aby.csv"), "--json")), &v))
	require.Contains(t, v, "loss")
	// The target's column is dropped where it is there, named or not.
	named := good(t, "predict", at("t.keras"), "--data", at("aby.csv"), "--target", "y")
	require.Equal(t, named, good(t, "predict", at("t.keras"), "--data", at("aby.csv")))
	require.Contains(t, named, "[4 1]")
	require.Contains(t, good(t, "predict", at("t.keras"), "--data", at("ab.csv")), "[3 1]")
	good(t, "plot", at("dense.json"), "-o", at("dense.svg"))
	require.Equal(t, 3, strings.Count(good(t, "predict", at("t.keras"), "--data", at("ab.csv"), "--json"), `{"row":`))
}

func TestOthers(t *testing.T) {
	require.Contains(t, good(t, "version"), "nnrt ")
	require.Contains(t, good(t, "completion", "bash"), "nnrt")
	require.Contains(t, good(t, "--help"), "import")
	require.Contains(t, good(t, "cpu"), "in use")
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(good(t, "ops", "--json")), &rows))
	require.Greater(t, len(rows), 100)
	require.Contains(t, good(t, "demo"), "100") // per cent of at least one picture
}

func TestUsage(t *testing.T) {
	dir := fixtures(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	train := func(args ...string) []string {
		return append([]string{"train", "--model", at("dense.json"), "--data", at("aby.csv"), "--quiet"}, args...)
	}
	for _, args := range [][]string{
		{"nonsense"},
		{"info"},
		{"info", "a", "b"},
		{"info", "--nonsense", at("dense.onnx")},
		{"info", at("missing.onnx")},
		{"run", at("dense.onnx"), "--dim", "N"},
		{"run", at("dense.onnx"), "-i", at("missing.npy")},
		{"run", at("dense.onnx"), "-i", at("ab.csv"), "-i", at("ab.csv")},
		{"run", at("dense.onnx"), "--device", "abacus"},
		{"import", at("dense.onnx"), "-o", at("x.doc")},
		{"train", "--data", at("aby.csv")},
		{"train", "--model", at("dense.json"), "--data", at("aby.csv"), "--optimizer", "luck", "--quiet"},
		{"h5", "ls"},
		{"run", at("dense.onnx"), "--dim", "nosuch=3"},
		{"run", at("dense.onnx"), "--threads", "-1"},
		{"run", at("dense.onnx"), "--log-level", "loud"},
		{"bench", at("dense.onnx"), "--seconds", "-1"},
		{"import", at("dense.onnx"), "-o", at("x.onnx"), "--opset", "99"},
		{"conformance", t.TempDir()},
		train("--epochs", "0"), train("--batch", "-3"), train("--learning-rate", "nan"), train("--early-stopping", "2"),
		train("--class-weight", "7:1"), train("--freeze", "*"), train("--lr-factor", "nosuch=2"), train("--lr-factor", "2"),
	} {
		refused(t, 2, "", args...)
	}
	require.Contains(t, mustErr(call("h5", "ls")), "'nnrt h5 ls --help'")
	require.NotContains(t, mustErr(call("import", at("dense.onnx"), "-o", at("x.doc"))), "nnrt: nnrt:")
	require.NotContains(t, mustErr(call("import", at("dense.onnx"), "-o", at("nodir/x.onnx"))), ".tmp")
	require.NotContains(t, mustErr(call("run", at("dense.onnx"), "--help")), "nnrt:")
	code, _, _ := call("compare", at("dense.onnx"), at("conv.onnx"))
	require.Contains(t, []int{1, 3}, code, "models of different inputs")
	other := filepath.Join(dir, "other.onnx")
	g, err := nnrt.Import(at("dense.onnx"), nnrt.ImportOptions{})
	require.NoError(t, err)
	for _, p := range g.Params {
		p.Data = tensor.New(p.Data.DType(), p.Data.Shape()...)
		break
	}
	require.NoError(t, nnrt.Export(other, g, onnx.WriteOptions{}))
	refused(t, 1, "differ", "compare", at("dense.onnx"), other)
	refused(t, 3, "3", "run", at("dense.onnx"), "-i", at("aby.csv"))
}

func mustErr(_ int, _, stderr string) string { return stderr }

// A preflight lists every node that is not supported.
func TestCheckLists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(2)))
	b.Output(b.Add(ops.Sinh{}, b.Add(ops.Cosh{}, x)))
	require.NoError(t, b.Err())
	require.NoError(t, nnrt.Export(path, g, onnx.WriteOptions{}))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	file = bytes.ReplaceAll(bytes.ReplaceAll(file, []byte("\x22\x04Sinh"), []byte("\x22\x04Foox")), []byte("\x22\x04Cosh"), []byte("\x22\x04Barx"))
	write(t, path, file)
	code, out, errs := call("check", path)
	require.Equal(t, 3, code)
	require.Contains(t, out, "Foox")
	require.Contains(t, out, "Barx")
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	refused(t, 3, "Barx", "info", path)
	refused(t, 3, "Foox", "run", path)
}

// zipBomb is an archive whose one member is zeros, many megabytes of them.
func zipBomb(t *testing.T, member string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(member)
	require.NoError(t, err)
	zeros := make([]byte, 1<<20)
	for range 300 {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}
