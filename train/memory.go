package train

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/train/data"
)

// Memory is the bytes of a training step. What must live is the parameters, the gradients of those that are trained, the
// optimizer's slots, and the activations saved for the gradient; the rest is the plan's to spend.
type Memory struct {
	Parameters  int64 `json:"parameters"` // trained ones and statistics
	Frozen      int64 `json:"frozen"`     // constants: weights that nothing changes
	Gradients   int64 `json:"gradients"`
	Slots       int64 `json:"slots"`
	Activations int64 `json:"activations"`
	Workspace   int64 `json:"workspace"` // of the kernel that needs most; part of the arena
	Arena       int64 `json:"arena"`     // activations, gradients and what is between them, as planned
	Outputs     int64 `json:"outputs"`
	Peak        int64 `json:"peak"`
}

// Must is what must live.
func (m Memory) Must() int64 {
	return m.Parameters + m.Frozen + m.Gradients + m.Slots + m.Activations
}

// Ratio is the planned peak relative to what must live.
func (m Memory) Ratio() float64 { return float64(m.Peak) / float64(max(m.Must(), 1)) }

// Memory plans a training step on batches like b, without running it.
func (m *Model) Memory(b data.Batch) (Memory, error) {
	p, in, err := m.stepFor(b)
	if err != nil {
		return Memory{}, err
	}
	r, err := p.sess.Memory(in)
	if err != nil {
		return Memory{}, errs.Errorf("train: %w", err)
	}
	out := Memory{Frozen: r.Constants, Activations: r.Live, Workspace: r.Scratch, Arena: r.Arena, Outputs: r.Outputs}
	for name, n := range r.Params {
		if strings.HasPrefix(name, "optimizer/") && m.infer.Param(name) == nil {
			out.Slots += n
			continue
		}
		out.Parameters += n
		if slices.Contains(p.step.Trained, name) {
			out.Gradients += n
		}
	}
	out.Peak = r.Total() + r.Constants
	return out, nil
}

// Write prints a table.
func (m Memory) Write(w io.Writer) error {
	t := bufio.NewWriter(w)
	row := func(name string, n int64) { fmt.Fprintf(t, "%37s %12.2f  MB\n", name, float64(n)/1e6) }
	row("parameters", m.Parameters)
	if m.Frozen > 0 {
		row("frozen weights", m.Frozen)
	}
	row("gradients", m.Gradients)
	row("optimizer slots", m.Slots)
	row("saved activations", m.Activations)
	row("must live", m.Must())
	row("workspace of kernels (in the arena)", m.Workspace)
	row("planned arena", m.Arena)
	row("outputs", m.Outputs)
	row("planned peak", m.Peak)
	fmt.Fprintf(t, "%37s %12.3f\n", "peak / must live", m.Ratio())
	return t.Flush()
}
