package layers

import (
	"maps"
	"slices"

	"github.com/nnrt/nnrt/internal/order"
)

// SortLayers puts the layers of a functional model into the order in which Keras lists them, which is also that of weights in
// its files: those farthest from the outputs first, among equals those that a walk back from the outputs meets first. Models in
// it likewise. Package train does so before it trains, so that a file's optimizer state goes by the same order as its weights.
func (m *Model) SortLayers() {
	for _, l := range m.layers {
		if inner, ok := l.(*Model); ok {
			inner.SortLayers()
		}
	}
	if m.Ordered || m.IsSequential {
		return
	}
	m.change()
	w := walk{met: map[Layer]int{}, done: map[*node]bool{}}
	for _, t := range m.outputs {
		w.back(t.node)
	}
	depth, far := map[Layer]int{}, map[*node]int{}
	for _, n := range slices.Backward(w.order) {
		d := max(far[n], depth[n.layer])
		depth[n.layer] = d
		far[n] = d
		for _, p := range n.before() {
			far[p] = max(far[p], d+1)
		}
	}
	order.Stable(m.layers, func(a, b Layer) int {
		if depth[a] != depth[b] {
			return depth[b] - depth[a]
		}
		return w.met[a] - w.met[b]
	})
}

// walk goes through calls from the outputs back to the inputs.
type walk struct {
	met   map[Layer]int
	done  map[*node]bool
	order []*node // those that another needs first
}

func (w *walk) back(n *node) {
	if w.done[n] {
		return
	}
	w.done[n] = true
	if _, ok := w.met[n.layer]; !ok {
		w.met[n.layer] = len(w.met)
	}
	for _, p := range n.before() {
		w.back(p)
	}
	w.order = append(w.order, n)
}

// before is the calls whose results this one takes.
func (n *node) before() []*node {
	var out []*node
	var visit func(a any)
	visit = func(a any) {
		switch a := a.(type) {
		case *Tensor:
			out = append(out, a.node)
		case []any:
			for _, e := range a {
				visit(e)
			}
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(a)) {
				visit(a[k])
			}
		}
	}
	visit(n.args)
	visit(n.kwargs)
	return out
}
