package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/job"
	"github.com/nnrt/nnrt/train"
)

// trainFlags is what train, finetune, evaluate and predict have in common, and train's own.
type trainFlags struct {
	job.Options
	history             string
	asJSON              bool
	stop, reduce        int
	monitor, csv, board string
	onNaN               bool
}

func (fl *trainFlags) dataFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&fl.Data.Path, "data", "", "`DIR` of pictures (a folder a class), .csv or .npz")
	f.StringVar(&fl.Data.Target, "target", "", "column of the target in a .csv (default: the last)")
	f.IntVar(&fl.Batch, "batch", 32, "rows in a batch")
	f.Float32Var(&fl.Data.Scale, "scale", 1, "factor for the bytes of pictures")
	f.Float32Var(&fl.Data.Offset, "offset", 0, "what is added to pictures after scaling")
	f.StringVar(&fl.Data.Preprocess, "preprocess", "", "how pictures become input, as Keras' preprocess_input: tf, caffe, torch or none")
	f.StringVar(&fl.Loss, "loss", "", "loss `SPEC` (default: the model's own, or one that fits the output)")
	f.StringVar(&fl.Metrics, "metrics", "", "metrics, separated by commas")
	f.StringVar(&fl.Weights, "weights", "", "`FILE` of weights for an architecture")
	f.BoolVar(&fl.asJSON, "json", false, "JSON on standard output, a line an epoch where there are epochs")
	_ = cmd.MarkFlagRequired("data")
}

func (fl *trainFlags) fitFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&fl.Output, "output", "o", "", "`DST`: .keras, .h5, .weights.h5 or .onnx")
	f.BoolVar(&fl.Force, "force", false, "overwrite DST")
	f.IntVar(&fl.Epochs, "epochs", 10, "passes over the data")
	f.IntVar(&fl.StepsPerEpoch, "steps-per-epoch", 0, "end an epoch after `N` batches (0: all)")
	f.Float64Var(&fl.Split, "validation-split", 0, "part of the data, at its end, to validate on")
	f.StringVar(&fl.Validation, "validation-data", "", "`DIR`, .csv or .npz to validate on")
	f.IntVar(&fl.ValidationFreq, "validation-freq", 1, "epochs from one validation to the next")
	f.StringVar(&fl.Optimizer, "optimizer", "", "optimizer `SPEC`, such as 'sgd(momentum=0.9)' (default: the model's own, with its state, or adam)")
	f.BoolVar(&fl.Fresh, "fresh-optimizer", false, "do not go on from the optimizer's state in the model's file")
	f.Float64Var(&fl.LearningRate, "learning-rate", 0, "learning rate (default: the optimizer's)")
	f.StringArrayVar(&fl.Factors, "lr-factor", nil, "`PATTERN=F`: F times the learning rate for the weights whose names fit")
	f.StringVar(&fl.WeightedMetrics, "weighted-metrics", "", "metrics that sample weights count for")
	f.StringVar(&fl.ClassWeight, "class-weight", "", "`CLASS:WEIGHT,...` or balanced")
	f.Uint64Var(&fl.Seed, "seed", 1, "of shuffling, dropout and new weights")
	f.BoolVar(&fl.NoShuffle, "no-shuffle", false, "take the rows in order")
	f.StringVar(&fl.Augment, "augment", "", "change pictures at random: flip, flip_vertical, rotation=F, zoom=F, translation=F, contrast=F, brightness=F")
	f.StringArrayVar(&fl.Freeze, "freeze", nil, "`PATTERN` of layers or weights to keep as they are, such as 'block*'")
	f.StringVar(&fl.Checkpoint, "checkpoint", "", "`FILE` that holds the training's state (default: DST.checkpoint)")
	f.IntVar(&fl.CheckpointEvery, "checkpoint-every", 0, "write it each `N` batches (0: each epoch)")
	f.BoolVar(&fl.Resume, "resume", false, "go on from the checkpoint, where there is one")
	f.StringVar(&fl.history, "history", "", "write the history to `FILE.json`, for nnrt plot")
	f.IntVar(&fl.stop, "early-stopping", 0, "stop after `N` epochs without a better --monitor, keeping the best weights")
	f.IntVar(&fl.reduce, "reduce-lr", 0, "a tenth of the learning rate after `N` epochs without a better --monitor")
	f.StringVar(&fl.monitor, "monitor", "val_loss", "what --early-stopping and --reduce-lr watch")
	f.StringVar(&fl.csv, "csv-log", "", "write each epoch to `FILE.csv`")
	f.StringVar(&fl.board, "tensorboard", "", "write event files for TensorBoard to `DIR`")
	f.BoolVar(&fl.onNaN, "terminate-on-nan", false, "end without an error where the loss is NaN or infinite")
	f.StringArrayVar(&fl.Callbacks, "callback", nil, "callback `SPEC`, such as 'ModelCheckpoint(filepath=m.{epoch:02d}.keras)'; may be repeated")
}

const specHelp = `
A SPEC is a Keras name, with parameters where they differ from the defaults: adam(learning_rate=0.01, clipnorm=1),
sgd(learning_rate=cosine_decay(initial_learning_rate=0.1, decay_steps=1000)), huber(delta=2), or Keras' JSON.

Ctrl-C ends the training after the running step, with a checkpoint written; --resume goes on from there, also after
a crash, and comes to the same weights as a training that was never ended.`

func (a *app) trainCmd() *cobra.Command {
	var fl trainFlags
	plan := false
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model: a Keras architecture, a Keras file or an ONNX file",
		Long: "Trains a model: a Keras architecture (.json), a Keras file or an ONNX file, on pictures in folders, a .csv or an .npz.\n" +
			"Keras files that it writes keep the optimizer's state, and training them goes on from it.\n" + specHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if plan {
				return a.trainPlan(&fl)
			}
			return a.train(cmd.Context(), &fl, func(ctx context.Context) (*job.Result, error) { return job.Train(ctx, fl.Options) })
		},
	}
	cmd.Flags().StringVar(&fl.Model, "model", "", "`FILE`: .json (architecture), .keras, .h5 or .onnx")
	cmd.Flags().BoolVar(&plan, "plan", false, "print the memory of a training step, planned for a first batch, and train nothing")
	_ = cmd.MarkFlagRequired("model")
	fl.dataFlags(cmd)
	fl.fitFlags(cmd)
	return cmd
}

// prepare turns flags into options.
func (a *app) prepare(fl *trainFlags) (func() error, error) {
	dev, err := a.device()
	if err != nil {
		return nil, err
	}
	fl.Device, fl.Log = dev, a.stderr
	if !a.quiet {
		if fl.Verbose = 2; isTerminal(a.stderr) {
			fl.Verbose = 1
		}
	}
	_, fl.Plain = os.LookupEnv("NO_COLOR")
	fl.Plain = fl.Plain || os.Getenv("TERM") == "dumb"
	if a.quiet {
		fl.Log = nil
	}
	if (fl.stop > 0 || fl.reduce > 0) && strings.HasPrefix(fl.monitor, "val_") && fl.Split == 0 && fl.Validation == "" {
		return nil, errUsage{errs.Errorf("%s takes data to validate on: --validation-split or --validation-data, or another --monitor", fl.monitor)}
	}
	watch := "monitor=" + fmt.Sprintf("%q", fl.monitor)
	add := func(on bool, format string, args ...any) {
		if on {
			fl.Callbacks = append(fl.Callbacks, fmt.Sprintf(format, args...))
		}
	}
	add(fl.stop > 0, "EarlyStopping(%s,patience=%d,restore_best_weights=true)", watch, fl.stop)
	add(fl.reduce > 0, "ReduceLROnPlateau(%s,patience=%d)", watch, fl.reduce)
	add(fl.csv != "", "CSVLogger(filename=%q)", fl.csv)
	add(fl.board != "", "TensorBoard(log_dir=%q)", fl.board)
	add(fl.onNaN, "TerminateOnNaN()")
	if fl.asJSON {
		fl.OnEpoch = func(epoch int, logs train.Logs) error {
			return a.printJSON(map[string]any{"epoch": epoch, "epochs": fl.Epochs, "logs": jsonLogs(logs)})
		}
	}
	return dev.Close, nil
}

// train runs a training and reports on it.
func (a *app) train(ctx context.Context, fl *trainFlags, do func(ctx context.Context) (*job.Result, error)) error {
	done, err := a.prepare(fl)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	r, err := do(ctx)
	if r != nil && r.History != nil && len(r.History.Epoch) > 0 {
		if e := a.report(fl, r); err == nil {
			err = e
		}
	}
	return jobError(err)
}

// trainPlan prints what a training step would take.
func (a *app) trainPlan(fl *trainFlags) error {
	done, err := a.prepare(fl)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	m, err := job.Memory(fl.Options)
	if err != nil {
		return jobError(err)
	}
	if fl.asJSON {
		return a.printJSON(struct {
			train.Memory
			Must  int64   `json:"must_live"`
			Ratio float64 `json:"ratio"`
		}{m, m.Must(), m.Ratio()})
	}
	return m.Write(a.stdout)
}

// report writes the history.
func (a *app) report(fl *trainFlags, r *job.Result) error {
	if fl.history != "" {
		err := atomicfile.Write(fl.history, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", " ")
			return e.Encode(r.History)
		})
		if err != nil {
			return err
		}
	}
	if fl.asJSON {
		return a.printJSON(r.History)
	}
	return nil
}

// jobError gives errors of package job the command's exit codes.
func jobError(err error) error {
	var usage job.UsageError
	var file job.FileError
	switch {
	case errors.As(err, &usage):
		return errUsage{err}
	case errors.As(err, &file):
		return errFile{file.Path, err}
	}
	return err
}

// jsonLogs is logs as JSON takes them: a number a name, or a list; null for what is no number.
func jsonLogs(logs train.Logs) map[string]any {
	out := map[string]any{}
	for _, l := range logs {
		vs := jsonNumbers(l.Values)
		if out[l.Name] = vs; len(vs) == 1 {
			out[l.Name] = vs[0]
		}
	}
	return out
}

func jsonNumbers(list []float64) []any {
	vs := make([]any, len(list))
	for i, v := range list {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			vs[i] = v
		}
	}
	return vs
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && !strings.Contains(f.Name(), os.DevNull)
}
