// Package job is whole trainings, from the files that go in to the files that come out: what `nnrt train` and
// `nnrt finetune` do, for those who want it in a program of their own. Package train is the layer below.
package job

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// Data says where samples come from and how they become a model's inputs.
type Data struct {
	Path   string // a folder of pictures (a folder a class), a .csv or an .npz
	Target string // column of the target in a .csv; "": the last, "none": none
	// Scale and Offset bring bytes into a model's range: x*Scale + Offset. A zero Scale means 1.
	Scale, Offset float32
	// Preprocess is one of the modes of Keras' preprocess_input for pictures: tf, caffe, torch, none; "": none.
	Preprocess string
}

// Options describes a training. Zero values take the defaults that the fields name.
type Options struct {
	Model   string // an architecture (.json), a Keras file or an ONNX file
	Weights string // a file of weights for Model
	Data    Data
	// Validation is a path like Data.Path; Split instead keeps that part of the data, at its end (of folders:
	// drawn by Seed).
	Validation string
	Split      float64
	Output     string // .keras, .h5, .weights.h5 or .onnx; "": nothing is written
	Force      bool   // Output may exist

	Epochs, Batch   int // 0: 10 and 32
	StepsPerEpoch   int // 0: all batches
	ValidationFreq  int // 0: each epoch
	NoShuffle       bool
	Seed            uint64
	Loss            string // spec; "": the file's own, or one that fits output and targets
	Optimizer       string // spec; "": the file's own, or adam
	LearningRate    float64
	Factors         []string // "PATTERN=F": F times the learning rate for the weights that the pattern fits
	Metrics         string   // specs, separated by commas; "": the file's own, or accuracy for classes
	WeightedMetrics string
	ClassWeight     string   // "0:1,1:2.5", or "balanced"; "": none
	Freeze          []string // patterns of layers, or of weights
	Augment         string   // "flip,rotation=0.1,zoom=0.1": pictures changed at random
	Fresh           bool     // the optimizer begins anew, even where the file has its state

	Callbacks []string // specs
	// Checkpoint is a file that holds all that a training needs to go on; "": Output with .checkpoint
	// behind it. CheckpointEvery is the batches between two of them; 0: epochs.
	Checkpoint      string
	CheckpointEvery int
	Resume          bool // go on from Checkpoint, where there is one

	Device  devices.Device
	Verbose int                                    // 0: silent, 1: a bar, 2: a line an epoch
	Plain   bool                                   // the bar without colours
	Log     io.Writer                              // takes the progress and notices; nil: none
	OnEpoch func(epoch int, logs train.Logs) error // is told of each epoch
}

// UsageError is about what the caller asked for rather than about a file.
type UsageError struct{ Err error }

// Error is one line.
func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap is the error itself.
func (e UsageError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error { return UsageError{errs.Errorf(format, args...)} }

// FileError is about what is in a file.
type FileError struct {
	Path string
	Err  error
}

// Error names the file.
func (e FileError) Error() string {
	if strings.Contains(e.Err.Error(), e.Path) {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap is the error itself.
func (e FileError) Unwrap() error { return e.Err }

// refused names the file that an error about a batch is about.
func (o *Options) refused(err error) error {
	var batch *train.BatchError
	var picture *data.PictureError
	if errors.As(err, &picture) {
		return FileError{picture.Path, err}
	}
	if errors.Is(err, optim.ErrNoVariable) || errors.Is(err, train.ErrFrozen) || errors.Is(err, train.ErrOtherFit) {
		return UsageError{err}
	}
	if err == nil || !errors.As(err, &batch) && !errors.Is(err, data.ErrEmpty) && !errors.Is(err, data.ErrMismatch) {
		return err
	}
	if o.Validation != "" && strings.Contains(err.Error(), "validation") {
		return FileError{o.Validation, err}
	}
	return FileError{o.Data.Path, err}
}

// ErrInterrupted is wrapped by the error of a training whose context ended.
var ErrInterrupted = errors.New("interrupted")

// logf writes a notice.
func (o *Options) logf(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, format+"\n", args...)
	}
}

// tell writes what is to be known of data.
func (o *Options) tell(path string, notes []string) {
	for _, n := range notes {
		o.logf("%s: %s", path, n)
	}
}

func (o *Options) epochs() int {
	if o.Epochs == 0 {
		return 10
	}
	return o.Epochs
}

func (o *Options) batch() int {
	if o.Batch <= 0 {
		return 32
	}
	return o.Batch
}

// checkpoint is the checkpoint's file; "" where there is none.
func (o *Options) checkpoint() string {
	if o.Checkpoint == "" && o.Output != "" {
		return o.Output + ".checkpoint"
	}
	return o.Checkpoint
}
