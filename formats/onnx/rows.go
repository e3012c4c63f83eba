package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/order"
)

// Domains of operators. The default domain is spelled "" in files, or "ai.onnx".
const (
	mlDomain        = "ai.onnx.ml"
	trainingDomain  = "ai.onnx.preview.training"
	previewDomain   = "ai.onnx.preview"
	microsoftDomain = "com.microsoft"
)

// newest is the last operator-set version of each domain that the rows cover; a newer one may have given
// any operator another meaning.
func newest() map[string]int {
	return map[string]int{"": Opset, mlDomain: 5, trainingDomain: 1, previewDomain: 1, microsoftDomain: 1}
}

// row says how one operator is read, and written, from one operator-set version on up to the next row of
// that operator. Of a removed operator, until is the last version that had it.
type row struct {
	domain string
	name   string
	since  int
	until  int
	op     graph.Op // the operator that exp writes; of an automatic row also its attributes' defaults
	imp    func(n *Node) []*graph.Value
	exp    exporter
	// steer lists the inputs of floats that decide the output's shape: where they are initializers they
	// become constants, not parameters, so that shapes are known early.
	steer []int
}

// rows is every operator of every domain.
func rows() []row {
	return slices.Concat(
		pointwiseRows(),
		binaryRows(),
		reduceRows(),
		matmulRows(),
		normRows(),
		convRows(),
		poolRows(),
		resizeRows(),
		shapeRows(),
		gatherRows(),
		sliceRows(),
		recurrentRows(),
		attentionRows(),
		controlRows(),
		sequenceRows(),
		stringRows(),
		randomRows(),
		quantRows(),
		signalRows(),
		lossRows(),
		mlRows(),
		trainingRows(),
		microsoftRows(),
		legacyRows(),
	)
}

type opKey struct{ domain, name string }

// rowTable finds rows by operator; each list is by ascending version.
type rowTable map[opKey][]row

func newRowTable(rows []row) rowTable {
	t := rowTable{}
	for _, r := range rows {
		k := opKey{r.domain, r.name}
		t[k] = append(t[k], r)
	}
	for _, list := range t {
		order.Stable(list, func(a, b row) int { return a.since - b.since })
	}
	return t
}

// find is the row that gives an operator its meaning in a version of its domain's operator set.
func (t rowTable) find(domain, name string, opset int) (row, bool) {
	list := t[opKey{domain, name}]
	for i := len(list) - 1; i >= 0; i-- {
		if r := list[i]; r.since <= opset {
			return r, r.until == 0 || opset <= r.until
		}
	}
	return row{}, false
}

// in puts rows into a domain.
func in(domain string, list ...row) []row {
	for i := range list {
		list[i].domain = domain
	}
	return list
}
