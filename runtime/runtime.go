// Package runtime compiles graphs for a device and runs them.
//
// Compile takes a canonical graph, whose dimensions may be symbols, and gives a Program: immutable, safe
// for concurrent use. A Session is one Program's mutable state (memory, parameters) and runs one thing at
// a time. The first run with inputs of new shapes specialises the program: every type becomes concrete,
// constants fold, kernels are chosen and prepared, memory is planned. Values whose shapes depend on data
// are given memory as they come.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/runtime/internal/passes"
	"github.com/nnrt/nnrt/tensor"
)

// Options steers Compile. The zero value is right for inference.
type Options struct {
	// KeepParams leaves the graph's parameters changeable (training, Session.SetParam). Otherwise they are
	// constants: folded, prepacked, and shared by all sessions.
	KeepParams bool
	// NoFusion turns off the passes that change what is computed where; constants still fold.
	NoFusion bool
	// Exact forbids transformations that change rounding beyond reordering of sums (Winograd, BatchNorm
	// folded into weights).
	Exact bool
	// MaxPlans bounds how many specialisations are kept, the least recently used going first; 0 means 16.
	MaxPlans int
	// MemoryLimit bounds the bytes that one session's planned arena and outputs, or one value of a
	// data-dependent shape, may take; 0 means no limit.
	MemoryLimit int64
	// Packs shares packed weights with other programs made of the same constants.
	Packs *devices.PackCache
	// Log gets a record, at level Debug, for each compilation and each plan that is made or dropped. Nil: nothing.
	Log *slog.Logger
}

// Program is a compiled graph.
type Program struct {
	g    *graph.Graph
	dev  devices.Device
	ref  *ref.Device
	opts Options

	mu    sync.Mutex
	plans map[string]*planned
	tick  int
	pool  sync.Pool // sessions of a subgraph

	subMu sync.Mutex
	subs  map[*graph.Graph]*Program
}

// ErrUnsupported is matched by errors about nodes that a device can't run.
var ErrUnsupported = errors.ErrUnsupported

// ErrMemory is wrapped by errors about runs that would take more memory than they may.
var ErrMemory = errors.New("too much memory")

// Compile prepares g for dev. g itself is not changed. The error names every node that dev can't run.
func Compile(g *graph.Graph, dev devices.Device, opts Options) (_ *Program, err error) {
	defer guard.Catch(&err)
	if opts.MaxPlans <= 0 {
		opts.MaxPlans = 16
	}
	if opts.Packs == nil {
		opts.Packs = &devices.PackCache{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	start := time.Now()
	p := &Program{g: g.Clone(), dev: dev, ref: ref.New(), opts: opts, plans: map[string]*planned{}}
	if !opts.KeepParams {
		freeze(p.g)
	}
	if err := passes.Template(p.g, p.passContext()); err != nil {
		return nil, err
	}
	if err := missingKernels(p.g, dev); err != nil {
		return nil, err
	}
	opts.Log.Debug("compiled", "graph", g.Name, "device", dev.Name(), "nodes", len(p.g.Nodes), "took", time.Since(start))
	return p, nil
}

func (p *Program) passContext() passes.Context {
	return passes.Context{Dev: p.dev, Ref: p.ref, Packs: p.opts.Packs, NoFusion: p.opts.NoFusion, Exact: p.opts.Exact,
		Sub: p.sub}
}

// freeze turns every parameter into a constant, but for those that runs change.
func freeze(g *graph.Graph) {
	updated := map[*graph.Value]bool{}
	for _, u := range g.Updates {
		updated[u.Param] = true
	}
	var kept []*graph.Value
	for _, v := range g.Params {
		if updated[v] {
			kept = append(kept, v)
			continue
		}
		v.Type = graph.ConstOf(v.Data)
	}
	g.Params = kept
}

// missingKernels lists the nodes, also of nested graphs, that neither the device nor a decomposition runs.
func missingKernels(g *graph.Graph, dev devices.Device) error {
	var lines []string
	var visit func(g *graph.Graph)
	visit = func(g *graph.Graph) {
		for _, n := range g.Nodes {
			if !dev.Kernels().Has(n.Op) {
				lines = append(lines, fmt.Sprintf("%s %q", n.Op.Name(), n.Origin))
			}
			if s, ok := n.Op.(graph.Subgrapher); ok {
				for _, sub := range s.Subgraphs() {
					visit(sub)
				}
			}
		}
	}
	visit(g)
	if lines == nil {
		return nil
	}
	return errs.Errorf("runtime: device %s has no kernel for %d nodes: %s: %w", dev.Name(), len(lines),
		strings.Join(lines, ", "), ErrUnsupported)
}

// Graph is the compiled graph before specialisation; not to be changed.
func (p *Program) Graph() *graph.Graph { return p.g }

// Device is the device that the program was compiled for.
func (p *Program) Device() devices.Device { return p.dev }

// sub compiles a subgraph for the same device, once.
func (p *Program) sub(g *graph.Graph) (devices.Runner, error) {
	p.subMu.Lock()
	defer p.subMu.Unlock()
	if q := p.subs[g]; q != nil {
		return (*subRunner)(q), nil
	}
	o := p.opts
	o.KeepParams = false
	q, err := Compile(g, p.dev, o)
	if err != nil {
		return nil, err
	}
	if p.subs == nil {
		p.subs = map[*graph.Graph]*Program{}
	}
	p.subs[g] = q
	return (*subRunner)(q), nil
}

// subRunner runs a subgraph's program, with sessions from a pool so that many may run at once.
type subRunner Program

// Run implements devices.Runner.
func (r *subRunner) Run(ctx context.Context, in []tensor.Value) ([]tensor.Value, error) {
	p := (*Program)(r)
	s, _ := p.pool.Get().(*Session)
	if s == nil {
		var err error
		if s, err = p.NewSession(); err != nil {
			return nil, err
		}
	}
	defer p.pool.Put(s)
	return s.RunValues(ctx, in)
}
