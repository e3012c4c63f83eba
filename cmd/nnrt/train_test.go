package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/tensor"
)

// asCommand makes the test binary be nnrt itself.
const asCommand = "NNRT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command is nnrt in a process of its own.
func command(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(exe, args...)
	c.Env = append(os.Environ(), asCommand+"=1")
	var errs bytes.Buffer
	c.Stderr = &errs
	return c, &errs
}

// noisyNet has all that a resumed training could get wrong: dropout, running statistics, two moments.
const noisyNet = `{"module":"keras","class_name":"Sequential","config":{"name":"noisy","layers":[
{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,4],"dtype":"float32","name":"in"}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"a","units":16,"activation":"tanh"}},
{"module":"keras.layers","class_name":"BatchNormalization","config":{"name":"b"}},
{"module":"keras.layers","class_name":"Dropout","config":{"name":"c","rate":0.3}},
{"module":"keras.layers","class_name":"Dense","config":{"name":"d","units":3,"activation":"softmax"}}]}}`

// classesNpz is rows of four numbers in three classes.
func classesNpz(t *testing.T, path string, n int) string {
	t.Helper()
	x, y := tensor.New(tensor.Float32, n, 4), tensor.New(tensor.Int64, n)
	for i := range n {
		for k := range 4 {
			tensor.As[float32](x)[i*4+k] = float32(math.Sin(float64(7*i+3*k))) + float32(i%3*k)/4
		}
		tensor.As[int64](y)[i] = int64(i % 3)
	}
	var b bytes.Buffer
	require.NoError(t, tensor.WriteNpz(&b, []tensor.Named{{Name: "x", Tensor: x}, {Name: "y", Tensor: y}}))
	return write(t, path, b.Bytes())
}

// A training that is killed at any moment, also by Ctrl-C, and resumed gives the file, and the history, of one
// that was never killed.
func TestKilledTrainingResumes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("m.json"), []byte(noisyNet))
	classesNpz(t, at("d.npz"), 400)
	args := func(out string) []string {
		return []string{"train", "--model", at("m.json"), "--data", at("d.npz"), "--epochs", "6", "--batch", "16", "--validation-split", "0.2",
			"--early-stopping", "5", "--reduce-lr", "2", "--csv-log", at(out + ".csv"), "--history", at(out + ".json"), "-o", at(out + ".h5"), "--threads", "1"}
	}
	c, errs := command(t, args("whole")...)
	begin := time.Now()
	require.NoError(t, c.Run(), errs.String())
	whole := time.Since(begin)
	same := func(name string) {
		for _, ext := range []string{".h5", ".csv", ".json"} {
			want, err := os.ReadFile(at("whole" + ext))
			require.NoError(t, err)
			got, err := os.ReadFile(at(name + ext))
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "%s%s differs from a training that was never killed", name, ext)
		}
		_, err := os.Stat(at(name + ".h5.checkpoint"))
		require.True(t, os.IsNotExist(err))
	}
	kills := 0
	for try := 1; ; try++ {
		require.Less(t, try, 200)
		c, errs := command(t, append(args("killed"), "--resume", "--force", "--checkpoint-every", "3")...)
		require.NoError(t, c.Start())
		timer := time.AfterFunc(whole*time.Duration(3+try%7)/10, func() { _ = c.Process.Kill() })
		err := c.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		require.Equal(t, -1, c.ProcessState.ExitCode(), errs.String())
		kills++
	}
	require.Positive(t, kills)
	same("killed")

	c, errs = command(t, append(args("stopped"), "--epochs", "2000")...)
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(at("stopped.h5.checkpoint")); return err == nil }, 30*time.Second, time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGINT))
	require.Error(t, c.Wait())
	require.Equal(t, 1, c.ProcessState.ExitCode())
	require.Contains(t, errs.String(), "--resume goes on from")
	_, err := os.Stat(at("stopped.h5"))
	require.True(t, os.IsNotExist(err), "half a training is no result")
	refused(t, 2, "--resume", args("stopped")...)
	refused(t, 2, "seed 1, this has 7", append(args("stopped"), "--resume", "--seed", "7", "--quiet")...)
}

// Files that were trained hold how, and the optimizer's state: training goes on as if it had not been
// interrupted, but for the order of samples.
func TestTrainingGoesOnFromFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("m.json"), []byte(strings.ReplaceAll(noisyNet, `"rate":0.3`, `"rate":0.0`)))
	classesNpz(t, at("d.npz"), 64)
	fit := func(model, out, epochs string, more ...string) {
		t.Helper()
		good(t, append([]string{"train", "--model", model, "--data", at("d.npz"), "--no-shuffle", "--epochs", epochs, "-o", out, "--quiet"}, more...)...)
	}
	how := []string{"--optimizer", "adam(learning_rate=0.02, beta_1=0.8, amsgrad=true)", "--loss", "sparse_categorical_crossentropy",
		"--metrics", "accuracy,SparseTopKCategoricalAccuracy(k=2)"}
	fit(at("m.json"), at("four.h5"), "4", how...)
	for _, ext := range []string{".h5", ".keras"} {
		fit(at("m.json"), at("two"+ext), "2", how...)
		fit(at("two"+ext), at("twice"+ext), "2")
		require.Equal(t, weightBytes(t, at("four.h5")), weightBytes(t, at("twice"+ext)), ext)
		var logs map[string]any
		require.NoError(t, json.Unmarshal([]byte(good(t, "evaluate", at("twice"+ext), "--data", at("d.npz"), "--json")), &logs))
		require.Contains(t, logs, "sparse_top_k_categorical_accuracy")
		fit(at("two"+ext), at("fresh"+ext), "2", "--fresh-optimizer")
		require.NotEqual(t, weightBytes(t, at("four.h5")), weightBytes(t, at("fresh"+ext)))
	}
	fit(at("two.h5"), at("w.onnx"), "1")
	require.Equal(t, 1, strings.Count(good(t, "predict", at("w.onnx"), "--data", at("d.npz")), "[64 3]"))
	_, _, errs := call("train", "--model", at("two.h5"), "--data", at("d.npz"), "--freeze", "a", "--epochs", "1")
	require.Contains(t, errs, "the optimizer begins anew")
}

// weightBytes is all weights of a file.
func weightBytes(t *testing.T, path string) string {
	t.Helper()
	g, err := nnrt.Import(path, nnrt.ImportOptions{})
	require.NoError(t, err)
	s := ""
	for _, p := range g.Params {
		s += fmt.Sprintf("%s %x\n", p.Name, p.Data.Bytes())
	}
	return s
}

// Data that can't be used is refused by the name of file, batch and tensor, and nothing is written.
func TestBadDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("m.json"), []byte(noisyNet))
	classesNpz(t, at("good.npz"), 16)
	good(t, "train", "--model", at("m.json"), "--data", at("good.npz"), "--epochs", "1", "-o", at("m.keras"), "--quiet")
	npz := func(name string, change func(x, y *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor)) string {
		x, y := tensor.New(tensor.Float32, 8, 4), tensor.New(tensor.Int64, 8)
		x, y = change(x, y)
		var b bytes.Buffer
		require.NoError(t, tensor.WriteNpz(&b, []tensor.Named{{Name: "x", Tensor: x}, {Name: "y", Tensor: y}}))
		return write(t, at(name), b.Bytes())
	}
	type pair = func(x, y *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor)
	for name, c := range map[string]struct {
		change pair
		want   string
		labels bool
	}{
		"nan.npz": {func(x, y *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor) {
			tensor.As[float32](x)[30] = float32(math.NaN())
			return x, y
		}, "batch 1: input \"in\": element 14", false},
		"empty.npz": {func(_, _ *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor) {
			return tensor.New(tensor.Float32, 0, 4), tensor.New(tensor.Int64, 0)
		}, "no samples", false},
		"wide.npz":   {func(_, y *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor) { return tensor.New(tensor.Float32, 8, 5), y }, "shape [4 5], expected float32[batch,4]", false},
		"label.npz":  {func(x, y *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor) { tensor.As[int64](y)[6] = 3; return x, y }, "batch 1: target of output \"d\": element 2 is 3, expected a class number in [0, 3)", true},
		"uneven.npz": {func(x, _ *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor) { return x, tensor.New(tensor.Int64, 7) }, "target 0 has 7 samples", false},
	} {
		path := npz(name, c.change)
		common := []string{"--data", path, "--batch", "4", "--quiet"}
		refused(t, 3, c.want, append([]string{"train", "--model", at("m.keras"), "-o", at("out.keras"), "--no-shuffle"}, common...)...)
		refused(t, 3, c.want, append([]string{"evaluate", at("m.keras")}, common...)...)
		if !c.labels { // more classes than outputs are what finetune is for
			refused(t, 3, name, append([]string{"finetune", at("m.keras"), "-o", at("out.keras"), "--no-shuffle"}, common...)...)
			refused(t, 3, c.want, append([]string{"predict", at("m.keras")}, common...)...)
		}
		_, err := os.Stat(at("out.keras"))
		require.True(t, os.IsNotExist(err), name)
		_ = os.Remove(at("out.keras.checkpoint"))
	}
	refused(t, 1, "epoch 1, batch 0: the loss is", "train", "--model", at("m.json"), "--data", npz("huge.npz", func(x, y *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor) {
		y = tensor.New(tensor.Float32, 8, 3)
		tensor.As[float32](y)[1] = 3e38
		return x, y
	}), "--loss", "mse", "--no-shuffle", "--quiet")
	refused(t, 3, "target of output \"d\": shape [16], expected that of the output float32[batch,3]", "train", "--model", at("m.json"), "--data", at("good.npz"), "--loss", "mse", "--quiet")
}

// The pictures that look draws.
func TestLook(t *testing.T) {
	dir := fixtures(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{{"activations", "-i", at("x.png")}, {"heatmap", "-i", at("x.png"), "--class", "1"}, {"filters", "--count", "2", "--steps", "3"}} {
		good(t, append([]string{"look", args[0], at("conv.keras"), "-o", at("look.png")}, args[1:]...)...)
		p, err := os.ReadFile(at("look.png"))
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(p, []byte("\x89PNG")))
	}
	refused(t, 2, "takes a Keras model", "look", "activations", at("conv.onnx"), "--quiet", "-i", at("x.png"), "-o", at("no.png"))
	refused(t, 2, "no layer with feature maps", "look", "heatmap", at("dense.h5"), "--quiet", "-i", at("x.png"), "-o", at("no.png"))
}
