package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
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
// over the second axis. Where its first input gives lengths by batch entry, the inner one runs so far, and
// zeros follow in what it collects.
func importScan8(n *Node) []*graph.Value {
	if len(n.In) == 0 {
		n.Refuse("it has no inputs")
		return nil
	}
	lens, in := n.In[0], n.In[1:]
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
	args := append([]*graph.Value{}, in...)
	if lens != nil {
		args = append(args, lens)
	}
	for i, v := range args {
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
	var left *graph.Value // how many elements are left out
	if lens != nil {
		left = m.cutScanned(m.In[states:])
		m.In = m.In[:len(in)]
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
	outs := b.AddN(inner, append(m.In, c.outer...)...)
	if left != nil {
		for i := states; i < len(outs); i++ {
			outs[i] = b.Add(ops.Pad{Mode: "constant"}, outs[i], left, nil, b.Ints(0))
		}
	}
	b.Output(outs...)
	n.Fail(b.Err())
	whole := ops.Scan{Body: outer, NumScanInputs: len(args)}
	return n.AddN(whole, append(args, sc.capture.outer...)...)
}

// cutScanned cuts scanned inputs to the length that stands behind them, and gives the padding at the end
// that brings what is collected of them to the former length.
func (n *Node) cutScanned(in []*graph.Value) *graph.Value {
	scanned, length := in[:len(in)-1], in[len(in)-1]
	length = n.Add(ops.Reshape{}, n.Add(ops.Cast{To: tensor.Int64, Saturate: true}, length), n.ints(1))
	whole := n.Add(ops.Shape{Start: 0, End: 1, HasEnd: true}, scanned[0])
	for i, v := range scanned {
		in[i] = n.Add(ops.Slice{}, v, n.ints(0), length, n.ints(0))
	}
	return n.Add(ops.Concat{}, n.ints(0), n.Add(ops.Sub{}, whole, length))
}
