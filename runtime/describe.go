package runtime

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// WritePlan writes the program as specialised for inputs like in: every step with its kernel, the places
// of its outputs in the arena, and the sums.
func (s *Session) WritePlan(w io.Writer, in []tensor.Value) error {
	if err := checkInputs(s.p.g, in); err != nil {
		return err
	}
	pl, err := s.p.planFor(in)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	slow := 0
	for _, sp := range pl.steps {
		if strings.HasPrefix(sp.name, "ref/") {
			slow++
		}
	}
	fmt.Fprintf(b, "%d steps on %s, %d of them with reference kernels (ref/...)\narena %d bytes, %d bytes of them for the step that needs most beside\n",
		len(pl.steps), s.p.dev.Name(), slow, pl.arena, pl.scratch)
	for i, sp := range pl.steps {
		name := sp.name
		if sp.step == nil {
			name = "(prepared when its shapes are known)"
		}
		fmt.Fprintf(b, "%4d  %-22s %-34s", i, sp.node.Op.Name(), name)
		for _, v := range sp.node.Out {
			fmt.Fprintf(b, " %v%s", v.Type.WithoutValue(), pl.place(v))
		}
		if sp.node.Origin != "" {
			fmt.Fprintf(b, "  %q", sp.node.Origin)
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

// place says where a value lives.
func (pl *planned) place(v *graph.Value) string {
	if p := pl.inPlace[v]; p != nil {
		return fmt.Sprintf(" over %q", p.Name)
	}
	if off, ok := pl.slots[v]; ok {
		return fmt.Sprintf(" +%d", off)
	}
	return ""
}

// Write prints a profile: each node's share and time a run, most first as they stand, in at most 100 columns.
func (p *Profile) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	total := time.Duration(0)
	for _, s := range p.Steps {
		total += s.Time
	}
	runs := time.Duration(max(p.Runs, 1))
	fmt.Fprintf(b, "%-18s %-30s %9s %6s  %s\n", "op", "kernel", "µs", "%", "origin")
	for _, s := range p.Steps {
		fmt.Fprintf(b, "%-18.18s %-30.30s %9.1f %6.2f  %.32s\n", s.Op, s.Kernel, float64(s.Time/runs)/1e3,
			100*float64(s.Time)/float64(max(total, 1)), s.Origin)
	}
	fmt.Fprintf(b, "%-18s %-30s %9.1f\n", "total", "", float64(total/runs)/1e3)
	return b.Flush()
}
