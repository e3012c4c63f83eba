package pretrained

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the classes' names
	"encoding/json"
	"io"
	"strconv"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/tensor"
)

//go:embed imagenet_class_index.json.gz
var imagenetIndex []byte

// Label is a class of ImageNet: WordNet's number and a name.
type Label struct{ ID, Name string }

// ImageNet is the thousand classes in the order of the networks' outputs.
func ImageNet() ([]Label, error) {
	z, err := gzip.NewReader(bytes.NewReader(imagenetIndex))
	if err != nil {
		return nil, errs.Errorf("pretrained: class index: %w", err)
	}
	p, err := io.ReadAll(z)
	if err != nil {
		return nil, errs.Errorf("pretrained: class index: %w", err)
	}
	return ParseLabels(p)
}

// ParseLabels reads classes in the form of Keras' imagenet_class_index.json.
func ParseLabels(p []byte) ([]Label, error) {
	var index map[string][2]string
	if err := json.Unmarshal(p, &index); err != nil {
		return nil, errs.Errorf("pretrained: class index: %w", err)
	}
	out := make([]Label, len(index))
	for i := range out {
		v, ok := index[strconv.Itoa(i)]
		if !ok {
			return nil, errs.Errorf("pretrained: class index: there are %d classes, but not number %d", len(out), i)
		}
		out[i] = Label{v[0], v[1]}
	}
	return out, nil
}

// Prediction is a class with its score.
type Prediction struct {
	Label
	Class int
	Score float64
}

// DecodePredictions is the top classes of each row of y, [n, classes], best first.
func DecodePredictions(y *tensor.Tensor, labels []Label, top int) ([][]Prediction, error) {
	if y.Rank() != 2 || y.Dim(1) != len(labels) {
		return nil, errs.Errorf("pretrained: predictions of shape %v for %d classes", y.Shape(), len(labels))
	}
	vs, err := y.Float64s()
	if err != nil {
		return nil, err
	}
	out := make([][]Prediction, y.Dim(0))
	for i := range out {
		row := make([]Prediction, len(labels))
		for c := range row {
			row[c] = Prediction{labels[c], c, vs[i*len(labels)+c]}
		}
		order.Stable(row, func(a, b Prediction) int {
			switch {
			case a.Score > b.Score:
				return -1
			case a.Score < b.Score:
				return 1
			}
			return 0
		})
		out[i] = row[:max(0, min(top, len(row)))]
	}
	return out, nil
}
