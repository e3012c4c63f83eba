package train

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
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
	Dir        string
	UpdateFreq int // batches; 0: epochs only

	files   []*os.File
	writers map[string]*EventWriter
}

// OnTrainBegin implements TrainBeginner.
func (c *TensorBoard) OnTrainBegin(*Fit) error {
	c.writers, c.files = map[string]*EventWriter{}, nil
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
	return c.scalars(append(logs[:len(logs):len(logs)], rate), "epoch_", int64(epoch))
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
