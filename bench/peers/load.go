package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/bench/peers/ort"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// What loading a large model may take: of the file's size at its peak, and of ONNX Runtime's time.
const (
	maxLoadMemory = 1.2
	maxLoadTime   = 0.25
)

// loaded is what one process says of loading one model.
type loaded struct {
	MS     float64
	PeakMB float64 // resident at most, mapped pages of the file too
	RunMS  float64 // loading and the first run, of one row
	RunMB  float64 // the peak then
}

// load measures the loading of a model of many megabytes, with its data inside and beside it: until it could be run.
func load(args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	mb := fs.Int("mb", 500, "size of the model")
	procs := fs.Int("procs", 5, "processes of each side")
	fs.Parse(args)
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var failed []error
	fmt.Printf("%-9s %5s %18s %9s %18s %22s %18s\n", "data", "MB", "load ms nnrt/ort", "nnrt/ort", "peak MB nnrt/ort", "+ first run ms", "peak MB")
	for _, external := range []bool{false, true} {
		path, size, err := writeLarge(dir, *mb, external)
		if err != nil {
			return err
		}
		var ms, peak, runMS, runMB [2][]float64
		for range *procs {
			for i, side := range []string{"nnrt", "ort"} {
				r, err := loadIn(side, path)
				if err != nil {
					return fmt.Errorf("%s: %w", side, err)
				}
				ms[i], peak[i] = append(ms[i], r.MS), append(peak[i], r.PeakMB)
				runMS[i], runMB[i] = append(runMS[i], r.RunMS), append(runMB[i], r.RunMB)
			}
		}
		name := map[bool]string{false: "inside", true: "external"}[external]
		ratio, memory := median(ms[0])/median(ms[1]), median(peak[0])/size
		fmt.Printf("%-9s %5.0f %9.1f/%8.1f %9.3f %9.1f/%8.1f %11.1f/%10.1f %9.1f/%8.1f\n", name, size, median(ms[0]), median(ms[1]), ratio,
			median(peak[0]), median(peak[1]), median(runMS[0]), median(runMS[1]), median(runMB[0]), median(runMB[1]))
		if ratio > maxLoadTime {
			failed = append(failed, fmt.Errorf("data %s: loading takes %.2f of ONNX Runtime's time, more than %.2f", name, ratio, maxLoadTime))
		}
		if memory > maxLoadMemory {
			failed = append(failed, fmt.Errorf("data %s: the peak is %.2f of the model's size, more than %.2f", name, memory, maxLoadMemory))
		}
	}
	return errors.Join(failed...)
}

// largeWidth is the width of the large model's layers.
const largeWidth = 2048

// writeLarge writes a chain of products of about mb megabytes, and gives its path and size in MB.
func writeLarge(dir string, mb int, external bool) (string, float64, error) {
	const width = largeWidth
	g := &graph.Graph{Name: "large"}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("n"), graph.D(width)))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range mb * 1e6 / (width * width * 4) {
		w := tensor.New(tensor.Float32, width, width)
		for k := range tensor.As[float32](w) {
			tensor.As[float32](w)[k] = (r.Float32() - 0.5) / 16
		}
		x = b.Add(ops.Relu{}, b.Add(ops.MatMul{}, x, b.Param(fmt.Sprintf("w%d", i), w)))
	}
	b.Output(x)
	if err := b.Err(); err != nil {
		return "", 0, err
	}
	path := filepath.Join(dir, fmt.Sprintf("large_%v.onnx", external))
	if err := onnx.WriteFile(path, g, onnx.WriteOptions{External: external}); err != nil {
		return "", 0, err
	}
	size := 0.0
	for _, p := range []string{path, path + ".data"} {
		if st, err := os.Stat(p); err == nil {
			size += float64(st.Size()) / 1e6
		}
	}
	return path, size, nil
}

func loadIn(side, path string) (loaded, error) {
	var r loaded
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, "loadchild", side, path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.NewDecoder(strings.NewReader(string(out))).Decode(&r)
}

// loadChild loads a model in this process, on one thread.
func loadChild(args []string) error {
	if len(args) != 2 {
		return errors.New("loadchild SIDE PATH")
	}
	x := tensor.New(tensor.Float32, 1, largeWidth)
	var r loaded
	start := time.Now()
	loadedNow := func() { r.MS, r.PeakMB = ms(time.Since(start)), peakMB() }
	run := loadRunNNRT
	if args[0] == "ort" {
		run = loadRunORT
	}
	if err := run(args[1], x, loadedNow); err != nil {
		return err
	}
	r.RunMS, r.RunMB = ms(time.Since(start)), peakMB()
	return json.NewEncoder(os.Stdout).Encode(r)
}

func loadRunORT(path string, x *tensor.Tensor, loadedNow func()) error {
	lib, err := ort.Open("")
	if err != nil {
		return err
	}
	s, err := lib.OpenSession(path, ort.SessionOptions{})
	if err != nil {
		return err
	}
	loadedNow()
	_, err = runORT(lib, s, []tensor.Value{x})
	return err
}

func loadRunNNRT(path string, x *tensor.Tensor, loadedNow func()) error {
	m, err := nnrt.Open(path, nnrt.Options{Threads: 1})
	if err != nil {
		return err
	}
	loadedNow()
	_, err = m.RunValues(context.Background(), []tensor.Value{x})
	return err
}
