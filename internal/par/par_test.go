package par

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type countTask struct {
	hits []atomic.Int32
	busy []atomic.Bool
	bad  atomic.Bool
}

func newCount(n, workers int) *countTask {
	return &countTask{hits: make([]atomic.Int32, n), busy: make([]atomic.Bool, workers)}
}

func (c *countTask) Tile(i, w int) {
	if c.busy[w].Swap(true) {
		c.bad.Store(true)
	}
	c.hits[i].Add(1)
	c.busy[w].Store(false)
}

func TestRunDoesEveryTileOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		p := New(workers)
		for _, n := range []int{0, 1, 2, 3, 100, 1000} {
			c := newCount(n, workers)
			p.Run(c, n)
			for i := range c.hits {
				require.Equal(t, int32(1), c.hits[i].Load(), "workers %d n %d tile %d", workers, n, i)
			}
			require.False(t, c.bad.Load(), "two goroutines shared a worker number")
		}
		p.Close()
		p.Close()
		c := newCount(10, workers)
		p.Run(c, 10)
		require.Equal(t, int32(1), c.hits[9].Load())
	}
}

func TestConcurrentRuns(t *testing.T) {
	p := New(3)
	defer p.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 300 {
				c := newCount(17, 3)
				p.Run(c, 17)
				for i := range c.hits {
					if c.hits[i].Load() != 1 {
						t.Errorf("tile %d ran %d times", i, c.hits[i].Load())
						return
					}
				}
				if c.bad.Load() {
					t.Error("two goroutines shared a worker number")
				}
			}
		}()
	}
	wg.Wait()
}

type nested struct {
	p     *Pool
	inner []*countTask
}

func (n *nested) Tile(i, _ int) { n.p.Run(n.inner[i], 9) }

func TestNestedRun(t *testing.T) {
	p := New(3)
	defer p.Close()
	n := &nested{p: p}
	for range 20 {
		n.inner = append(n.inner, newCount(9, 3))
	}
	p.Run(n, 20)
	for _, c := range n.inner {
		for i := range c.hits {
			require.Equal(t, int32(1), c.hits[i].Load())
		}
	}
}

type stopTask struct {
	stop chan struct{}
	ran  atomic.Int32
}

func (s *stopTask) Tile(i, _ int) {
	if s.ran.Add(1) == 5 {
		close(s.stop)
	}
}

func TestRunUntilStops(t *testing.T) {
	for _, workers := range []int{1, 3} {
		p := New(workers)
		s := &stopTask{stop: make(chan struct{})}
		require.False(t, p.RunUntil(s.stop, s, 1_000_000))
		require.Less(t, s.ran.Load(), int32(1000))
		s.ran.Store(10)
		require.True(t, p.RunUntil(make(chan struct{}), s, 3))
		p.Close()
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	p := New(2)
	defer p.Close()
	c := newCount(64, 2)
	p.Run(c, 64)
	require.Zero(t, testing.AllocsPerRun(200, func() { p.Run(c, 64) }))
}

func BenchmarkRunEmpty(b *testing.B) {
	p := New(2)
	defer p.Close()
	c := newCount(8, 2)
	for b.Loop() {
		p.Run(c, 8)
	}
}

// While as many callers are inside as processors there are, the workers leave their tiles to them.
func TestWorkersLeaveProcessorsToCallers(t *testing.T) {
	p := New(3)
	defer p.Close()
	for range p.procs {
		p.Enter()
	}
	h := &helped{}
	p.Run(h, 200)
	require.Zero(t, h.by.Load(), "workers helped a caller though every processor has one")
	for range p.procs {
		p.Leave()
	}
	for range 1000 {
		if p.Run(h, 200); h.by.Load() > 0 {
			return
		}
	}
	t.Error("workers don't help a single caller")
}

// helped counts the tiles that workers did.
type helped struct{ by atomic.Int32 }

func (h *helped) Tile(_, worker int) {
	time.Sleep(time.Microsecond)
	if worker > 0 {
		h.by.Add(1)
	}
}
