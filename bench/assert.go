package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Choice is how the kernel that the CPU device chose for a node compares with its others.
type Choice struct {
	Node      string  `json:"node"` // of the first node of this operator and shapes
	Shape     string  `json:"shape"`
	Chosen    string  `json:"chosen"`
	ChosenMS  float64 `json:"chosen_ms"`
	Fastest   string  `json:"fastest"`
	FastestMS float64 `json:"fastest_ms"`
	Ratio     float64 `json:"ratio"` // chosen by fastest
	Others    int     `json:"others"`
}

// WithinFastest is how far the chosen kernel's time may lie above the fastest one's.
const WithinFastest = 1.10

// Choices measures, for each convolution and product of a model on inputs like opts', every kernel and algorithm that could do
// it. Choices whose Ratio is over WithinFastest are mistakes of the selection; those are measured twice.
func Choices(ctx context.Context, path string, threads int, opts Options) ([]Choice, error) {
	var mu sync.Mutex
	var reqs []devices.Request
	dev, err := cpu.New(cpu.Options{Threads: threads, Prepared: func(r devices.Request) {
		mu.Lock()
		defer mu.Unlock()
		reqs = append(reqs, r)
	}})
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	m, err := nnrt.Open(path, nnrt.Options{Device: dev})
	if err != nil {
		return nil, err
	}
	in, _, err := Inputs(m, opts)
	if err != nil {
		return nil, err
	}
	if _, err := m.RunValues(ctx, in); err != nil {
		return nil, err
	}
	mu.Lock()
	found := slices.Clone(reqs)
	mu.Unlock()
	var list []Choice
	seen := map[string]bool{}
	for _, r := range found {
		key := fmt.Sprintf("%#v %v %v", r.Node.Op, shapesOf(r), constants(r))
		if !weighty[r.Node.Op.Name()] || seen[key] || !static(r) {
			continue
		}
		seen[key] = true
		c, ok, err := choose(ctx, dev, r)
		if err != nil {
			return nil, errs.Errorf("%s %q: %w", r.Node.Op.Name(), r.Node.Origin, err)
		}
		if ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// weighty is the operators whose kernels are measured.
var weighty = map[string]bool{"FusedConv": true, "Conv": true, "FusedMatMul": true, "MatMul": true, "Gemm": true}

func static(r devices.Request) bool {
	for _, t := range slices.Concat(r.In, r.Out) {
		if t.DType.Valid() && !t.Static() {
			return false
		}
	}
	return true
}

func shapesOf(r devices.Request) string {
	s := r.Node.Op.Name()
	for _, t := range r.In {
		if t.DType.Valid() {
			shape, _ := t.Shape()
			s += fmt.Sprintf(" %v", shape)
		}
	}
	return s
}

func constants(r devices.Request) (list []bool) {
	for _, c := range r.Const {
		list = append(list, c != nil)
	}
	return list
}

// choose measures one node's candidates; not ok where there is nothing to choose from.
func choose(ctx context.Context, dev *cpu.Device, r devices.Request) (Choice, bool, error) {
	r.Packs = nil
	cands, err := dev.Candidates(r)
	if err != nil || len(cands) < 2 {
		return Choice{}, false, err
	}
	args := operands(ctx, r)
	var c Choice
	for rounds := 8; rounds <= 32; rounds *= 4 {
		times, err := race(cands, args, rounds)
		if err != nil {
			return c, false, err
		}
		best := 0
		for i, t := range times {
			if t < times[best] {
				best = i
			}
		}
		c = Choice{Node: r.Node.Origin, Shape: shapesOf(r), Chosen: cands[0].Name, ChosenMS: times[0], Fastest: cands[best].Name, FastestMS: times[best],
			Ratio: times[0] / times[best], Others: len(cands) - 1}
		if c.Ratio <= WithinFastest {
			break
		}
	}
	return c, true, nil
}

// operands makes what a node is run on: its constants, and random numbers for the rest.
func operands(ctx context.Context, r devices.Request) *devices.Args {
	rnd := rand.New(rand.NewPCG(1, 2))
	a := &devices.Args{Ctx: ctx}
	for i, t := range r.In {
		switch {
		case !t.DType.Valid():
			a.In = append(a.In, nil)
		case i < len(r.Const) && r.Const[i] != nil:
			a.In = append(a.In, r.Const[i])
		default:
			shape, _ := t.Shape()
			x := tensor.New(t.DType, shape...)
			if t.DType == tensor.Float32 {
				for k := range tensor.As[float32](x) {
					tensor.As[float32](x)[k] = float32(rnd.NormFloat64())
				}
			}
			a.In = append(a.In, x)
		}
	}
	for _, t := range r.Out {
		shape, _ := t.Shape()
		a.Out = append(a.Out, tensor.New(t.DType, shape...))
	}
	return a
}

// race is each candidate's least time in ms, over rounds in which they take turns. Before each run the caches are filled with
// other things, as they are in a model, whose weights come from further away.
func race(cands []cpu.Candidate, args *devices.Args, rounds int) ([]float64, error) {
	best := make([]float64, len(cands))
	flood := make([]float32, 2<<20)
	var want *tensor.Tensor
	for i := range best {
		best[i] = math.Inf(1)
	}
	for round := range rounds + 1 {
		for i, c := range cands {
			if n := c.Step.Scratch(); len(args.Scratch) < n {
				args.Scratch = tensor.AlignedBytes(n)
			}
			for k := range flood {
				flood[k]++
			}
			t := time.Now()
			if err := c.Step.Run(args); err != nil {
				return nil, errs.Errorf("%s: %w", c.Name, err)
			}
			if round == 0 {
				if err := agree(&want, args.Out[0]); err != nil {
					return nil, errs.Errorf("%s and %s: %w", cands[0].Name, c.Name, err)
				}
			}
			if took := float64(time.Since(t).Nanoseconds()) / 1e6; round > 0 {
				best[i] = min(best[i], took)
			}
		}
	}
	return best, nil
}

// agree keeps the first result, and compares others with it.
func agree(want **tensor.Tensor, got tensor.Value) error {
	t, ok := got.(*tensor.Tensor)
	if !ok || t.DType() != tensor.Float32 {
		return nil
	}
	if *want == nil {
		*want = t.Clone()
		return nil
	}
	top, worst := 0.0, 0.0
	for i, w := range tensor.As[float32](*want) {
		top = max(top, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(w-tensor.As[float32](t)[i])))
	}
	if !(worst <= 1e-3*top+1e-6) {
		return errs.Errorf("their results differ by %g, the largest being %g", worst, top)
	}
	return nil
}
