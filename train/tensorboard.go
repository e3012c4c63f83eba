package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// EventWriter writes TensorBoard's event files: TFRecord frames around Event messages
// (https://github.com/tensorflow/tensorboard, event.proto and summary.proto).
type EventWriter struct{ w io.Writer }

// NewEventWriter starts a file with its version record.
func NewEventWriter(w io.Writer) (*EventWriter, error) {
	e := &EventWriter{w}
	return e, e.record(field(event(0), 3, []byte("brain.Event:2")))
}

// Scalar adds a number under a tag, as TensorFlow 2 does: a tensor for TensorBoard's plugin of scalars.
func (e *EventWriter) Scalar(tag string, step int64, v float64) error {
	content := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v)))
	return e.tensor(tag, step, "scalars", 1, 1, nil, content)
}

// tensor adds a tensor of that type (DataType of types.proto) under a tag; class is the DataClass of summary.proto.
func (e *EventWriter) tensor(tag string, step int64, plugin string, class, dtype uint64, shape []int, content []byte) error {
	var dims []byte
	for _, n := range shape {
		dims = field(dims, 2, number(nil, 1, uint64(n)))
	}
	t := field(field(number(nil, 1, dtype), 2, dims), 4, content)
	meta := number(field(nil, 1, field(nil, 1, []byte(plugin))), 4, class)
	value := field(field(field(nil, 1, []byte(tag)), 8, t), 9, meta)
	return e.record(field(event(step), 5, field(nil, 1, value)))
}

// field appends a message's field of bytes, number one of an integer.
func field(p []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(p, num, protowire.BytesType), v)
}

func number(p []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(p, num, protowire.VarintType), v)
}

// Start says that the events of a run from that step on come anew: TensorBoard drops those it has.
func (e *EventWriter) Start(step int64) error {
	return e.record(field(event(step), 7, number(nil, 1, 1))) // SessionLog.START
}

// histogramBuckets is the number of bars of a histogram, as in TensorFlow.
const histogramBuckets = 30

// Histogram adds the distribution of numbers under a tag.
func (e *EventWriter) Histogram(tag string, step int64, vs []float64) error {
	if len(vs) == 0 {
		return nil
	}
	lo, hi, count := slices.Min(vs), slices.Max(vs), histogramBuckets
	if lo == hi { // one bar around the number
		lo, hi, count = lo-0.5, hi+0.5, 1
	}
	buckets := make([]float64, count)
	width := (hi - lo) / float64(count)
	for _, v := range vs {
		if at := (v - lo) / width; at >= 0 { // not NaN
			buckets[min(int(at), count-1)]++
		}
	}
	var content []byte // rows of left edge, right edge, count
	for i, n := range buckets {
		right := lo + width*float64(i+1)
		if i == count-1 {
			right = hi
		}
		for _, v := range []float64{lo + width*float64(i), right, n} {
			content = binary.LittleEndian.AppendUint64(content, math.Float64bits(v))
		}
	}
	return e.tensor(tag, step, "histograms", 2, 2, []int{count, 3}, content)
}

// event is an Event message with time and step.
func event(step int64) []byte {
	now := float64(time.Now().UnixNano()) / 1e9
	p := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(now))
	return protowire.AppendVarint(protowire.AppendTag(p, 2, protowire.VarintType), uint64(step))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is TFRecord's checksum.
func maskedCRC(p []byte) uint32 {
	c := crc32.Checksum(p, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func (e *EventWriter) record(p []byte) error {
	head := binary.LittleEndian.AppendUint64(nil, uint64(len(p)))
	head = binary.LittleEndian.AppendUint32(head, maskedCRC(head))
	frame := binary.LittleEndian.AppendUint32(append(head, p...), maskedCRC(p))
	_, err := e.w.Write(frame)
	return err
}

// TensorBoard writes losses and metrics of each epoch (and with UpdateFreq of each so many batches) to Dir,
// in the folders train and validation that Keras uses.
type TensorBoard struct {
	Dir           string
	UpdateFreq    int // batches; 0: epochs only
	HistogramFreq int // epochs from one histogram of each weight to the next; 0: none

	files   []*os.File
	writers map[string]*EventWriter
	start   int64 // the epoch that a resumed fit begins with, -1 for one from the start
}

// OnTrainBegin implements TrainBeginner.
func (c *TensorBoard) OnTrainBegin(f *Fit) error {
	c.writers, c.files, c.start = map[string]*EventWriter{}, nil, -1
	if r := f.Options.resume; r != nil {
		c.start = int64(r.Epoch)
	}
	return nil
}

func (c *TensorBoard) writer(run string) (*EventWriter, error) {
	if w := c.writers[run]; w != nil {
		return w, nil
	}
	dir := filepath.Join(c.Dir, run)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	f, err := newEvents(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%d.%s.%d", time.Now().Unix(), host, os.Getpid())))
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, f)
	w, err := NewEventWriter(f)
	c.writers[run] = w
	if err == nil && c.start >= 0 {
		err = w.Start(c.start)
	}
	return w, err
}

// newEvents makes a file that was not there: a process may begin several trainings in one second.
func newEvents(name string) (*os.File, error) {
	for n := 0; ; n++ {
		f, err := os.OpenFile(fmt.Sprintf("%s.%d.v2", name, n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}

func (c *TensorBoard) scalars(logs Logs, prefix string, step int64) error {
	for _, l := range logs {
		run, name := "train", l.Name
		if n, ok := strings.CutPrefix(l.Name, "val_"); ok {
			run, name = "validation", n
		}
		w, err := c.writer(run)
		if err != nil {
			return err
		}
		for i, v := range l.Values {
			tag := prefix + name
			if len(l.Values) > 1 {
				tag = fmt.Sprintf("%s_%d", tag, i)
			}
			if err := w.Scalar(tag, step, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *TensorBoard) wantsBatches() bool { return c.UpdateFreq > 0 }

// OnBatchEnd implements BatchEnder.
func (c *TensorBoard) OnBatchEnd(f *Fit, batch int, logs Logs) error {
	if c.UpdateFreq <= 0 || (batch+1)%c.UpdateFreq != 0 {
		return nil
	}
	return c.scalars(logs, "batch_", f.Model.steps)
}

// OnEpochEnd implements EpochEnder.
func (c *TensorBoard) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	rate := Log{"learning_rate", []float64{f.Model.LearningRate()}}
	if err := c.scalars(append(logs[:len(logs):len(logs)], rate), "epoch_", int64(epoch)); err != nil {
		return err
	}
	for _, l := range logs {
		name, ok := strings.CutPrefix(l.Name, "val_")
		if !ok || len(l.Values) != 1 {
			continue
		}
		w, err := c.writer("validation")
		if err != nil {
			return err
		}
		if err := w.Scalar("evaluation_"+name+"_vs_iterations", f.Model.steps, l.Values[0]); err != nil {
			return err
		}
	}
	if c.HistogramFreq <= 0 || epoch%c.HistogramFreq != 0 {
		return nil
	}
	w, err := c.writer("train")
	if err != nil {
		return err
	}
	for _, v := range f.Model.weights {
		t := f.Model.value(v.Name)
		if !t.DType().IsFloat() {
			continue
		}
		vs, err := t.Float64s()
		if err != nil {
			return err
		}
		if err := w.Histogram(v.Name+"/histogram", int64(epoch), vs); err != nil {
			return err
		}
	}
	return nil
}

// OnTrainEnd implements TrainEnder.
func (c *TensorBoard) OnTrainEnd(*Fit) error {
	var first error
	for _, f := range c.files {
		if err := f.Close(); first == nil {
			first = err
		}
	}
	c.files = nil
	return first
}
