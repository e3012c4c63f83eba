package train_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
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
		&train.TensorBoard{Dir: filepath.Join(dir, "tb"), UpdateFreq: 1, HistogramFreq: 1},
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

// checkEvents decodes an event file from the specifications alone (TFRecord framing with CRC-32C bit by bit, protobuf's
// wire format, event.proto and summary.proto), and checks order, tags and values.
func checkEvents(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	p, err := os.ReadFile(files[0])
	require.NoError(t, err)
	tags := map[string][]float32{}
	histograms := 0
	for n := 0; len(p) > 0; n++ {
		size := int(binary.LittleEndian.Uint64(p))
		require.Equal(t, masked(p[:8]), binary.LittleEndian.Uint32(p[8:]))
		require.Equal(t, masked(p[12:12+size]), binary.LittleEndian.Uint32(p[12+size:]))
		event := wire(t, p[12:12+size])
		require.Greater(t, math.Float64frombits(binary.LittleEndian.Uint64(event[1][0])), 1.5e9) // wall_time
		if n == 0 {
			require.Equal(t, "brain.Event:2", string(event[3][0]))
		} else {
			for _, summary := range event[5] {
				for _, v := range wire(t, summary)[1] {
					value := wire(t, v)
					tensor, tag := wire(t, value[8][0]), string(value[1][0])
					switch plugin := string(wire(t, wire(t, value[9][0])[1][0])[1][0]); plugin {
					case "histograms":
						histograms++
						checkHistogram(t, tensor)
					case "scalars":
						require.EqualValues(t, 1, tensor[1][0][0]) // DT_FLOAT
						require.Empty(t, tensor[2][0])             // rank 0
						tags[tag] = append(tags[tag], math.Float32frombits(binary.LittleEndian.Uint32(tensor[4][0])))
					default:
						require.Fail(t, "plugin", plugin)
					}
				}
			}
		}
		p = p[16+size:]
	}
	require.Len(t, tags["epoch_loss"], 2)
	require.Len(t, tags["epoch_accuracy"], 2)
	for tag, vs := range tags {
		for _, v := range vs {
			require.True(t, v > 0 && v < 10, "%s: %v", tag, v)
		}
	}
	if strings.HasSuffix(dir, "train") {
		require.Equal(t, []float32{0.01, 0.01}, tags["epoch_learning_rate"])
		require.Len(t, tags["batch_loss"], 6)
		require.Equal(t, 8, histograms) // four weights, two epochs
	} else {
		require.Len(t, tags["evaluation_loss_vs_iterations"], 2)
	}
}

// checkHistogram: thirty bars (one, where all numbers are the same) that touch, and hold something.
func checkHistogram(t *testing.T, h map[int][][]byte) {
	t.Helper()
	require.EqualValues(t, 2, h[1][0][0]) // DT_DOUBLE
	bars, total := binary.LittleEndian.Uint64(wire(t, wire(t, h[2][0])[2][0])[1][0]), 0.0
	require.EqualValues(t, 3, wire(t, wire(t, h[2][0])[2][1])[1][0][0])
	require.Contains(t, []uint64{1, 30}, bars)
	require.Len(t, h[4][0], 24*int(bars))
	at := func(row, col int) float64 {
		return math.Float64frombits(binary.LittleEndian.Uint64(h[4][0][24*row+8*col:]))
	}
	for i := range int(bars) {
		require.Less(t, at(i, 0), at(i, 1))
		if i > 0 {
			require.InDelta(t, at(i-1, 1), at(i, 0), 1e-12)
		}
		total += at(i, 2)
	}
	require.Positive(t, total)
}

// masked is TFRecord's masked CRC-32C, computed bit by bit (polynomial 0x1EDC6F41, reflected).
func masked(p []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range p {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78&-(crc&1)
		}
	}
	crc = ^crc
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// wire is a message's fields: varints as eight bytes, the others as they are.
func wire(t *testing.T, p []byte) map[int][][]byte {
	t.Helper()
	out := map[int][][]byte{}
	for len(p) > 0 {
		key, n := binary.Uvarint(p)
		require.Positive(t, n)
		p = p[n:]
		var v []byte
		switch key & 7 {
		case 0:
			x, n := binary.Uvarint(p)
			require.Positive(t, n)
			v, p = binary.LittleEndian.AppendUint64(nil, x), p[n:]
		case 1:
			v, p = p[:8], p[8:]
		case 2:
			size, n := binary.Uvarint(p)
			require.Positive(t, n)
			v, p = p[n:n+int(size)], p[n+int(size):]
		case 5:
			v, p = p[:4], p[4:]
		default:
			require.Fail(t, "wire type", "%d", key&7)
		}
		out[int(key>>3)] = append(out[int(key>>3)], v)
	}
	return out
}
