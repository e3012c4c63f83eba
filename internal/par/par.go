// Package par runs independent tiles of work on a fixed set of goroutines.
package par

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nnrt/nnrt/internal/guard"
)

// A Task is a piece of work cut into tiles that don't depend on one another.
type Task interface {
	// Tile does tile i. worker is in [0, Pool.Workers()) and unique among the
	// goroutines that are inside this Task at the moment: it selects scratch space.
	// What tile i computes must not depend on worker.
	Tile(i, worker int)
}

// spinRounds bounds how long an idle worker looks for the next job before it parks, while no caller is between
// Enter and Leave: a few microseconds. runRounds is the same inside a series of Runs, and for a caller who waits for the
// last tiles of a helper: some 200 microseconds, as waking a parked thread takes 50 to 100 on a virtual machine, which is as
// long as a layer of a small network takes. Between series nobody spins.
const (
	spinRounds = 200
	runRounds  = 10000
)

// A Pool hands out tiles to its workers and to the callers of Run. It is safe for concurrent
// use: jobs of several callers share the workers, each of which helps the job that has the fewest.
type Pool struct {
	n      int
	mu     sync.Mutex
	jobs   []*job // running jobs that may want helpers
	free   []*job
	idle   int // parked workers
	busy   int // workers inside a job
	closed bool
	procs  int          // goroutines that can run at once
	runs   atomic.Int32 // callers between Enter and Leave
	wake   chan struct{}
	posted atomic.Uint32 // counts posted jobs: what spinning workers watch
	done   sync.WaitGroup
}

type job struct {
	task    Task
	n       int64
	stop    *atomic.Bool
	next    atomic.Int64 // next tile to hand out
	_       [48]byte
	helpers atomic.Int32 // workers inside the job
	slots   []bool       // worker numbers in use, guarded by Pool.mu
	fin     chan struct{}
	waiting atomic.Bool
	failed  atomic.Pointer[guard.Panic] // the first panic of a tile, for the caller of Run
}

// New returns a pool in which a Run uses up to n goroutines: the caller and n-1 workers. n < 1 means GOMAXPROCS.
func New(n int) *Pool {
	if n < 1 {
		n = runtime.GOMAXPROCS(0)
	}
	p := &Pool{n: n, wake: make(chan struct{}, n), procs: max(n, runtime.GOMAXPROCS(0))}
	for range n - 1 {
		p.done.Add(1)
		go p.work()
	}
	return p
}

// Workers returns the number of goroutines that a Run may use, the caller's included.
func (p *Pool) Workers() int { return p.n }

// Enter tells the pool that a caller begins a series of Runs, Leave that it ends. While several callers are inside, workers help
// only as far as processors are left: one more goroutine than those would make each wait for another, in the middle of its tiles.
func (p *Pool) Enter() { p.runs.Add(1) }

// Leave undoes Enter.
func (p *Pool) Leave() { p.runs.Add(-1) }

// spare is how many more workers may help, guarded by mu.
func (p *Pool) spare() int {
	runs := int(p.runs.Load())
	if runs <= 1 {
		return p.n
	}
	return p.procs - runs - p.busy
}

// Close ends the workers. A Run after Close does all the work on the caller's goroutine.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.posted.Add(1)
	close(p.wake)
	p.mu.Unlock()
	p.done.Wait()
}

// Run does tiles 0 to n-1 of t and returns when all are done. It does not allocate. A Task may
// call Run of the same pool.
//
//go:noinline
func (p *Pool) Run(t Task, n int) { p.RunUntil(t, n, nil) }

// RunUntil is Run, but hands out no more tiles once *stop is true; it reports whether
// all tiles were done. stop may be nil.
func (p *Pool) RunUntil(t Task, n int, stop *atomic.Bool) bool {
	if n <= 0 {
		return true
	}
	if p.n == 1 || n == 1 {
		for i := range n {
			if stop != nil && stop.Load() {
				return false
			}
			t.Tile(i, 0)
		}
		return true
	}
	j := p.post(t, n, stop)
	j.run(0)
	return p.retire(j)
}

// run does tiles until none are left. A panic ends the job, and goes on in the caller of Run once every
// worker has left it.
func (j *job) run(worker int) {
	defer j.keepPanic()
	for {
		if j.stop != nil && j.stop.Load() {
			return
		}
		i := j.next.Add(1) - 1
		if i >= j.n {
			return
		}
		j.task.Tile(int(i), worker)
	}
}

func (j *job) keepPanic() {
	if guard.On {
		if r := recover(); r != nil {
			j.next.Store(j.n)
			j.failed.CompareAndSwap(nil, guard.Wrap(r))
		}
	}
}

func (p *Pool) post(t Task, n int, stop *atomic.Bool) *job {
	p.mu.Lock()
	var j *job
	if k := len(p.free); k > 0 {
		j, p.free = p.free[k-1], p.free[:k-1]
	} else {
		j = &job{slots: make([]bool, p.n), fin: make(chan struct{}, 1)}
	}
	j.task, j.n, j.stop = t, int64(n), stop
	j.next.Store(0)
	j.waiting.Store(false)
	if !p.closed {
		p.jobs = append(p.jobs, j)
		p.posted.Add(1)
		for range min(p.idle, n-1, p.n-1, p.spare()) {
			select {
			case p.wake <- struct{}{}:
				p.idle--
			default:
			}
		}
	}
	p.mu.Unlock()
	return j
}

// retire takes j off the list, waits for its helpers and reports whether all of its tiles were handed out.
func (p *Pool) retire(j *job) bool {
	p.mu.Lock()
	for i, q := range p.jobs {
		if q == j {
			p.jobs[i] = p.jobs[len(p.jobs)-1]
			p.jobs[len(p.jobs)-1] = nil
			p.jobs = p.jobs[:len(p.jobs)-1]
			break
		}
	}
	p.mu.Unlock()
	for i := 0; j.helpers.Load() > 0; i++ {
		if i < runRounds {
			pause(i)
			continue
		}
		j.waiting.Store(true)
		if j.helpers.Load() > 0 {
			<-j.fin
		}
	}
	all := j.next.Load() >= j.n
	p.mu.Lock()
	// A helper that left between the two loads above may have posted a token.
	select {
	case <-j.fin:
	default:
	}
	j.task, j.stop = nil, nil
	failed := j.failed.Swap(nil)
	p.free = append(p.free, j)
	p.mu.Unlock()
	if failed != nil {
		panic(failed)
	}
	return all
}

// join picks the job with the fewest helpers and takes a worker number in it.
func (p *Pool) join() (*job, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare() <= 0 {
		return nil, 0
	}
	var best *job
	for _, j := range p.jobs {
		if j.next.Load() < j.n && int(j.helpers.Load()) < p.n-1 && (best == nil || j.helpers.Load() < best.helpers.Load()) {
			best = j
		}
	}
	if best == nil {
		return nil, 0
	}
	for s := 1; s < p.n; s++ {
		if !best.slots[s] {
			best.slots[s] = true
			best.helpers.Add(1)
			p.busy++
			return best, s
		}
	}
	return nil, 0
}

// leave gives the worker number back; the last one out wakes a waiting caller.
func (p *Pool) leave(j *job, slot int) {
	p.mu.Lock()
	j.slots[slot] = false
	p.busy--
	if j.helpers.Add(-1) == 0 && j.waiting.Load() {
		select {
		case j.fin <- struct{}{}:
		default:
		}
	}
	p.mu.Unlock()
}

func (p *Pool) work() {
	defer p.done.Done()
	for {
		seen := p.posted.Load()
		if j, slot := p.join(); j != nil {
			j.run(slot)
			p.leave(j, slot)
			continue
		}
		if p.runs.Load() <= 1 && p.spin(seen) {
			continue
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return
		}
		if p.posted.Load() != seen && p.spare() > 0 {
			p.mu.Unlock()
			continue
		}
		p.idle++
		p.mu.Unlock()
		if _, ok := <-p.wake; !ok {
			return
		}
	}
}

// spin waits a moment for a job posted after seen.
func (p *Pool) spin(seen uint32) bool {
	for i := 0; i < spinRounds || i < runRounds && p.runs.Load() == 1; i++ {
		if p.posted.Load() != seen {
			return true
		}
		pause(i)
	}
	return false
}

// pause lets other goroutines of this thread run now and then while spinning.
func pause(i int) {
	if i%16 == 15 {
		runtime.Gosched()
		return
	}
	for range 8 {
		spinHint.Load()
	}
}

// spinHint is only ever read: a load that the compiler keeps, as a delay.
var spinHint atomic.Uint32
