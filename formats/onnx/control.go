package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// controlRows is the operators that hold graphs.
func controlRows() []row {
	return []row{
		{name: "If", since: 1, op: ops.If{}, imp: importIf, exp: exportIf},
		{name: "Loop", since: 1, op: ops.Loop{}, imp: importLoop, exp: exportLoop},
		{name: "Scan", since: 8, until: 8, imp: importScan8},
		{name: "Scan", since: 9, op: ops.Scan{}, imp: importScan, exp: exportScan},
		{name: "SequenceMap", since: 17, op: ops.SequenceMap{}, imp: importSequenceMap, exp: exportSequenceMap},
	}
}

// importScan8 reads the first Scan, which has a batch in front: a Scan over the batch whose body is a Scan
// over the second axis. Its first input, lengths by batch entry, is not supported.
func importScan8(n *Node) []*graph.Value {
	if n.Input(0) != nil {
		n.Refuse("sequence_lens is not supported")
		return nil
	}
	if len(n.In) == 0 {
		n.Refuse("it has no inputs")
		return nil
	}
	in := n.In[1:]
	p, scans, dirs := n.graph("body"), n.Int("num_scan_inputs", 0), n.Ints("directions")
	states := len(in) - scans
	if scans < 1 || states < 0 {
		n.Refuse("num_scan_inputs is %d of %d inputs", scans, len(in))
		return nil
	}
	inner := ops.Scan{NumStates: states, NumScanInputs: scans, ScanInputDirections: dirs}
	outer := &graph.Graph{}
	b := graph.NewBuilder(outer)
	sc := &scope{parent: n.sc, b: b, opsets: n.sc.opsets, attrs: n.sc.attrs, named: map[*graph.Value]bool{},
		vals: map[string]*graph.Value{}, capture: &captures{inner: map[*graph.Value]*graph.Value{}}}
	m := *n
	m.Builder, m.sc, m.In = b, sc, nil
	for i, v := range in {
		if v == nil {
			n.Refuse("input %d is omitted", i)
			return nil
		}
		t, err := dropAxis(v.Type.WithoutValue(), 0)
		if err != nil {
			n.Refuse("%v", err)
			return nil
		}
		m.In = append(m.In, b.Input(v.Name, t))
	}
	formals, err := scanFormals(m.In, inner)
	if err != nil {
		n.Refuse("%v", err)
		return nil
	}
	g, c := m.carried(p, formals, 0, states, 0)
	n.Fail(b.Err())
	if g == nil {
		n.refuse = m.refuse
		return nil
	}
	inner.Body = g
	b.Output(b.AddN(inner, append(m.In, c.outer...)...)...)
	n.Fail(b.Err())
	whole := ops.Scan{Body: outer, NumScanInputs: len(in)}
	return n.AddN(whole, append(append([]*graph.Value{}, in...), sc.capture.outer...)...)
}
