package train_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/train"
)

func dropoutModel(t *testing.T) *train.Model {
	return newModel(t, mlp(t, 3, 0.2, 3, 6, 2), ref.New(), train.CompileOptions{Optimizer: adam(t, 0.01),
		Loss: "categorical_crossentropy", Metrics: [][]any{{"accuracy"}}, Seed: 9})
}

// Training that is killed in the middle of an epoch and goes on from its checkpoint gives the weights, and
// the history, of training that was never killed.
func TestResumeIsExact(t *testing.T) {
	fit := func(m *train.Model, ctx context.Context, extra ...train.Callback) (*train.History, error) {
		return m.Fit(ctx, xor(4, 200), train.FitOptions{Epochs: 4, Shuffle: true, ValidationSplit: 0.1, Callbacks: append([]train.Callback{
			&train.ReduceLROnPlateau{Monitor: "loss", Patience: 1, MinDelta: 0.05}, &train.EarlyStopping{Patience: 10}}, extra...)})
	}
	whole := dropoutModel(t)
	want, err := fit(whole, context.Background(), &train.BackupAndRestore{Path: filepath.Join(t.TempDir(), "c.npz")})
	require.NoError(t, err)
	for _, stop := range []int{1, 4, 6, 7, 13} { // batches; an epoch has 6
		path := filepath.Join(t.TempDir(), "c.npz")
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		first := dropoutModel(t)
		b := &train.BackupAndRestore{Path: path}
		_, err := fit(first, ctx, &killer{&n, stop, cancel, b})
		require.True(t, errors.Is(err, context.Canceled), "%v", err)
		n = -1000
		second := dropoutModel(t)
		got, err := fit(second, context.Background(), &killer{&n, stop, cancel, b})
		require.NoError(t, err)
		for _, w := range whole.Weights() {
			require.Equal(t, whole.Value(w.Name).Bytes(), second.Value(w.Name).Bytes(), "%s, stopped at %d", w.Name, stop)
		}
		require.Equal(t, want.Values, got.Values, "stopped at %d", stop)
		_, err = os.Stat(path)
		require.True(t, os.IsNotExist(err))
	}
}

// killer is a backup whose fit ends after some batches.
type killer struct {
	n      *int
	stop   int
	cancel func()
	*train.BackupAndRestore
}

func (k *killer) OnBatchEnd(f *train.Fit, batch int, logs train.Logs) error {
	if *k.n++; *k.n == k.stop {
		k.cancel()
	}
	return k.BackupAndRestore.OnBatchEnd(f, batch, logs)
}

func TestEarlyStoppingRestoresBest(t *testing.T) {
	m := dropoutModel(t)
	es := &train.EarlyStopping{Monitor: "watched", Mode: "min", Patience: 2, RestoreBestWeights: true}
	var best []byte
	values := []float64{3, 1, 2, 2, 0}
	_, err := m.Fit(context.Background(), xor(1, 64), train.FitOptions{Epochs: 5, Callbacks: []train.Callback{&train.Lambda{
		EpochEnd: func(f *train.Fit, epoch int, logs train.Logs) error {
			if epoch == 1 {
				best = m.Value("dense_1/kernel").Bytes()
			}
			return es.OnEpochEnd(f, epoch, train.Logs{{Name: "watched", Values: values[epoch : epoch+1]}})
		},
		TrainEnd: es.OnTrainEnd}}})
	require.NoError(t, err)
	require.Equal(t, 3, es.StoppedEpoch())
	require.Equal(t, best, m.Value("dense_1/kernel").Bytes())
}

func TestSchedulerAndPlateau(t *testing.T) {
	m := dropoutModel(t)
	_, err := m.Fit(context.Background(), xor(1, 64), train.FitOptions{Epochs: 3, Callbacks: []train.Callback{
		&train.LearningRateScheduler{Schedule: func(epoch int, lr float64) float64 { return lr / 2 }}}})
	require.NoError(t, err)
	require.InDelta(t, 0.01/8, m.LearningRate(), 1e-12)
	p := &train.ReduceLROnPlateau{Monitor: "watched", Mode: "min", Factor: 0.5, Patience: 2}
	_, err = m.Fit(context.Background(), xor(1, 64), train.FitOptions{Epochs: 4, Callbacks: []train.Callback{&train.Lambda{
		EpochEnd: func(f *train.Fit, epoch int, logs train.Logs) error {
			return p.OnEpochEnd(f, epoch, train.Logs{{Name: "watched", Values: []float64{1}}})
		}}}})
	require.NoError(t, err)
	require.InDelta(t, 0.01/16, m.LearningRate(), 1e-9)
}

func TestFilesOfCallbacks(t *testing.T) {
	dir := t.TempDir()
	m := dropoutModel(t)
	h, err := m.Fit(context.Background(), xor(1, 128), train.FitOptions{Epochs: 2, ValidationSplit: 0.25, Callbacks: []train.Callback{
		&train.CSVLogger{Path: filepath.Join(dir, "log.csv")},
		&train.ModelCheckpoint{Path: filepath.Join(dir, "w.{epoch:02d}.{val_loss:.3f}.npz")},
		&train.TensorBoard{Dir: filepath.Join(dir, "tb"), UpdateFreq: 1},
		train.TerminateOnNaN{}}})
	require.NoError(t, err)
	csv, err := os.ReadFile(filepath.Join(dir, "log.csv"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(csv)), "\n")
	require.Equal(t, "epoch,accuracy,loss,val_accuracy,val_loss", lines[0])
	require.Len(t, lines, 3)
	saved, err := filepath.Glob(filepath.Join(dir, "w.02.0.*.npz"))
	require.NoError(t, err)
	require.Len(t, saved, 1)
	other := dropoutModel(t)
	require.NoError(t, other.LoadWeights(saved[0]))
	require.Equal(t, m.Value("dense_1/kernel").Bytes(), other.Value("dense_1/kernel").Bytes())
	for _, run := range []string{"train", "validation"} {
		checkEvents(t, filepath.Join(dir, "tb", run))
	}
	p, err := json.Marshal(h)
	require.NoError(t, err)
	var back train.History
	require.NoError(t, json.Unmarshal(p, &back))
	require.Equal(t, h.Values, back.Values)
}

// checkEvents reads the records of an event file and checks their checksums.
func checkEvents(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	p, err := os.ReadFile(files[0])
	require.NoError(t, err)
	mask := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	n := 0
	for len(p) > 0 {
		size := int(binary.LittleEndian.Uint64(p))
		require.Equal(t, mask(p[:8]), binary.LittleEndian.Uint32(p[8:]))
		require.Equal(t, mask(p[12:12+size]), binary.LittleEndian.Uint32(p[12+size:]))
		p = p[16+size:]
		n++
	}
	require.Greater(t, n, 2)
}
