package runtime

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// Memory is the bytes that a session takes for inputs of certain shapes.
type Memory struct {
	Params    map[string]int64 // by name
	Constants int64            // that the steps read: weights that nothing changes
	Arena     int64            // values between the steps, and what single steps need beside, as planned
	Scratch   int64            // the most that a single step needs beside, which is part of the arena
	Outputs   int64
	Live      int64 // values that must be kept when the last output has been made: of a training step, for the gradient
}

// Total is everything together, but for the constants.
func (m Memory) Total() int64 {
	t := m.Arena + m.Outputs
	for _, n := range m.Params {
		t += n
	}
	return t
}

// Stats is what a session holds at the moment.
type Stats struct {
	Plans  int   // kinds of input shapes that it is ready for, Options.MaxPlans at most
	Arenas int64 // bytes of those plans' memory
	Params int64 // bytes of parameters
}

// Stats counts what the session holds: plans are made by runs with inputs of new shapes, and the least recently used goes first.
func (s *Session) Stats() Stats {
	st := Stats{Plans: len(s.insts)}
	for pl := range s.insts {
		st.Arenas += int64(pl.arena)
	}
	for _, p := range s.params {
		st.Params += int64(len(p.Bytes()))
	}
	return st
}

// Memory plans a run on inputs like in.
func (s *Session) Memory(in []tensor.Value) (Memory, error) {
	if err := checkInputs(s.p.g, in); err != nil {
		return Memory{}, err
	}
	pl, err := s.p.planFor(in)
	if err != nil {
		return Memory{}, err
	}
	m := Memory{Params: map[string]int64{}, Arena: int64(pl.arena), Scratch: int64(pl.scratch)}
	for _, v := range pl.g.Params {
		m.Params[v.Name] = int64(byteSize(v.Type))
	}
	for _, v := range pl.g.Outputs {
		if v.Def != nil {
			m.Outputs += int64(byteSize(v.Type))
		}
	}
	seen := map[*graph.Value]bool{}
	for _, n := range pl.g.Nodes {
		for _, v := range n.In {
			if v != nil && v.IsConst() && !seen[v] {
				seen[v] = true
				m.Constants += int64(len(v.Type.Const.Bytes()))
			}
		}
	}
	m.Live = pl.liveAtEnd()
	return m, nil
}

// liveAtEnd is the bytes of places in the arena that hold something from before the last output is made until after it.
func (pl *planned) liveAtEnd() int64 {
	at := -1
	index := map[*graph.Node]int{}
	for i, n := range pl.g.Nodes {
		index[n] = i
	}
	for _, v := range pl.g.Outputs {
		if v.Def != nil {
			at = max(at, index[v.Def])
		}
	}
	// Values that share a place count once.
	places := map[int]int64{}
	for i, n := range pl.g.Nodes {
		if i <= at {
			continue
		}
		for _, v := range n.In {
			if v == nil || v.Def == nil || index[v.Def] > at {
				continue
			}
			if off, ok := pl.slots[v]; ok {
				places[off] = max(places[off], int64(byteSize(v.Type)))
			}
		}
	}
	total := int64(0)
	for _, n := range places {
		total += n
	}
	return total
}
