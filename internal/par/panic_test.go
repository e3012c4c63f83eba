package par

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/guard"
)

// faulty panics in one tile, on whichever goroutine gets it.
type faulty struct{ at int }

func (f faulty) Tile(i, _ int) {
	time.Sleep(time.Microsecond)
	if i == f.at {
		var none []int
		none[i] = 1
	}
}

// A panic on a worker would end the process: it has to come out of Run, and leave the pool usable.
func TestPanicComesOutOfRun(t *testing.T) {
	if !guard.On {
		t.Skip("built with nnrtdebug: panics go through")
	}
	p := New(3)
	defer p.Close()
	for at := range 40 {
		err := func() (err error) {
			defer guard.Catch(&err)
			p.Run(faulty{at}, 40)
			return nil
		}()
		require.ErrorIs(t, err, guard.ErrInternal, "tile %d", at)
		c := newCount(50, 3)
		p.Run(c, 50)
		for i := range c.hits {
			require.Equal(t, int32(1), c.hits[i].Load())
		}
		require.False(t, c.bad.Load())
	}
}
