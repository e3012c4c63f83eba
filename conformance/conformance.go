// Package conformance runs recorded cases against a device and judges the numbers: the ONNX project's
// backend tests, light models, models of public repositories with recorded outputs, and whatever other
// layout a Suite recognises.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/tensor"
)

// Status is how a case ended.
type Status string

// The ways a case ends. A case passes only after its numbers were compared.
const (
	Passed      Status = "passed"
	Failed      Status = "failed"
	Unsupported Status = "unsupported"
	Skipped     Status = "skipped"
)

// Result is one case's end.
type Result struct {
	Suite  string  `json:"suite"`
	Case   string  `json:"case"`
	Status Status  `json:"status"`
	Reason string  `json:"reason"`
	MaxAbs float64 `json:"max_abs"` // largest |got - want|
	MaxRel float64 `json:"max_rel"` // largest |got - want| / |want|
	// Seconds is how long the case took.
	Seconds float64 `json:"-"`
}

// Suite recognises a layout of cases.
type Suite interface {
	// Name is the suite's name in reports.
	Name() string
	// Cases is the cases that lie in dir itself, whose entries are given; none where dir is something else.
	Cases(dir string, entries []fs.DirEntry) ([]Case, error)
}

// Case is one thing to run and judge.
type Case struct {
	Suite, Name string
	// Run does it: it reports numbers through c, and returns nil where all of them agree. An error that
	// matches errors.ErrUnsupported means that nnrt doesn't claim to do this; Skip makes one that means
	// that nothing was run.
	Run func(ctx context.Context, c *Check) error
}

// byChance starts the reason of a known failure that may not happen.
const byChance = "?"

// errSkip is matched by errors of cases that were not run.
var errSkip = errors.New("skipped")

// Skip is the error of a case that can't be run, and why.
func Skip(format string, args ...any) error {
	return errs.Errorf("%s%w", fmt.Sprintf(format, args...), errSkip)
}

// Options steers Run.
type Options struct {
	Device devices.Device
	// Match selects cases by "suite/case"; nil is all.
	Match *regexp.Regexp
	// Suites is the layouts to recognise; nil is Suites().
	Suites []Suite
	// Expected is the failures that are known, by "suite/case", with the reason of each. Such a case is
	// to fail: passing is its failure, unless the reason starts with "?". Nil takes the list that goes with
	// the device.
	Expected map[string]string
	// ReadONNX makes a graph of an ONNX file; nil means onnx.ReadFile. Tests of the writer go a longer way.
	ReadONNX func(path string) (*graph.Graph, error)
	// Runner makes graphs of models run; nil compiles them for Device. Tests of other runtimes and of the writer go a longer way.
	Runner Runner
	// Timeout bounds one case; 0 means 5 minutes.
	Timeout time.Duration
	// Workers is how many cases run at once; 0 means GOMAXPROCS.
	Workers int
	// Progress is called after each case, if not nil, one call at a time.
	Progress func(Result)
}

// Runner prepares a graph to be run on values in the order of its inputs. What it gives may keep state between its calls.
type Runner func(g *graph.Graph) (RunFunc, error)

// RunFunc is one run of a graph.
type RunFunc func(ctx context.Context, in []tensor.Value) ([]tensor.Value, error)

// Suites is every layout of cases that is recognised.
func Suites() []Suite {
	return []Suite{BackendSuite{}, LightSuite{}, ModelSuite{}, KerasSuite{}, KerasModelSuite{}, ApplicationSuite{}, HDF5Suite{}, KerasTrainingSuite{}, KerasGradientSuite{}}
}

// Run runs the cases below paths, which are folders or .tar.gz archives.
func Run(ctx context.Context, paths []string, opts Options) (*Report, error) {
	if opts.Device == nil {
		return nil, errors.New("conformance: no device")
	}
	if opts.Suites == nil {
		opts.Suites = Suites()
	}
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Minute
	}
	if opts.Workers == 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Expected == nil {
		var err error
		if opts.Expected, err = expectedFor(opts.Device.Name()); err != nil {
			return nil, err
		}
	}
	tmp, err := os.MkdirTemp("", "nnrt-conformance")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	var cases []Case
	for i, p := range paths {
		list, err := find(p, filepath.Join(tmp, fmt.Sprint(i)), opts)
		if err != nil {
			return nil, err
		}
		cases = append(cases, list...)
	}
	return &Report{Device: opts.Device.Name(), Results: runAll(ctx, cases, opts)}, ctx.Err()
}

// find lists the cases below a path that match.
func find(path, tmp string, opts Options) ([]Case, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		if path, err = openArchive(path, tmp); err != nil {
			return nil, err
		}
	}
	var cases []Case
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			if p != path && isArchive(p) {
				more, err := find(p, filepath.Join(tmp, fmt.Sprint(len(cases))), opts)
				cases = append(cases, more...)
				return err
			}
			return nil
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return err
		}
		for _, s := range opts.Suites {
			list, err := s.Cases(p, entries)
			if err != nil {
				return errs.Errorf("%s: %w", p, err)
			}
			for _, c := range list {
				if opts.Match == nil || opts.Match.MatchString(c.Suite+"/"+c.Name) {
					cases = append(cases, c)
				}
			}
		}
		return nil
	})
	return cases, err
}

func runAll(ctx context.Context, cases []Case, opts Options) []Result {
	results := make([]Result, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range min(opts.Workers, max(1, len(cases))) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				r := runCase(ctx, cases[i], opts)
				results[i] = r
				if opts.Progress != nil {
					mu.Lock()
					opts.Progress(r)
					mu.Unlock()
				}
			}
		}()
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wg.Wait()
	order.Stable(results, func(a, b Result) int {
		return strings.Compare(a.Suite+"/"+a.Case, b.Suite+"/"+b.Case)
	})
	return results
}

// runCase runs a case and sets what it gave against what is expected of it.
func runCase(ctx context.Context, c Case, opts Options) Result {
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	check := &Check{Device: opts.Device, readONNX: opts.ReadONNX, runner: opts.Runner}
	start := time.Now()
	err := guarded(ctx, c, check)
	r := Result{Suite: c.Suite, Case: c.Name, Status: Passed, MaxAbs: check.MaxAbs, MaxRel: check.MaxRel,
		Seconds: time.Since(start).Seconds()}
	switch {
	case err == nil && check.compared == 0:
		r.Status, r.Reason = Failed, "nothing was compared"
	case err == nil:
	case errors.Is(err, errSkip):
		r.Status, r.Reason = Skipped, strings.TrimSuffix(err.Error(), errSkip.Error())
	case errors.Is(err, errors.ErrUnsupported):
		r.Status, r.Reason = Unsupported, oneLine(err.Error())
	default:
		r.Status, r.Reason = Failed, oneLine(err.Error())
	}
	if why, ok := opts.Expected[c.Suite+"/"+c.Name]; ok {
		switch r.Status {
		case Failed, Unsupported:
			r.Status, r.Reason = Skipped, "expected to fail: "+strings.TrimPrefix(why, byChance)+": "+r.Reason
		case Passed:
			if by, ok := strings.CutPrefix(why, byChance); ok {
				r.Status, r.Reason = Skipped, "passes by chance: "+by
				return r
			}
			r.Status, r.Reason = Failed, "passes, but is listed as a known failure: "+why
		}
	}
	return r
}

// guarded makes a panic in a case an error: that is a mistake in nnrt, and the case's failure.
func guarded(ctx context.Context, c Case, check *Check) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errs.Errorf("panic: %v at %s", r, panicPlace(debug.Stack()))
		}
	}()
	return c.Run(ctx, check)
}

// panicPlace is the first line of a stack that is nnrt's own code.
func panicPlace(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	seen := false
	for _, l := range lines {
		if strings.HasPrefix(l, "panic(") {
			seen = true
		}
		if seen && strings.HasPrefix(l, "\t") && strings.Contains(l, "nnrt") {
			return strings.TrimSpace(strings.SplitN(l, " +0x", 2)[0])
		}
	}
	return "an unknown place"
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
