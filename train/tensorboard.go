package train

import (
	"encoding/binary"
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
	msg := protowire.AppendTag(event(0), 3, protowire.BytesType)
	return e, e.record(protowire.AppendString(msg, "brain.Event:2"))
}

// Scalar adds a number under a tag.
func (e *EventWriter) Scalar(tag string, step int64, v float64) error {
	value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), tag)
	value = protowire.AppendFixed32(protowire.AppendTag(value, 2, protowire.Fixed32Type), math.Float32bits(float32(v)))
	summary := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), value)
	msg := protowire.AppendTag(event(step), 5, protowire.BytesType)
	return e.record(protowire.AppendBytes(msg, summary))
}

// Start says that the events of a run from that step on come anew: TensorBoard drops those it has.
func (e *EventWriter) Start(step int64) error {
	session := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // SessionLog.START
	return e.record(protowire.AppendBytes(protowire.AppendTag(event(step), 7, protowire.BytesType), session))
}

// histogramBuckets is the number of bars of a histogram, as in TensorFlow.
const histogramBuckets = 30

// Histogram adds the distribution of numbers under a tag.
func (e *EventWriter) Histogram(tag string, step int64, vs []float64) error {
	if len(vs) == 0 {
		return nil
	}
	lo, hi := slices.Min(vs), slices.Max(vs)
	var sum, squares float64
	buckets := make([]float64, histogramBuckets)
	width := (hi - lo) / histogramBuckets
	for _, v := range vs {
		sum, squares = sum+v, squares+v*v
		at := 0
		if width > 0 {
			at = min(int((v-lo)/width), histogramBuckets-1)
		}
		buckets[at]++
	}
	var h, limits, counts []byte
	for i, v := range []float64{lo, hi, float64(len(vs)), sum, squares} {
		h = protowire.AppendFixed64(protowire.AppendTag(h, protowire.Number(i+1), protowire.Fixed64Type), math.Float64bits(v))
	}
	for i, n := range buckets {
		limit := lo + width*float64(i+1)
		if i == histogramBuckets-1 {
			limit = hi
		}
		limits = protowire.AppendFixed64(limits, math.Float64bits(limit))
		counts = protowire.AppendFixed64(counts, math.Float64bits(n))
	}
	h = protowire.AppendBytes(protowire.AppendTag(h, 6, protowire.BytesType), limits)
	h = protowire.AppendBytes(protowire.AppendTag(h, 7, protowire.BytesType), counts)
	value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), tag)
	value = protowire.AppendBytes(protowire.AppendTag(value, 5, protowire.BytesType), h)
	summary := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), value)
	return e.record(protowire.AppendBytes(protowire.AppendTag(event(step), 5, protowire.BytesType), summary))
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
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%d.%s.%d.v2", time.Now().UnixNano()/1e9, host, os.Getpid())))
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
