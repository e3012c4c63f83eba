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
// use: jobs of several callers share the workers, each of which helps the job that has the fewest. Each participant has a run
// of neighbouring tiles of its own, the same one in each Task of as many tiles, so that it finds in its core's caches what it
// left there; who has done its own takes from the far end of others'.
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
	stop    <-chan struct{}
	left    []span // of each participant
	helpers atomic.Int32
	fin     chan struct{}
	waiting atomic.Bool
	failed  atomic.Pointer[guard.Panic] // the first panic of a tile, for the caller of Run
}

// span is the tiles that one participant has left: the first in the upper half, the end in the lower.
type span struct {
	atomic.Uint64
	_ [56]byte // others write to other cache lines
}

func (s *span) set(lo, hi int) { s.Store(uint64(lo)<<32 | uint64(hi)) }

// len is how many tiles are left.
func (s *span) len() int {
	v := s.Load()
	return int(uint32(v)) - int(v>>32)
}

// first takes the first tile, last the last one.
func (s *span) first() (int, bool) {
	for {
		v := s.Load()
		if v>>32 >= v&0xffffffff {
			return 0, false
		}
		if s.CompareAndSwap(v, v+1<<32) {
			return int(v >> 32), true
		}
	}
}

func (s *span) last() (int, bool) {
	for {
		v := s.Load()
		if v>>32 >= v&0xffffffff {
			return 0, false
		}
		if s.CompareAndSwap(v, v-1) {
			return int(uint32(v)) - 1, true
		}
	}
}

// open reports whether tiles are left.
func (j *job) open() bool {
	for i := range j.left {
		if j.left[i].len() > 0 {
			return true
		}
	}
	return false
}

// take hands a tile to a participant.
func (j *job) take(worker int) (int, bool) {
	if i, ok := j.left[worker].first(); ok {
		return i, true
	}
	for {
		most, from := 0, 0
		for w := range j.left {
			if n := j.left[w].len(); n > most {
				most, from = n, w
			}
		}
		if most == 0 {
			return 0, false
		}
		if i, ok := j.left[from].last(); ok {
			return i, true
		}
	}
}

// New returns a pool in which a Run uses up to n goroutines: the caller and n-1 workers. n < 1 means GOMAXPROCS.
func New(n int) *Pool {
	if n < 1 {
		n = runtime.GOMAXPROCS(0)
	}
	p := &Pool{n: n, wake: make(chan struct{}, n), procs: max(n, runtime.GOMAXPROCS(0))}
	for i := range n - 1 {
		p.done.Add(1)
		go p.work(i + 1)
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
func (p *Pool) Run(t Task, n int) { p.RunUntil(nil, t, n) }

// RunUntil is Run, but hands out no more tiles once stop is closed; it reports whether all tiles were done.
// A nil stop never ends it.
func (p *Pool) RunUntil(stop <-chan struct{}, t Task, n int) bool {
	if n <= 0 {
		return true
	}
	if p.n == 1 || n == 1 {
		for i := range n {
			if stop != nil && ended(stop) {
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

func ended(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// run does tiles until none are left. A panic ends the job, and goes on in the caller of Run once every
// worker has left it.
func (j *job) run(worker int) {
	defer j.keepPanic()
	for {
		if j.stop != nil && ended(j.stop) {
			return
		}
		i, ok := j.take(worker)
		if !ok {
			return
		}
		j.task.Tile(i, worker)
	}
}

func (j *job) keepPanic() {
	if guard.On {
		if r := recover(); r != nil {
			for i := range j.left {
				j.left[i].set(0, 0)
			}
			j.failed.CompareAndSwap(nil, guard.Wrap(r))
		}
	}
}

func (p *Pool) post(t Task, n int, stop <-chan struct{}) *job {
	p.mu.Lock()
	var j *job
	if k := len(p.free); k > 0 {
		j, p.free = p.free[k-1], p.free[:k-1]
	} else {
		j = &job{left: make([]span, p.n), fin: make(chan struct{}, 1)}
	}
	j.task, j.stop = t, stop
	for i := range j.left {
		j.left[i].set(i*n/p.n, (i+1)*n/p.n)
	}
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
	all := !j.open()
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

// join picks the job with the fewest helpers.
func (p *Pool) join() *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare() <= 0 {
		return nil
	}
	var best *job
	for _, j := range p.jobs {
		if (best == nil || j.helpers.Load() < best.helpers.Load()) && j.open() {
			best = j
		}
	}
	if best != nil {
		best.helpers.Add(1)
		p.busy++
	}
	return best
}

// leave ends a worker's part in a job; the last one out wakes a waiting caller.
func (p *Pool) leave(j *job) {
	p.mu.Lock()
	p.busy--
	if j.helpers.Add(-1) == 0 && j.waiting.Load() {
		select {
		case j.fin <- struct{}{}:
		default:
		}
	}
	p.mu.Unlock()
}

// work is the life of the worker with a number, which it has in every job.
func (p *Pool) work(worker int) {
	defer p.done.Done()
	for {
		seen := p.posted.Load()
		if j := p.join(); j != nil {
			j.run(worker)
			p.leave(j)
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
