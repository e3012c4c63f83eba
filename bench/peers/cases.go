package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/tensor"
)

// generated are the models of gen_models.py with their batches.
var generated = []struct {
	file    string
	batches []int
}{
	{"resnet50", []int{1, 8}}, {"mobilenetv2", []int{1, 8}}, {"vgg16", []int{1}}, {"squeezenet1_1", []int{1}},
	{"efficientnet_b0", []int{1}}, {"densenet121", []int{1}}, {"inception_v3", []int{1}}, {"bert_base_seq128", []int{1}},
	{"lstm2_h256_seq100", []int{1, 8}}, {"mlp_784_512_10", []int{1, 32, 128}},
}

// benchCase is a model to compare on.
type benchCase struct {
	name    string
	path    string
	batches []int
	small   bool   // measured for a quarter of the time
	fed     []spec // recorded inputs; nil makes them up
}

// inputs is what to feed at a batch.
func (c benchCase) inputs(batch int) ([]spec, error) {
	if c.fed != nil {
		return c.fed, nil
	}
	return inputsOf(c.path, batch)
}

// spec is an input that both sides make for themselves.
type spec struct {
	Name    string
	Int64   bool
	Shape   []int64
	File    string // an .npy file to read instead
	Strings []string
}

// inputsOf finds a model's inputs by reading it, with every symbol the batch.
func inputsOf(path string, batch int) (in []spec, err error) {
	g, err := onnx.ReadFile(path, onnx.Options{})
	if err != nil {
		return nil, err
	}
	for _, v := range g.Inputs {
		s := spec{Name: v.Name, Int64: v.Type.DType == tensor.Int64}
		for _, d := range v.Type.Dims {
			n, ok := d.Const()
			if !ok {
				n = batch
			}
			s.Shape = append(s.Shape, int64(n))
		}
		in = append(in, s)
	}
	return in, nil
}

// pickFlags are the flags that choose models; the function they fill in lists them.
func pickFlags(fs *flag.FlagSet) func() ([]benchCase, error) {
	models := fs.String("models", os.Getenv("NNRT_BENCH_MODELS"), "folder of gen_models.py's models; default $NNRT_BENCH_MODELS")
	real := fs.String("real", filepath.Join(os.Getenv("NNRT_DATA"), "models"), "folder of trained models; default $NNRT_DATA/models, empty for none")
	only := fs.String("only", "", "comma-separated models")
	return func() ([]benchCase, error) {
		var list []benchCase
		if *models == "" {
			return nil, errors.New("no folder of models: -models or NNRT_BENCH_MODELS")
		}
		for _, c := range generated {
			list = append(list, benchCase{name: c.file, path: filepath.Join(*models, c.file+".onnx"), batches: c.batches})
		}
		if *real != "" && *real != "models" {
			more, err := realCases(*real)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
		if *only != "" {
			names := strings.Split(*only, ",")
			list = slices.DeleteFunc(list, func(c benchCase) bool { return !slices.Contains(names, c.name) })
		}
		return list, nil
	}
}

// realCases is the ONNX models with recorded inputs, as far as ONNX Runtime runs them.
func realCases(dir string) ([]benchCase, error) {
	metas, err := filepath.Glob(filepath.Join(dir, "*", "meta.json"))
	if err != nil {
		return nil, err
	}
	var list []benchCase
	for _, path := range metas {
		folder := filepath.Dir(path)
		model := filepath.Join(folder, "model.onnx")
		if _, err := os.Stat(model); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var meta struct {
			LoadError string `json:"onnxruntime_load_error"`
			Goldens   []struct {
				Inputs []struct {
					Name    string
					Npy     string
					Shape   []int64
					Strings []string
				}
			}
		}
		if err := json.Unmarshal(b, &meta); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if meta.LoadError != "" || len(meta.Goldens) == 0 {
			continue
		}
		c := benchCase{name: filepath.Base(folder), path: model, batches: []int{1}, small: true, fed: []spec{}}
		for _, in := range meta.Goldens[0].Inputs {
			s := spec{Name: in.Name, Shape: in.Shape, Strings: in.Strings}
			if in.Npy != "" {
				s.File = filepath.Join(folder, filepath.FromSlash(in.Npy))
			}
			c.fed = append(c.fed, s)
		}
		list = append(list, c)
	}
	return list, nil
}
