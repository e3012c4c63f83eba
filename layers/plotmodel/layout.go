// Package plotmodel draws a model as Keras' plot_model does: a box for each layer with its class and shapes,
// and lines from layer to layer. DOT is for Graphviz; SVG and PNG are laid out here.
package plotmodel

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/layers"
)

// Options steers what the boxes show.
type Options struct {
	HideNames    bool // leave out the layers' names
	HideShapes   bool // leave out the output shapes
	ExpandNested bool // draw inner models as pictures of their own beside the model
}

// box is a layer, or a bend of a line that passes a rank (layer nil).
type box struct {
	layer    layers.Layer
	lines    []string
	rank     int
	in, out  []*box
	x, y     float64 // centre, in pixels
	w, h     float64
	order    float64
	position int
}

// panel is the picture of one model.
type panel struct {
	title  string
	boxes  []*box
	edges  [][]*box // each from a layer's box over bends to another's
	w, h   float64
	offset float64
}

const (
	charWidth  = 7
	lineHeight = 16
	margin     = 8
	gapX       = 24
	gapY       = 28
)

// panels lays out a built model, and, if asked, the models in it.
func panels(m *layers.Model, opts Options) []*panel {
	list := []*panel{layout(m, m, opts)}
	if opts.ExpandNested {
		seen := map[*layers.Model]bool{m: true}
		queue := []*layers.Model{m}
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			for _, l := range at.Layers() {
				if sub, ok := l.(*layers.Model); ok && !seen[sub] {
					seen[sub] = true
					queue = append(queue, sub)
					list = append(list, layout(m, sub, opts))
				}
			}
		}
	}
	x := 0.0
	for _, p := range list {
		p.offset = x
		x += p.w + 2*gapX
	}
	return list
}

// layout places the layers of m, whose shapes the outermost model knows.
func layout(outer, m *layers.Model, opts Options) *panel {
	p := &panel{title: m.Name}
	at := map[layers.Layer]*box{}
	for _, l := range m.Layers() {
		b := &box{layer: l, lines: label(outer, l, opts)}
		for _, s := range b.lines {
			b.w = max(b.w, float64(len([]rune(s))*charWidth))
		}
		b.w += 2 * margin
		b.h = float64(len(b.lines)*lineHeight + margin)
		at[l] = b
		p.boxes = append(p.boxes, b)
	}
	link := func(from, to *box) {
		if from != nil && to != nil && from != to && !slices.Contains(from.out, to) {
			from.out, to.in = append(from.out, to), append(to.in, from)
		}
	}
	if m.IsSequential {
		for i := 1; i < len(p.boxes); i++ {
			link(p.boxes[i-1], p.boxes[i])
		}
	}
	for _, n := range m.Nodes() {
		for _, t := range n.TensorsIn() {
			link(at[t.Layer()], at[n.Layer])
		}
	}
	p.place()
	return p
}

// label is the lines in a layer's box.
func label(m *layers.Model, l layers.Layer, opts Options) []string {
	class := layers.ClassName(l)
	lines := []string{class}
	if !opts.HideNames {
		lines = []string{fmt.Sprintf("%s (%s)", l.Common().Name, class)}
	}
	calls := m.OutputTypes(l)
	if opts.HideShapes || len(calls) == 0 {
		return lines
	}
	s := ""
	for i, t := range calls[0] {
		if i > 0 {
			s += ", "
		}
		s += layers.ShapeText(t)
	}
	return append(lines, s)
}

// place ranks the boxes by their longest way from an input, orders each rank by its neighbours, and gives
// every box its coordinates. Lines over several ranks bend around the boxes between.
func (p *panel) place() {
	rankBoxes(p.boxes)
	ranks := p.addBends()
	for range 8 {
		for _, r := range ranks {
			orderBy(r, func(b *box) []*box { return b.in })
		}
		for _, r := range slices.Backward(ranks) {
			orderBy(r, func(b *box) []*box { return b.out })
		}
	}
	y := 0.0
	for _, r := range ranks {
		height := 0.0
		for _, b := range r {
			height = max(height, b.h)
		}
		for _, b := range r {
			b.y = y + height/2
		}
		y += height + gapY
		spread(r)
	}
	for range 12 {
		for _, r := range ranks {
			pull(r, func(b *box) []*box { return b.in })
		}
		for _, r := range slices.Backward(ranks) {
			pull(r, func(b *box) []*box { return b.out })
		}
	}
	p.fit(ranks, y-gapY)
}

// rankBoxes gives each box the length of its longest way from a box without inputs. Circles (a shared layer
// called on what follows it) are cut at the box met again.
func rankBoxes(boxes []*box) {
	state := map[*box]int{}
	var visit func(b *box) int
	visit = func(b *box) int {
		switch state[b] {
		case 1:
			return -1
		case 2:
			return b.rank
		}
		state[b] = 1
		b.rank = 0
		for _, a := range b.in {
			b.rank = max(b.rank, visit(a)+1)
		}
		state[b] = 2
		return b.rank
	}
	for _, b := range boxes {
		visit(b)
	}
}

// addBends lists the boxes of each rank, with a bend in every rank that a line passes.
func (p *panel) addBends() [][]*box {
	var ranks [][]*box
	add := func(b *box) {
		for len(ranks) <= b.rank {
			ranks = append(ranks, nil)
		}
		b.position = len(ranks[b.rank])
		b.order = float64(b.position)
		ranks[b.rank] = append(ranks[b.rank], b)
	}
	for _, b := range p.boxes {
		add(b)
	}
	for _, b := range p.boxes {
		outs := b.out
		b.out = nil
		for _, to := range outs {
			path := []*box{b}
			prev := b
			for r := b.rank + 1; r < to.rank; r++ {
				bend := &box{rank: r, w: 4, h: lineHeight, in: []*box{prev}}
				add(bend)
				prev.out = append(prev.out, bend)
				path, prev = append(path, bend), bend
			}
			prev.out = append(prev.out, to)
			if prev != b {
				to.in[slices.Index(to.in, b)] = prev
			}
			p.edges = append(p.edges, append(path, to))
		}
	}
	return ranks
}

// orderBy sorts a rank by the mean place of each box's neighbours.
func orderBy(rank []*box, neighbours func(*box) []*box) {
	for _, b := range rank {
		ns := neighbours(b)
		if len(ns) == 0 {
			b.order = float64(b.position)
			continue
		}
		sum := 0.0
		for _, n := range ns {
			sum += float64(n.position)
		}
		b.order = sum / float64(len(ns))
	}
	order.Stable(rank, func(a, b *box) int { return cmp.Compare(a.order, b.order) })
	for i, b := range rank {
		b.position = i
	}
}

// spread puts the boxes of a rank side by side about 0.
func spread(rank []*box) {
	total := float64(gapX * (len(rank) - 1))
	for _, b := range rank {
		total += b.w
	}
	x := -total / 2
	for _, b := range rank {
		b.x = x + b.w/2
		x += b.w + gapX
	}
}

// pull moves the boxes of a rank towards their neighbours, as far as their order and width allow.
func pull(rank []*box, neighbours func(*box) []*box) {
	for _, b := range rank {
		b.order = b.x
		if ns := neighbours(b); len(ns) > 0 {
			sum := 0.0
			for _, n := range ns {
				sum += n.x
			}
			b.order = sum / float64(len(ns))
		}
	}
	// from both sides, and the mean of the two
	left, right := make([]float64, len(rank)), make([]float64, len(rank))
	for i, b := range rank {
		left[i] = b.order
		if i > 0 {
			left[i] = max(left[i], left[i-1]+rank[i-1].w/2+gapX+b.w/2)
		}
	}
	for i := len(rank) - 1; i >= 0; i-- {
		b := rank[i]
		right[i] = b.order
		if i < len(rank)-1 {
			right[i] = min(right[i], right[i+1]-rank[i+1].w/2-gapX-b.w/2)
		}
	}
	for i, b := range rank {
		b.x = (left[i] + right[i]) / 2
	}
}

// fit moves everything to the right of and below 0.
func (p *panel) fit(ranks [][]*box, height float64) {
	lo, hi := 0.0, 0.0
	first := true
	for _, r := range ranks {
		for _, b := range r {
			if first {
				lo, hi, first = b.x-b.w/2, b.x+b.w/2, false
			}
			lo, hi = min(lo, b.x-b.w/2), max(hi, b.x+b.w/2)
		}
	}
	for _, r := range ranks {
		for _, b := range r {
			b.x += gapX - lo
			b.y += gapY + lineHeight
		}
	}
	p.w, p.h = hi-lo+2*gapX, height+2*gapY+lineHeight
}
