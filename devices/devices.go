// Package devices says what a device is: a set of kernels keyed by the Go type of the operator they run,
// and a way to submit prepared steps. The devices themselves are the packages below this one.
package devices

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/tensor"
)

// Device runs steps that its own kernels prepared. A Device is safe for concurrent use.
type Device interface {
	// Name is "ref", "cpu" or "cuda:0".
	Name() string
	// Kernels is every kernel of the device; fixed once the device exists.
	Kernels() *Table
	// Submit runs steps in order. It returns ctx's error within milliseconds of its end.
	Submit(ctx context.Context, steps []Bound) error
	// Close frees what the device holds; calling it twice is harmless.
	Close() error
}

// Admitter is a device that lets only so many runs at a time onto its processors. The others wait in the order in which they
// came, so that all that call at once wait about as long, instead of being interrupted anywhere.
type Admitter interface {
	// Admit waits for a run's turn, or for the end of ctx, whose error it returns.
	Admit(ctx context.Context) error
	// Leave ends a run that Admit let in.
	Leave()
}

// Request is one node with concrete types, as kernel selection sees it.
type Request struct {
	Node *graph.Node
	// In and Out are the types. A Dim that is no number here means that only running can tell: the kernel
	// then makes that output itself. Of an omitted input the DType is Invalid.
	In, Out []graph.Type
	// Const is the value of each input that is known now and may be prepacked; else nil.
	Const []*tensor.Tensor
	Dev   Device
	// Sub compiles a subgraph (of If, Loop, Scan, ...) for the same device.
	Sub func(g *graph.Graph) (Runner, error)
	// Packs shares what kernels make of constants between programs of one model; nil means no sharing.
	Packs *PackCache
	// Exact forbids kernels whose rounding differs by more than the order of sums.
	Exact bool
	// Lean asks for little memory rather than for the least time: large constants are packed in each run, and not kept twice.
	Lean bool
}

// Runner is a compiled subgraph. The values it returns are the caller's to keep.
type Runner interface {
	Run(ctx context.Context, in []tensor.Value) ([]tensor.Value, error)
}

// Args is what a step works on.
type Args struct {
	Ctx context.Context
	In  []tensor.Value // nil where omitted
	// Out holds a tensor of the inferred type to be written into, or nil where the request's type was not
	// concrete (or no tensor): the step then puts a value of its own there.
	Out []tensor.Value
	// Scratch has as many bytes as the step asked for, 64-byte aligned, not zeroed.
	Scratch []byte
}

// Tensor is input i as a tensor, nil where omitted.
//
//go:noinline
func (a *Args) Tensor(i int) *tensor.Tensor {
	if i >= len(a.In) || a.In[i] == nil {
		return nil
	}
	t, _ := a.In[i].(*tensor.Tensor)
	return t
}

// OutTensor is output i as a tensor, nil where the step has to make it.
//
//go:noinline
func (a *Args) OutTensor(i int) *tensor.Tensor {
	if i >= len(a.Out) || a.Out[i] == nil {
		return nil
	}
	t, _ := a.Out[i].(*tensor.Tensor)
	return t
}

// A Step is prepared work. Run does not allocate where all outputs have concrete types, and is not called
// twice at once on one Args; two sessions may run one Step at once, so a Step holds no mutable state.
type Step interface {
	Scratch() int
	Run(a *Args) error
}

// Bound is a step with its operands.
type Bound struct {
	Step Step
	Args *Args
	Node *graph.Node
}

// Kernel implements one operator type for the requests it matches.
type Kernel struct {
	Name    string // "conv/nchw16c_f32_avx512"
	Op      reflect.Type
	Match   func(Request) int           // 0: can't; higher is better; kernels of devices/ref give 1
	Prepare func(Request) (Step, error) // choose tiles, prepack, size scratch
}

// For adapts functions typed by the operator to a Kernel. A nil match always gives 1.
//
//go:noinline
func For[O graph.Op](name string, match func(O, Request) int, prep func(O, Request) (Step, error)) Kernel {
	return Kernel{
		Name: name,
		Op:   reflect.TypeFor[O](),
		Match: func(r Request) int {
			if match == nil {
				return 1
			}
			return match(r.Node.Op.(O), r)
		},
		Prepare: func(r Request) (Step, error) { return prep(r.Node.Op.(O), r) },
	}
}

// Table finds kernels by operator type.
type Table struct {
	all  []Kernel
	byOp map[reflect.Type][]Kernel
}

// NewTable indexes kernels.
func NewTable(kernels []Kernel) *Table {
	t := &Table{all: kernels, byOp: map[reflect.Type][]Kernel{}}
	for _, k := range kernels {
		t.byOp[k.Op] = append(t.byOp[k.Op], k)
	}
	return t
}

// All is every kernel, in order.
func (t *Table) All() []Kernel { return t.all }

// Has reports whether any kernel is for op's type.
func (t *Table) Has(op graph.Op) bool { return len(t.byOp[reflect.TypeOf(op)]) > 0 }

// Candidates is the kernels for op's type.
func (t *Table) Candidates(op graph.Op) []Kernel { return t.byOp[reflect.TypeOf(op)] }

// Select is the kernel that matches r best; the first of equals.
func (t *Table) Select(r Request) (Kernel, error) {
	best, score := Kernel{}, 0
	for _, k := range t.byOp[reflect.TypeOf(r.Node.Op)] {
		if s := k.Match(r); s > score {
			best, score = k, s
		}
	}
	if score == 0 {
		return best, &NoKernelError{Device: deviceName(r.Dev), Node: r.Node, In: r.In}
	}
	return best, nil
}

func deviceName(d Device) string {
	if d == nil {
		return "device"
	}
	return d.Name()
}

// NoKernelError says that a device can't run a node.
type NoKernelError struct {
	Device string
	Node   *graph.Node
	In     []graph.Type
}

// Error is one line: device, operator, origin, input types.
func (e *NoKernelError) Error() string {
	types := make([]string, len(e.In))
	for i, t := range e.In {
		types[i] = t.WithoutValue().String()
	}
	return fmt.Sprintf("%s has no kernel for %s %q on (%s)", e.Device, e.Node.Op.Name(), e.Node.Origin,
		strings.Join(types, ", "))
}

// StepError says which node failed at run time.
type StepError struct {
	Node *graph.Node
	Err  error
}

// Error is one line: operator, origin, reason.
func (e *StepError) Error() string {
	return fmt.Sprintf("%s %q: %v", e.Node.Op.Name(), e.Node.Origin, e.Err)
}

// Unwrap is the step's own error.
func (e *StepError) Unwrap() error { return e.Err }

// RunSteps is Submit for devices whose steps run on the calling goroutine: ctx is asked before and after each step, as a
// step may have left part of its work when ctx ended. A panic in a step is that step's error.
func RunSteps(ctx context.Context, steps []Bound) (err error) {
	at := 0
	defer func() {
		if guard.On {
			if r := recover(); r != nil {
				err = &StepError{Node: steps[at].Node, Err: guard.Wrap(r)}
			}
		}
	}()
	done := ctx.Done()
	for i := 0; ; i++ {
		select {
		case <-done:
			return context.Cause(ctx)
		default:
		}
		if i == len(steps) {
			return nil
		}
		at = i
		s := &steps[i]
		s.Args.Ctx = ctx
		if err := s.Step.Run(s.Args); err != nil {
			return &StepError{Node: s.Node, Err: err}
		}
	}
}
