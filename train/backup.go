package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// SaveWeights writes all parameters to an .npz file by name.
func (m *Model) SaveWeights(path string) error {
	all := map[string]*tensor.Tensor{}
	for _, p := range m.infer.Params {
		all[p.Name] = m.value(p.Name)
	}
	return npz.Write(path, all)
}

// LoadWeights reads what SaveWeights wrote. Names or shapes that differ are an error, and nothing changes.
func (m *Model) LoadWeights(path string) error {
	all, err := npz.Read(path)
	if err != nil {
		return err
	}
	for _, p := range m.infer.Params {
		t := all[p.Name]
		if t == nil {
			return errs.Errorf("train: %s has no weight %q", path, p.Name)
		}
		if old := m.value(p.Name); !tensor.SameShape(old, t) || old.DType() != t.DType() {
			return errs.Errorf("train: weight %q is %v%v, in %s %v%v", p.Name, old.DType(), old.Shape(), path, t.DType(), t.Shape())
		}
	}
	for _, p := range m.infer.Params {
		if err := m.SetValue(p.Name, all[p.Name]); err != nil {
			return err
		}
	}
	return nil
}

// tensorKeeper is a Keeper that holds tensors too.
type tensorKeeper interface {
	keepTensors() map[string]*tensor.Tensor
	takeTensors(map[string]*tensor.Tensor)
}

func (c *EarlyStopping) keepTensors() map[string]*tensor.Tensor { return c.w }

func (c *EarlyStopping) takeTensors(w map[string]*tensor.Tensor) {
	if len(w) > 0 {
		c.w = w
	}
}

// backup is the JSON part of a checkpoint.
type backup struct {
	Version      int
	Tags         map[string]string
	Seed         uint64
	Steps        int64
	LearningRate *float64 // nil: a schedule's
	Position     position
	Callbacks    []json.RawMessage
}

// stateKey is the array of a checkpoint that holds its JSON; no parameter has such a name.
const stateKey = "//state"

// BackupAndRestore writes a checkpoint after each epoch, or each SaveFreq batches, and when the fit's
// context ends; a fit that finds one goes on from there, and comes to the same weights, bit for bit, as one
// that was never ended. Data, options and the other callbacks have to be the same. The file is complete at
// any moment, and removed at the end of a fit that was not interrupted, unless Keep is set.
type BackupAndRestore struct {
	Path     string
	SaveFreq int // batches; 0: epochs
	Keep     bool
	// Tags describe the fit: data, batch size, whatever has to be the same. A checkpoint of other tags is
	// refused, naming the first that differs.
	Tags map[string]string
	// Fresh begins anew even where there is a checkpoint, which the next one replaces.
	Fresh bool

	interrupted bool
}

// save writes the checkpoint: the next batch is number batch of an epoch.
func (c *BackupAndRestore) save(f *Fit, epoch, batch int) error {
	m := f.Model
	b := backup{Version: 1, Tags: c.Tags, Seed: m.seed, Steps: m.steps, Position: *snapshotMetrics(m.c)}
	if o := m.optimizer(); o.LearningRate.Schedule == nil {
		b.LearningRate = &o.LearningRate.Value
	}
	b.Position.Epoch, b.Position.Batch, b.Position.Stop, b.Position.History = epoch, batch, f.stop, f.History
	all := m.snapshot()
	for i, cb := range f.Options.Callbacks {
		var raw json.RawMessage
		if k, ok := cb.(Keeper); ok {
			var err error
			if raw, err = k.Keep(); err != nil {
				return err
			}
		}
		b.Callbacks = append(b.Callbacks, raw)
		if k, ok := cb.(tensorKeeper); ok {
			for name, t := range k.keepTensors() {
				all[callbackKey(i)+name] = t
			}
		}
	}
	p, err := json.Marshal(b)
	if err != nil {
		return err
	}
	all[stateKey] = tensor.Of(p)
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o755); err != nil {
		return err
	}
	return npz.Write(c.Path, all)
}

func callbackKey(i int) string { return fmt.Sprintf("//callback%d/", i) }

// restore puts a checkpoint back, if there is one.
func (c *BackupAndRestore) restore(f *Fit) error {
	c.interrupted = false
	if c.Fresh {
		return nil
	}
	if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	all, b, err := readBackup(c.Path)
	if err != nil {
		return err
	}
	if err := c.sameTags(b.Tags); err != nil {
		return err
	}
	if len(b.Callbacks) != len(f.Options.Callbacks) {
		return errs.Errorf("train: checkpoint %s %w: one with %d callbacks, this has %d", c.Path, ErrOtherFit, len(b.Callbacks), len(f.Options.Callbacks))
	}
	for i, cb := range f.Options.Callbacks {
		own := map[string]*tensor.Tensor{}
		for k, t := range all {
			if name, ok := strings.CutPrefix(k, callbackKey(i)); ok {
				own[name] = t
				delete(all, k)
			}
		}
		if k, ok := cb.(Keeper); ok && b.Callbacks[i] != nil {
			if err := k.Take(b.Callbacks[i]); err != nil {
				return err
			}
		}
		if k, ok := cb.(tensorKeeper); ok {
			k.takeTensors(own)
		}
	}
	m := f.Model
	if err := m.restore(all); err != nil {
		return errs.Errorf("%s: %w", c.Path, err)
	}
	m.seed, m.steps = b.Seed, b.Steps
	if b.LearningRate != nil {
		if err := m.SetLearningRate(*b.LearningRate); err != nil {
			return err
		}
	}
	if b.Position.History == nil || b.Position.History.Values == nil {
		b.Position.History = &History{Values: map[string][]float64{}}
	}
	f.Options.resume, f.stop = &b.Position, b.Position.Stop
	// Metrics named by shape are resolved at the first batch: the state has to wait for them.
	if first, err := firstBatch(f.data, f.order()); err == nil {
		if fed, err := m.feed(first, 0, true); err == nil {
			return m.c.buildMetrics(fed, m.outputTypes())
		}
	}
	return nil
}

func readBackup(path string) (map[string]*tensor.Tensor, backup, error) {
	var b backup
	all, err := npz.Read(path)
	if err != nil {
		return nil, b, errs.Errorf("train: checkpoint: %w", err)
	}
	state := all[stateKey]
	if state == nil || state.DType() != tensor.Uint8 {
		return nil, b, errs.Errorf("train: %s is no checkpoint", path)
	}
	delete(all, stateKey)
	if err := json.Unmarshal(tensor.As[uint8](state), &b); err != nil {
		return nil, b, errs.Errorf("train: checkpoint %s: %w", path, err)
	}
	return all, b, nil
}

// CheckpointTags is the tags of the fit that a checkpoint is of.
func CheckpointTags(path string) (map[string]string, error) {
	_, b, err := readBackup(path)
	return b.Tags, err
}

// ErrOtherFit is wrapped by errors about checkpoints that this fit can't go on from.
var ErrOtherFit = errors.New("is of another fit")

// sameTags compares what a checkpoint was made of with this fit.
func (c *BackupAndRestore) sameTags(saved map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(c.Tags)) {
		if got, ok := saved[k]; !ok || got != c.Tags[k] {
			if len(got)+len(c.Tags[k]) > 100 {
				return errs.Errorf("train: checkpoint %s %w: another %s", c.Path, ErrOtherFit, k)
			}
			return errs.Errorf("train: checkpoint %s %w: one with %s %s, this has %s", c.Path, ErrOtherFit, k, orName(got, "unknown"), c.Tags[k])
		}
	}
	return nil
}

func firstBatch(d data.Dataset, o data.Order) (data.Batch, error) {
	for b, err := range d.Batches(o) {
		return b, err
	}
	return data.Batch{}, data.ErrEmpty
}

// OnBatchEnd implements BatchEnder.
func (c *BackupAndRestore) OnBatchEnd(f *Fit, batch int, _ Logs) error {
	if c.SaveFreq > 0 && (batch+1)%c.SaveFreq == 0 {
		return c.save(f, f.Epoch, batch+1)
	}
	return nil
}

// OnEpochEnd implements EpochEnder.
func (c *BackupAndRestore) OnEpochEnd(f *Fit, epoch int, _ Logs) error { return c.save(f, epoch+1, 0) }

// OnInterrupt implements Interrupter.
func (c *BackupAndRestore) OnInterrupt(f *Fit) error {
	c.interrupted = true
	return c.save(f, f.Epoch, f.Batch)
}

// OnTrainEnd implements TrainEnder.
func (c *BackupAndRestore) OnTrainEnd(f *Fit) error {
	if c.Keep || c.interrupted || f.Epoch < f.Epochs && f.stop == "" {
		return nil
	}
	if err := os.Remove(c.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ModelCheckpoint writes the model after each epoch. In Path, {epoch} (from 1) and the names of logs are
// replaced, with formats as in Python: {epoch:02d}, {val_loss:.2f}.
type ModelCheckpoint struct {
	Path         string
	Monitor      string // empty: val_loss
	Mode         string
	SaveBestOnly bool
	Threshold    *float64 // initial_value_threshold
	SaveFreq     int      // epochs; 0: 1
	SaveBatches  int      // above 0: batches from one save to the next, instead of epochs
	// Save writes the model; nil is Model.SaveWeights.
	Save func(path string, m *Model) error

	st struct {
		Best exact
		Seen int // batches since the last save
	}
}

func (c *ModelCheckpoint) wantsBatches() bool { return c.SaveBatches > 0 }

// OnBatchEnd implements BatchEnder.
func (c *ModelCheckpoint) OnBatchEnd(f *Fit, batch int, logs Logs) error {
	if c.SaveBatches <= 0 {
		return nil
	}
	if c.st.Seen++; c.st.Seen < c.SaveBatches {
		return nil
	}
	c.st.Seen = 0
	return c.save(f, f.Epoch, append(logs[:len(logs):len(logs)], Log{"batch", []float64{float64(batch + 1)}}))
}

// OnTrainBegin implements TrainBeginner.
func (c *ModelCheckpoint) OnTrainBegin(f *Fit) error {
	if f.Options.resume == nil {
		if c.st.Best = nil; c.Threshold != nil {
			c.st.Best = exact{*c.Threshold}
		}
	}
	return nil
}

// OnEpochEnd implements EpochEnder.
func (c *ModelCheckpoint) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	if c.SaveBatches > 0 || (epoch+1)%max(c.SaveFreq, 1) != 0 {
		return nil
	}
	return c.save(f, epoch, logs)
}

func (c *ModelCheckpoint) save(f *Fit, epoch int, logs Logs) error {
	if c.SaveBestOnly {
		name := orName(c.Monitor, "val_loss")
		v, ok := logs.Get(name)
		isBetter, _, err := f.direction(c.Mode, name)
		if err != nil {
			return err
		}
		if !ok {
			return errs.Errorf("train: ModelCheckpoint watches %q, which is not among the logs", name)
		}
		if old := best(c.st.Best); old != nil && !isBetter(v, *old) {
			return nil
		}
		c.st.Best = exact{v}
	}
	path, err := fillIn(c.Path, epoch+1, logs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if c.Save != nil {
		return c.Save(path, f.Model)
	}
	return f.Model.SaveWeights(path)
}

// Keep implements Keeper.
func (c *ModelCheckpoint) Keep() (json.RawMessage, error) { return json.Marshal(c.st) }

// Take implements Keeper.
func (c *ModelCheckpoint) Take(p json.RawMessage) error { return json.Unmarshal(p, &c.st) }

// fillIn replaces {name:format} by numbers.
func fillIn(path string, epoch int, logs Logs) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(path, "{")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		field, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", errs.Errorf("train: path %q has a { without its }", path)
		}
		path = after
		name, format, _ := strings.Cut(field, ":")
		switch v, found := logs.Get(name); {
		case name == "epoch":
			width, _ := strconv.Atoi(strings.TrimSuffix(format, "d"))
			if strings.HasPrefix(format, "0") {
				fmt.Fprintf(&out, "%0*d", width, epoch)
			} else {
				fmt.Fprintf(&out, "%*d", width, epoch)
			}
		case !found:
			return "", errs.Errorf("train: path asks for %q, which is not among the logs", name)
		case strings.HasSuffix(format, "f"):
			digits, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(format, "."), "f"))
			if err != nil {
				return "", errs.Errorf("train: path has the format %q; .2f and its like are known", format)
			}
			fmt.Fprintf(&out, "%.*f", digits, v)
		default:
			fmt.Fprint(&out, v)
		}
	}
}
