// Package cpu is the device that runs on the processor: vectorised kernels over a pool of threads, with the
// reference device's kernels behind them for everything that has none here.
package cpu

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/internal/cpuid"
	"github.com/nnrt/nnrt/internal/par"
)

// Options steers New. The zero value uses all that the machine has.
type Options struct {
	// Threads is how many goroutines one run may use; 0 means GOMAXPROCS. Results are the same bits for any number.
	Threads int
	// Level names the kernels to use: "generic", "avx2", "avx512", "neon"; "" means what the environment variable
	// NNRT_CPU says, and the processor's best if that is unset.
	Level string
	// Exact forbids kernels whose rounding differs from a plain sum of products (Winograd convolution).
	Exact bool
	// Prepared, if not nil, is told of each node that a kernel is prepared for.
	Prepared func(r devices.Request)
	// Kernels are the caller's own, for operators of its own too; they go before the device's where they match
	// as well.
	Kernels []devices.Kernel
}

// Device runs kernels on the processor. It is safe for concurrent use: runs at the same time share the threads.
type Device struct {
	k     *kern.Set
	pool  *par.Pool
	table *devices.Table
	exact bool
	packs slab          // memory for packed weights
	gate  chan struct{} // holds a token for each run that was admitted
	close sync.Once
}

// New makes a CPU device. Close ends its threads.
func New(o Options) (*Device, error) {
	level, err := cpuid.FromEnv()
	if o.Level != "" {
		level, err = cpuid.Parse(o.Level)
	}
	if err != nil {
		return nil, err
	}
	d := &Device{k: kern.New(level), pool: par.New(o.Threads), exact: o.Exact, gate: make(chan struct{}, runtime.GOMAXPROCS(0))}
	kernels := slices.Concat(o.Kernels, d.kernels(), ref.Kernels())
	if o.Prepared != nil {
		for i, k := range kernels {
			kernels[i].Prepare = func(r devices.Request) (devices.Step, error) {
				o.Prepared(r)
				return k.Prepare(r)
			}
		}
	}
	d.table = devices.NewTable(kernels)
	return d, nil
}

// kernels is every kernel of this package's own.
func (d *Device) kernels() []devices.Kernel {
	return slices.Concat(
		d.matmulKernels(),
		d.linearKernels(),
		d.pointwiseKernels(),
		d.binaryKernels(),
		d.convKernels(),
		d.pairKernels(),
		d.poolKernels(),
		d.rowKernels(),
		d.reduceKernels(),
		d.normKernels(),
		d.moveKernels(),
		d.recurrentKernels(),
		d.attentionKernels(),
		d.intKernels(),
		d.quantizeKernels(),
		d.recurrentTrainKernels(),
		d.convGradKernels(),
		d.gradKernels(), d.tallyKernels(),
		d.normGradKernels(),
		d.frozenKernels(),
		d.programKernels(),
		d.viewKernels(),
		d.pickKernels(),
		d.groupedKernels(),
		d.treeKernels(),
	)
}

// Name implements devices.Device.
func (*Device) Name() string { return "cpu" }

// Level is the name of the kernels in use: "avx2", "avx512", "neon" or "generic".
//
//go:noinline
func (d *Device) Level() string { return d.k.Level.String() }

// Threads is the number of goroutines that one run may use.
func (d *Device) Threads() int { return d.pool.Workers() }

// Kernels implements devices.Device.
func (d *Device) Kernels() *devices.Table { return d.table }

// Admit implements devices.Admitter: as many runs at a time as goroutines can run at once.
func (d *Device) Admit(ctx context.Context) error {
	select {
	case d.gate <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	d.pool.Enter()
	return nil
}

// Leave implements devices.Admitter.
func (d *Device) Leave() {
	d.pool.Leave()
	<-d.gate
}

// Submit implements devices.Device.
func (*Device) Submit(ctx context.Context, steps []devices.Bound) error {
	return devices.RunSteps(ctx, steps)
}

// stopOf is closed when the run that a step belongs to is to end: a long kernel then leaves the rest of its tiles, and
// devices.RunSteps returns the reason.
func stopOf(a *devices.Args) <-chan struct{} {
	if a.Ctx == nil {
		return nil
	}
	return a.Ctx.Done()
}

// Close ends the device's threads. Runs after it work on the caller's goroutine alone.
func (d *Device) Close() error {
	d.close.Do(d.pool.Close)
	return nil
}

// A freelist keeps the states of finished runs for later ones, so that a Run allocates nothing. Steps hold
// no mutable state themselves, as several sessions may run one at once. P is a pointer, so that all lists share their code.
type freelist[P any] struct{ list anyList }

func (f *freelist[P]) get() P { return f.list.pop(reflect.TypeFor[P]()).(P) }

func (f *freelist[P]) put(t P) { f.list.push(t) }

// anyList is a freelist without its type.
type anyList struct {
	mu   sync.Mutex
	free []any
}

// pop gives what was put, or a pointer t to something new.
//
//go:noinline
func (l *anyList) pop(t reflect.Type) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.free)
	if n == 0 {
		return reflect.New(t.Elem()).Interface()
	}
	v := l.free[n-1]
	l.free = l.free[:n-1]
	return v
}

//go:noinline
func (l *anyList) push(t any) {
	l.mu.Lock()
	l.free = append(l.free, t)
	l.mu.Unlock()
}
