package job

import (
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// Head is what ReplaceHead did.
type Head struct {
	Layers []layers.Layer // those that make the classes out of features
	New    bool           // they have new weights
}

// ReplaceHead gives a classifier as many classes as are wanted: the last layer with weights, where it is a Dense or a
// convolution of 1x1 that makes one number a class, gets that many units; on a network that ends with features, pooling
// and a Dense with softmax are put. A head that has the right size is kept, unless fresh is set. Networks inside of the
// last layer are changed there.
func ReplaceHead(m *layers.Model, classes int, fresh bool) (Head, error) {
	var h Head
	if classes < 1 {
		return h, errs.Errorf("job: a head for %d classes", classes)
	}
	if err := m.Build(); err != nil {
		return h, err
	}
	if len(m.OutputNames()) != 1 {
		return h, errs.Errorf("job: the model has %d outputs; a head can only be replaced where there is one", len(m.OutputNames()))
	}
	chain, inner := tail(m, m)
	last := chain[0]
	switch l := last.(type) {
	case *layers.Dense:
		if act := string(l.Activation); act != "" && act != "linear" && act != "softmax" && act != "sigmoid" {
			break // a layer of features
		}
		want := classes
		if l.Units == 1 && classes == 2 && onlyOne(chain) {
			want = 1 // two classes by one sigmoid
		}
		return headOf(m, inner, last, &l.Units, want, chain, fresh)
	case *layers.Conv2D:
		if len(chain) > 1 && !slices.ContainsFunc(l.KernelSize, func(k int) bool { return k != 1 }) && outputRank(m) == 2 {
			return headOf(m, inner, last, &l.Filters, classes, chain, fresh)
		}
	}
	return addHead(m, classes)
}

// onlyOne reports whether the layers behind the head leave one number to be one probability.
func onlyOne(chain []layers.Layer) bool {
	for _, l := range chain[1:] {
		if a, ok := l.(*layers.ActivationLayer); ok && a.Activation == "softmax" {
			return false
		}
	}
	return true
}

// headOf sets the number of units of an existing head.
func headOf(m, inner *layers.Model, l layers.Layer, units *int, classes int, chain []layers.Layer, fresh bool) (Head, error) {
	h := Head{Layers: []layers.Layer{l}, New: fresh || *units != classes}
	if inner != m { // a model of its own on top of another: all of it is the head
		h.Layers = inner.Layers()
	}
	if !h.New {
		return h, nil
	}
	for _, after := range chain[1:] {
		if r, ok := after.(*layers.Reshape); ok {
			for i, n := range r.TargetShape {
				if n == *units {
					r.TargetShape[i] = classes
				}
			}
		}
	}
	if *units == classes {
		for _, w := range m.LayerWeights(l) {
			w.Data = nil
		}
	}
	*units = classes
	m.Changed()
	return h, m.Build()
}

// tail is the last layer with weights and the layers behind it, along the model's only output; inner is the model that
// they are in. Where several values flow together, it ends.
func tail(top, m *layers.Model) (chain []layers.Layer, inner *layers.Model) {
	if m.IsSequential {
		all := m.Layers()
		for i := len(all) - 1; i >= 0; i-- {
			if sub, ok := all[i].(*layers.Model); ok && len(chain) == 0 {
				return tail(top, sub)
			}
			if chain = append(chain, all[i]); hasWeights(top, all[i]) {
				break
			}
		}
		slices.Reverse(chain)
		return chain, m
	}
	nodes := m.Nodes()
	t := m.Outputs()[0]
	for t != nil {
		l := t.Layer()
		if sub, ok := l.(*layers.Model); ok && len(chain) == 0 {
			return tail(top, sub)
		}
		if chain = append(chain, l); hasWeights(top, l) {
			break
		}
		index := m.NodeIndex(t)
		t = nil
		for _, n := range nodes {
			if n.Layer == l && n.Index == index && len(n.Args) == 1 {
				t, _ = n.Args[0].(*layers.Tensor)
			}
		}
	}
	slices.Reverse(chain)
	return chain, m
}

func hasWeights(top *layers.Model, l layers.Layer) bool { return len(top.LayerWeights(l)) > 0 }

// outputRank is the rank of the model's output, batch included; -1 where it is open.
func outputRank(m *layers.Model) int {
	g, err := m.Graph(layers.Options{})
	if err != nil {
		return -1
	}
	return g.Outputs[0].Type.Rank()
}

// addHead puts pooling and a Dense on a network of features.
func addHead(m *layers.Model, classes int) (Head, error) {
	dense := &layers.Dense{Base: layers.Named(freeName(m, "head")), Units: classes, Activation: "softmax"}
	var add []layers.Layer
	switch r := outputRank(m); r {
	case 4:
		add = append(add, &layers.GlobalAveragePooling2D{Base: layers.Named(freeName(m, "head_pool"))})
	case 3:
		add = append(add, &layers.GlobalAveragePooling1D{Base: layers.Named(freeName(m, "head_pool"))})
	case 2:
	default:
		return Head{}, errs.Errorf("job: the model's output has rank %d; a head goes on one of 2, 3 or 4", r)
	}
	add = append(add, dense)
	if m.IsSequential {
		for _, l := range add {
			m.Append(l)
		}
	} else {
		t := m.Outputs()[0]
		for _, l := range add {
			t = m.Apply(l, t)
		}
		m.SetOutputs(t)
	}
	return Head{Layers: []layers.Layer{dense}, New: true}, m.Build()
}

// freeName is a name that no layer of the model has.
func freeName(m *layers.Model, name string) string {
	for i := 0; ; i++ {
		n := name
		if i > 0 {
			n = fmt.Sprintf("%s_%d", name, i)
		}
		if m.Layer(n) == nil {
			return n
		}
	}
}

// freezeBut freezes every layer but those given, those in inner models included.
func freezeBut(m *layers.Model, keep []layers.Layer, depth int) {
	for _, l := range m.Layers() {
		if inner, ok := l.(*layers.Model); ok && depth < 64 {
			inner.Frozen = false // of its layers each says for itself
			freezeBut(inner, keep, depth+1)
			continue
		}
		if _, input := l.(*layers.InputLayer); !input {
			l.Common().Frozen = !slices.Contains(keep, l)
		}
	}
}

// freezeNorms freezes normalizations by running statistics.
func freezeNorms(m *layers.Model, depth int) {
	for _, l := range m.Layers() {
		switch l := l.(type) {
		case *layers.Model:
			if depth < 64 {
				freezeNorms(l, depth+1)
			}
		case *layers.BatchNormalization:
			l.Frozen = true
		}
	}
}
