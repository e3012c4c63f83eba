package layers

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// SummaryOptions steers Summary.
type SummaryOptions struct {
	// LineLength is the width of the table; 0 is Keras' default on a terminal of 80 columns.
	LineLength int
	// ExpandNested lists the layers of inner models too.
	ExpandNested bool
	// ShowTrainable adds a column that says which layers train.
	ShowTrainable bool
	// OptimizerParams and OptimizerBytes is the size of an optimizer's state, printed where it isn't zero.
	OptimizerParams, OptimizerBytes int
}

// Summary writes the table that Keras' model.summary() prints.
func (m *Model) Summary(w io.Writer, opts SummaryOptions) error {
	if err := m.Build(); err != nil {
		return err
	}
	chain := m.IsSequential || m.isChain()
	length, positions := 88, []float64{0.45, 0.80, 1}
	header, right := []string{"Layer (type)", "Output Shape", "Param #"}, []int{0, 0, 1}
	if !chain {
		length, positions = 108, []float64{0.3, 0.56, 0.74, 1}
		header, right = append(header, "Connected to"), append(right, 0)
	}
	if opts.ShowTrainable {
		length += 12
		for i := range positions {
			positions[i] *= 0.90
		}
		positions, header, right = append(positions, 1), append(header, "Trainable"), append(right, 2)
	}
	length = min(length, 76)
	if opts.LineLength > 0 {
		length = opts.LineLength
	}
	widths, err := columnWidths(length, positions)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "Model: \"%s\"\n", m.displayName())
	t := grid{w: b, widths: widths, right: right}
	t.rule("┏", "━", "┳", "┓")
	t.row(header, "┃", []int{0, 0, 1, 0, 2}[:len(header)])
	t.rule("┡", "━", "╇", "┩")
	var rows [][]string
	for _, l := range m.summaryLayers() {
		rows = m.summaryRows(rows, l, 0, chain, opts)
	}
	for i, r := range rows {
		if i > 0 {
			t.rule("├", "─", "┼", "┤")
		}
		t.row(r, "│", right)
	}
	t.rule("└", "─", "┴", "┘")
	m.writeCounts(b, opts)
	return b.Flush()
}

func (m *Model) displayName() string {
	if m.Name != "" {
		return m.Name
	}
	return SnakeCase(ClassName(m))
}

// summaryLayers is the layers that a table lists: a Sequential's InputLayer is not one of them.
func (m *Model) summaryLayers() []Layer {
	if m.IsSequential && len(m.layers) > 0 {
		if _, ok := m.layers[0].(*InputLayer); ok {
			return m.layers[1:]
		}
	}
	return m.layers
}

// isChain reports whether a functional model is one layer after the other.
func (m *Model) isChain() bool {
	used := map[*node]bool{}
	called := map[Layer]bool{}
	inputs := 0
	for _, n := range m.nodes {
		if called[n.layer] {
			return false
		}
		called[n.layer] = true
		ts := tensorsIn(nil, n.args)
		ts = tensorsIn(ts, n.kwargs)
		if len(ts) == 0 {
			inputs++
			continue
		}
		if len(ts) > 1 || used[ts[0].node] {
			return false
		}
		used[ts[0].node] = true
	}
	return inputs <= 1
}

// tensorsIn is the tensors in an argument, depth first.
func tensorsIn(ts []*Tensor, a any) []*Tensor {
	switch a := a.(type) {
	case *Tensor:
		ts = append(ts, a)
	case []any:
		for _, e := range a {
			ts = tensorsIn(ts, e)
		}
	case map[string]any:
		for _, k := range sortedKeys(a) {
			ts = tensorsIn(ts, a[k])
		}
	}
	return ts
}

// TensorsIn is the symbolic tensors among a node's arguments, in order.
func (n Node) TensorsIn() []*Tensor { return tensorsIn(tensorsIn(nil, n.Args), n.Kwargs) }

// columnWidths is how a table of that many columns is laid out: the relative positions give widths without
// the cells' margins, and what is too much then is taken off all columns alike.
func columnWidths(length int, positions []float64) ([]int, error) {
	widths := make([]int, len(positions))
	current, total := 0, 0
	for i, p := range positions {
		n := int(p*float64(length)) - current
		if n < 4 {
			return nil, errs.Errorf("layers: a summary of %d columns is too narrow", length)
		}
		current += n
		widths[i] = n + 2
		total += widths[i]
	}
	excess := total - (length - len(positions) - 1)
	for i, left := 0, len(widths); i < len(widths) && excess > 0; i, left = i+1, left-1 {
		q, r := excess/left, excess%left
		if 2*r > left || 2*r == left && q%2 == 1 { // rounded half to even
			q++
		}
		widths[i] -= q
		excess -= q
	}
	for i := range widths {
		widths[i] -= 2
	}
	return widths, nil
}

// summaryRows appends the row of a layer, and those of the layers in it.
func (m *Model) summaryRows(rows [][]string, l Layer, level int, chain bool, opts SummaryOptions) [][]string {
	prefix := ""
	if level > 0 {
		prefix = strings.Repeat("   ", level) + "└ "
	}
	ws := m.LayerWeights(l)
	r := []string{
		fmt.Sprintf("%s%s (%s)", prefix, l.Common().Name, summaryClass(l)), m.shapeText(l), group3(countParams(ws)),
	}
	if !chain {
		r = append(r, m.connections(l))
	}
	if opts.ShowTrainable {
		switch {
		case len(ws) == 0:
			r = append(r, "-")
		case l.Common().Frozen:
			r = append(r, "N")
		default:
			r = append(r, "Y")
		}
	}
	rows = append(rows, r)
	if sub, ok := l.(*Model); ok && opts.ExpandNested && level < 16 {
		for _, inner := range sub.summaryLayers() {
			rows = m.summaryRows(rows, inner, level+1, chain, opts)
		}
	}
	return rows
}

// summaryClass is the Python class' name.
func summaryClass(l Layer) string {
	if name := ClassName(l); name != "GroupQueryAttention" {
		return name
	}
	return "GroupedQueryAttention"
}

// shapeText is the shapes of the layer's last call.
func (m *Model) shapeText(l Layer) string {
	calls := m.root.calls[l]
	if len(calls) == 0 {
		return "?"
	}
	last := calls[len(calls)-1]
	parts := make([]string, len(last))
	for i, t := range last {
		parts[i] = ShapeText(t)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// ShapeText is a shape as Keras prints it: "(None, 28, 28, 1)".
func ShapeText(t graph.Type) string {
	if t.Rank() < 0 {
		return "?"
	}
	parts := make([]string, len(t.Dims))
	for i, d := range t.Dims {
		parts[i] = "None"
		if n, ok := d.Const(); ok {
			parts[i] = fmt.Sprint(n)
		}
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// connections is what the layer's calls take: "name[node][tensor]".
func (m *Model) connections(l Layer) string {
	var out []string
	for _, n := range m.nodes {
		if n.layer != l {
			continue
		}
		for _, t := range tensorsIn(tensorsIn(nil, n.args), n.kwargs) {
			out = append(out, fmt.Sprintf("%s[%d][%d]", t.node.layer.Common().Name, m.NodeIndex(t), t.index))
		}
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, ", ")
}

func countParams(ws []*Weight) int {
	n := 0
	for _, w := range ws {
		n += elements(w)
	}
	return n
}

func elements(w *Weight) int {
	n := 1
	for _, d := range w.Shape {
		n *= d
	}
	return n
}

// CountParams is the number of elements in the model's weights. The model has to be built.
func (m *Model) CountParams() (trainable, all int) {
	for _, w := range m.Weights() {
		all += elements(w)
		if m.Trainable(w) {
			trainable += elements(w)
		}
	}
	return trainable, all
}

func (m *Model) writeCounts(w io.Writer, opts SummaryOptions) {
	var n, size [2]int
	for _, x := range m.Weights() {
		k := 1
		if m.Trainable(x) {
			k = 0
		}
		n[k] += elements(x)
		size[k] += elements(x) * x.DType.Size()
	}
	line := func(what string, count, bytes int) {
		fmt.Fprintf(w, " %s params: %s (%s)\n", what, group3(count), memorySize(bytes))
	}
	line("Total", n[0]+n[1]+opts.OptimizerParams, size[0]+size[1]+opts.OptimizerBytes)
	line("Trainable", n[0], size[0])
	line("Non-trainable", n[1], size[1])
	if opts.OptimizerParams > 0 {
		line("Optimizer", opts.OptimizerParams, opts.OptimizerBytes)
	}
}

func memorySize(n int) string {
	v := float64(n)
	units := []string{"B", "KB", "MB", "GB", "TB", "PB"}
	for _, u := range units[:5] {
		if v/1024 < 1 {
			return fmt.Sprintf("%.2f %s", v, u)
		}
		v /= 1024
	}
	return fmt.Sprintf("%.2f %s", v, units[5])
}

// group3 writes thousands with commas.
func group3(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// grid draws rows of cells.
type grid struct {
	w      io.Writer
	widths []int
	right  []int
}

func (t grid) rule(left, line, cross, right string) {
	for i, n := range t.widths {
		if i == 0 {
			fmt.Fprint(t.w, left)
		} else {
			fmt.Fprint(t.w, cross)
		}
		fmt.Fprint(t.w, strings.Repeat(line, n+2))
	}
	fmt.Fprintln(t.w, right)
}

// row draws cells over as many lines as they need; right says how each is justified: 0 left, 1 right, 2 centre.
func (t grid) row(cells []string, bar string, right []int) {
	lines := make([][]string, len(cells))
	height := 1
	for i, c := range cells {
		lines[i] = wrap(c, t.widths[i])
		height = max(height, len(lines[i]))
	}
	for y := range height {
		for i := range cells {
			text := ""
			if y < len(lines[i]) {
				text = lines[i][y]
			}
			pad := max(t.widths[i]-len([]rune(text)), 0)
			before := 0
			switch right[i] {
			case 1:
				before = pad
			case 2:
				before = pad / 2
			}
			fmt.Fprintf(t.w, "%s %s%s%s ", bar, strings.Repeat(" ", before), text, strings.Repeat(" ", pad-before))
		}
		fmt.Fprintln(t.w, bar)
	}
}

// wrap cuts text at spaces into lines of at most n characters; longer words are cut anywhere.
func wrap(text string, n int) []string {
	var out []string
	line := []rune{}
	flush := func() {
		out = append(out, strings.TrimRight(string(line), " "))
		line = line[:0]
	}
	for _, word := range strings.SplitAfter(text, " ") {
		r := []rune(word)
		bare := len([]rune(strings.TrimRight(word, " ")))
		if len(line) > 0 && len(line)+bare > n {
			flush()
		}
		for bare > n {
			line = append(line, r[:n]...)
			flush()
			r, bare = r[n:], bare-n
		}
		line = append(line, r...)
	}
	if len(line) > 0 || len(out) == 0 {
		flush()
	}
	return out
}
