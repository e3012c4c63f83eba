package onnx

import (
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// metaState, with the name of a parameter behind it, is the key in a file's metadata of the output that holds
// what the parameter is after the run. ONNX itself keeps nothing between runs: for other runtimes the parameter
// is an input that has a default.
const metaState = "nnrt.state:"

// openStates makes outputs of what the graph's updates assign, behind its own, and gives the places of the
// parameters that they are for.
func openStates(g *graph.Graph) (*graph.Graph, []int, error) {
	if len(g.Updates) == 0 {
		return g, nil, nil
	}
	g = g.Clone()
	var states []int
	for _, u := range g.Updates {
		i := slices.Index(g.Params, u.Param)
		if i < 0 || slices.Contains(states, i) {
			return nil, nil, errs.Errorf("onnx: an update is of %q, which is no parameter or is updated twice", u.Param.Name)
		}
		states = append(states, i)
		g.Outputs = append(g.Outputs, u.Value)
	}
	g.Updates = nil
	return g, states, nil
}

// noteStates writes down which of the file's outputs, from the one at out on, belong to which of its inputs,
// from the one at in on.
func noteStates(m *pb.ModelProto, in, out int) {
	for i, p := range m.Graph.Output[out:] {
		m.MetadataProps = append(m.MetadataProps, &pb.StringStringEntryProto{Key: metaState + m.Graph.Input[in+i].Name, Value: p.Name})
	}
}

// statesOf is the outputs that a file names as new values of its parameters, by output: those whose parameter
// is an input with a default, as noteStates leaves them.
func statesOf(m *pb.ModelProto) map[string]string {
	out := map[string]string{}
	for _, e := range m.MetadataProps {
		name, ok := strings.CutPrefix(e.Key, metaState)
		if ok && slices.ContainsFunc(m.Graph.Input, func(v *pb.ValueInfoProto) bool { return v.Name == name }) &&
			slices.ContainsFunc(m.Graph.Initializer, func(t *pb.TensorProto) bool { return t.Name == name }) {
			out[e.Value] = name
		}
	}
	return out
}

// closeStates makes updates of the outputs that the file names as such.
func (im *importer) closeStates(g *graph.Graph, m *pb.ModelProto) error {
	var kept []*graph.Value
	for i, v := range g.Outputs {
		name, ok := im.states[m.Graph.Output[i].Name]
		if !ok {
			kept = append(kept, v)
			continue
		}
		p := g.Param(name)
		if p == nil || p.Type.DType != v.Type.DType || v.Type.Kind != graph.TensorKind || !v.Type.Unranked &&
			!slices.EqualFunc(p.Type.Dims, v.Type.Dims, graph.Compatible) {
			return im.fail("output %q (%v) is noted as the next value of %q, which it can't be", v.Name, v.Type, name)
		}
		if slices.ContainsFunc(g.Updates, func(u graph.Update) bool { return u.Param == p }) {
			return im.fail("two outputs are noted as the next value of %q", name)
		}
		g.Updates = append(g.Updates, graph.Update{Param: p, Value: v})
	}
	g.Outputs = kept
	return nil
}
