package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/runtime"
)

// device makes the device that --device names. The caller closes it.
func (a *app) device() (devices.Device, error) {
	switch {
	case a.deviceName == "ref":
		return ref.New(), nil
	case a.deviceName == "cpu":
		return cpu.New(cpu.Options{Threads: a.threads})
	case strings.HasPrefix(a.deviceName, "cuda"):
		return nil, errUsage{errs.Errorf("this nnrt has no CUDA device; use --device cpu")}
	}
	return nil, errUsage{errs.Errorf("unknown device %q: ref or cpu", a.deviceName)}
}

// open loads a model on the device asked for; closing the model does not close the device.
func (a *app) open(path string) (*nnrt.Model, devices.Device, error) {
	dev, err := a.device()
	if err != nil {
		return nil, nil, err
	}
	m, err := nnrt.Open(path, nnrt.Options{Device: dev, Runtime: a.runtimeOptions()})
	if err != nil {
		dev.Close()
		return nil, nil, errFile{path, err}
	}
	return m, dev, nil
}

// runtimeOptions are the common flags'.
func (a *app) runtimeOptions() runtime.Options {
	return runtime.Options{MemoryLimit: a.memory, Log: a.logger()}
}

// parseDims reads NAME=N flags.
func parseDims(flags []string) (map[string]int, error) {
	dims := map[string]int{}
	for _, f := range flags {
		name, v, ok := strings.Cut(f, "=")
		n, err := strconv.Atoi(v)
		if !ok || err != nil || n < 0 {
			return nil, errUsage{errs.Errorf("--dim %q: want NAME=N", f)}
		}
		dims[name] = n
	}
	return dims, nil
}

// knownDims refuses sizes for dimensions that the model's inputs don't have.
func knownDims(m *nnrt.Model, dims map[string]int) error {
	free := map[string]bool{}
	for _, v := range m.Inputs() {
		for _, d := range v.Type.Dims {
			d.Symbols(free)
		}
	}
	for name := range dims {
		if !free[name] {
			return errUsage{errs.Errorf("--dim %s: the inputs' free dimensions are %s", name, slices.Sorted(maps.Keys(free)))}
		}
	}
	return nil
}

// printJSON writes v as one line.
func (a *app) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, string(b))
	return err
}
