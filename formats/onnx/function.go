package onnx

import (
	"maps"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
)

// call expands a function of the model's own in place.
func (im *importer) call(n *Node, f *pb.FunctionProto, origin string) ([]*graph.Value, error) {
	if im.depth++; im.depth > im.lim.MaxGraphDepth {
		return nil, im.fail("node %q: functions call each other more than %d deep", origin, im.lim.MaxGraphDepth)
	}
	if im.calling[f] {
		return nil, im.fail("node %q: function %s calls itself, or others that call it", origin, opName(n.p))
	}
	im.calling[f] = true
	defer func() {
		im.depth--
		delete(im.calling, f)
	}()
	if len(n.In) > len(f.Input) {
		return nil, im.fail("node %q: function %s takes %d inputs, got %d", origin, f.Name, len(f.Input), len(n.In))
	}
	sc := &scope{b: n.sc.b, vals: map[string]*graph.Value{}, opsets: maps.Clone(n.sc.opsets),
		attrs: map[string]*pb.AttributeProto{}, prefix: origin + "/", results: map[string]string{}, named: n.sc.named}
	for i, name := range f.Output {
		if i < len(n.p.Output) && n.p.Output[i] != "" {
			sc.results[name] = n.sc.nameOf(n.p.Output[i])
		}
	}
	for _, o := range f.OpsetImport {
		sc.opsets[domain(o.Domain)] = int(o.Version)
	}
	for _, a := range f.AttributeProto {
		sc.attrs[a.Name] = a
	}
	maps.Copy(sc.attrs, n.attrs)
	for i, name := range f.Input {
		sc.vals[name] = n.Input(i)
	}
	if err := im.body(sc, f.Node); err != nil {
		return nil, err
	}
	outs := make([]*graph.Value, len(f.Output))
	for i, name := range f.Output {
		v, err := sc.lookup(name)
		if err != nil {
			return nil, im.fail("node %q: output %q of function %s: %w", origin, name, f.Name, err)
		}
		if v == poison {
			return nil, nil
		}
		outs[i] = v
	}
	return outs, nil
}
