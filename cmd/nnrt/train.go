package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// trainFlags is what train, finetune, evaluate and predict have in common, and train's own.
type trainFlags struct {
	model, weights, data, target, out   string
	epochs, batch                       int
	split                               float64
	optimizer, loss, metrics, history   string
	rate                                float64
	seed                                uint64
	noShuffle, asJSON, force, earlyStop bool
	scale, offset                       float32
	freeze                              []string
	patience                            int
	validation                          string
}

func (fl *trainFlags) dataFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&fl.data, "data", "", "`DIR` of pictures (a folder a class), .csv or .npz")
	f.StringVar(&fl.target, "target", "", "column of the target in a .csv (default: the last)")
	f.IntVar(&fl.batch, "batch", 32, "rows in a batch")
	f.Float32Var(&fl.scale, "scale", 1, "factor for the bytes of pictures")
	f.Float32Var(&fl.offset, "offset", 0, "what is added to pictures after scaling")
	f.StringVar(&fl.loss, "loss", "", "loss (default: the model's own, or one that fits the output)")
	f.StringVar(&fl.metrics, "metrics", "", "metrics, separated by commas")
	f.StringVar(&fl.weights, "weights", "", "`FILE` of weights for an architecture")
	f.BoolVar(&fl.asJSON, "json", false, "one line of JSON")
	_ = cmd.MarkFlagRequired("data")
}

func (fl *trainFlags) fitFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&fl.out, "output", "o", "", "`DST`: .keras, .h5, .weights.h5 or .onnx")
	f.IntVar(&fl.epochs, "epochs", 10, "passes over the data")
	f.Float64Var(&fl.split, "validation-split", 0, "part of the data, at its end, to validate on")
	f.StringVar(&fl.validation, "validation-data", "", "`DIR`, .csv or .npz to validate on")
	f.StringVar(&fl.optimizer, "optimizer", "", "optimizer (default: the model's own, or adam)")
	f.Float64Var(&fl.rate, "learning-rate", 0, "learning rate (default: the optimizer's)")
	f.Uint64Var(&fl.seed, "seed", 1, "of shuffling, dropout and new weights")
	f.BoolVar(&fl.noShuffle, "no-shuffle", false, "take the rows in order")
	f.StringVar(&fl.history, "history", "", "write the history to `FILE.json`")
	f.IntVar(&fl.patience, "early-stopping", 0, "stop after N epochs without a better val_loss, keeping the best weights")
	f.StringArrayVar(&fl.freeze, "freeze", nil, "`PATTERN` of weights to keep as they are, such as 'block*'")
	f.BoolVar(&fl.force, "force", false, "overwrite DST")
}

func (a *app) trainCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model: a Keras architecture, a Keras file or an ONNX file",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.train(cmd.Context(), fl) },
	}
	cmd.Flags().StringVar(&fl.model, "model", "", "`FILE`: .json (architecture), .keras, .h5 or .onnx")
	_ = cmd.MarkFlagRequired("model")
	fl.dataFlags(cmd)
	fl.fitFlags(cmd)
	return cmd
}

func (a *app) finetuneCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "finetune MODEL",
		Short: "Go on training a model, with parts of it frozen",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.model = args[0]
			return a.train(cmd.Context(), fl)
		},
	}
	fl.dataFlags(cmd)
	fl.fitFlags(cmd)
	return cmd
}

// train is both commands: load, compile, fit, save.
func (a *app) train(ctx context.Context, fl trainFlags) error {
	if fl.out != "" {
		if _, err := os.Stat(fl.out); err == nil && !fl.force {
			return errUsage{fmt.Errorf("%s exists already; use --force to overwrite it", fl.out)}
		}
	}
	s, m, err := a.trainable(fl)
	if err != nil {
		return err
	}
	for _, p := range fl.freeze {
		if m.SetTrainable(p, false) == 0 {
			return errUsage{fmt.Errorf("--freeze %q matches no weight", p)}
		}
	}
	d, err := openData(fl.data, fl, m)
	if err != nil {
		return errFile{fl.data, err}
	}
	c, err := compileOptions(s, m, d, fl)
	if err != nil {
		return err
	}
	if err := m.Compile(c); err != nil {
		return err
	}
	o := train.FitOptions{Epochs: fl.epochs, BatchSize: fl.batch, ValidationSplit: fl.split, Shuffle: !fl.noShuffle, Output: a.stderr}
	if !a.quiet {
		if o.Verbose = 2; isTerminal(a.stderr) {
			o.Verbose = 1
		}
	}
	if fl.validation != "" {
		v, err := openData(fl.validation, fl, m)
		if err != nil {
			return errFile{fl.validation, err}
		}
		o.ValidationData = v
	} else if p, ok := d.(*data.Pictures); ok && fl.split > 0 {
		o.ValidationSplit = 0
		d, o.ValidationData = split(p, fl.split, fl.seed)
	}
	if fl.patience > 0 {
		o.Callbacks = append(o.Callbacks, &train.EarlyStopping{Patience: fl.patience, RestoreBestWeights: true})
	}
	h, err := m.Fit(ctx, d, o)
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return a.saveTrained(s, m, h, fl, err)
}

func split(p *data.Pictures, part float64, seed uint64) (data.Dataset, data.Dataset) {
	x, y := p.Split(part, seed)
	return x, y
}

// saveTrained writes what was learnt, also after an interrupt.
func (a *app) saveTrained(s *nnrt.Source, m *train.Model, h *train.History, fl trainFlags, interrupted error) error {
	if fl.history != "" && h != nil {
		b, err := json.MarshalIndent(h, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(fl.history, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if fl.out != "" {
		if err := s.Update(m); err != nil {
			return err
		}
		if err := s.Export(fl.out, onnx.WriteOptions{}); err != nil {
			return errFile{fl.out, err}
		}
		fmt.Fprintln(a.stderr, "wrote", fl.out)
	}
	if fl.asJSON && h != nil {
		if err := a.printJSON(h); err != nil {
			return err
		}
	}
	return interrupted
}

// trainable loads the model to train.
func (a *app) trainable(fl trainFlags) (*nnrt.Source, *train.Model, error) {
	s, err := nnrt.ImportSource(fl.model, nnrt.ImportOptions{Weights: fl.weights})
	if err != nil {
		return nil, nil, errFile{fl.model, err}
	}
	dev, err := a.device()
	if err != nil {
		return nil, nil, err
	}
	m, err := s.Trainer(dev, fl.seed)
	if err != nil {
		return nil, nil, errFile{fl.model, err}
	}
	return s, m, nil
}

// openData opens a dataset that fits the model's first input.
func openData(path string, fl trainFlags, m *train.Model) (data.Dataset, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return data.FolderFor(path, m.Graph().Inputs[0].Type, data.FolderOptions{Scale: fl.scale, Offset: fl.offset, OneHot: width(m) > 1 && !sparse(fl.loss)})
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		t, err := data.ReadCSV(path, data.CSVOptions{Target: fl.target})
		if err != nil {
			return nil, err
		}
		return data.New(t.X, t.Y), nil
	case ".npz":
		return data.ReadNpz(path, "train")
	}
	return nil, errUsage{fmt.Errorf("--data is a folder of pictures, a .csv or an .npz")}
}

func sparse(loss string) bool { return strings.HasPrefix(loss, "sparse") }

// width is the size of the model's first output.
func width(m *train.Model) int {
	d := m.Graph().Outputs[0].Type.Dims
	if len(d) == 0 {
		return 0
	}
	n, _ := d[len(d)-1].Const()
	return n
}

// compileOptions are the flags', the model's own, or what fits its output: softmax, sigmoid or neither.
func compileOptions(s *nnrt.Source, m *train.Model, d data.Dataset, fl trainFlags) (train.CompileOptions, error) {
	var c train.CompileOptions
	if s.Keras != nil && len(s.Keras.Training) > 0 && string(s.Keras.Training) != "null" && fl.loss == "" {
		own, err := train.DecodeCompile(s.Keras.Training, s.Layers().OutputNames())
		if err == nil {
			c = own
		}
	}
	if fl.loss != "" || c.Losses == nil {
		c.Losses, c.Loss = nil, fl.loss
		if c.Loss == "" {
			c.Loss = fittingLoss(s, d)
		}
	}
	if fl.metrics != "" {
		var list []any
		for _, n := range strings.Split(fl.metrics, ",") {
			list = append(list, strings.TrimSpace(n))
		}
		c.Metrics = [][]any{list}
	} else if c.Metrics == nil && strings.Contains(c.Loss, "crossentropy") {
		c.Metrics = [][]any{{"accuracy"}}
	}
	if fl.optimizer != "" || c.Optimizer == nil {
		name := fl.optimizer
		if name == "" {
			name = "adam"
		}
		opt, err := optim.New(name)
		if err != nil {
			return c, errUsage{err}
		}
		c.Optimizer = opt
	}
	if fl.rate > 0 {
		c.Optimizer.Options().LearningRate = optim.Rate{Value: fl.rate}
	}
	c.Seed = fl.seed
	return c, nil
}

// fittingLoss goes by what makes the output, and by the targets.
func fittingLoss(s *nnrt.Source, d data.Dataset) string {
	oneHot := false
	for b, err := range d.Batches(data.Order{BatchSize: 1}) {
		oneHot = err == nil && len(b.Y) > 0 && b.Y[0].Rank() == 2 && b.Y[0].Dim(1) > 1
		break
	}
	op := ""
	if n := s.Graph.Outputs[0].Def; n != nil {
		op = n.Op.Name()
	}
	switch {
	case op == "Softmax" && oneHot:
		return "categorical_crossentropy"
	case op == "Softmax":
		return "sparse_categorical_crossentropy"
	case op == "Sigmoid":
		return "binary_crossentropy"
	}
	return "mean_squared_error"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
