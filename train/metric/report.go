package metric

import (
	"bufio"
	"fmt"
	"io"

	"github.com/nnrt/nnrt/internal/errs"
)

// Report says how well classes are told apart, as scikit-learn's classification_report and confusion_matrix do.
type Report struct {
	Classes   []ClassScore `json:"classes"`
	Accuracy  float64      `json:"accuracy"`
	Macro     ClassScore   `json:"macro_avg"`    // the classes' mean
	Weighted  ClassScore   `json:"weighted_avg"` // the same, each class counting by its samples
	Confusion [][]int      `json:"confusion"`    // [true class][predicted class]
}

// ClassScore is a class's figures; what would be divided by nothing is 0.
type ClassScore struct {
	Name      string  `json:"name,omitempty"`
	Precision float64 `json:"precision"` // of those that were called so, the part that are
	Recall    float64 `json:"recall"`    // of those that are, the part that were called so
	F1        float64 `json:"f1"`
	Support   int     `json:"support"` // samples
}

// NewReport compares class numbers. names may be nil.
func NewReport(truth, predicted []int, names []string) (*Report, error) {
	if len(truth) != len(predicted) || len(truth) == 0 {
		return nil, errs.Errorf("metric: %d true classes and %d predicted ones", len(truth), len(predicted))
	}
	n := len(names)
	for i, c := range truth {
		if c < 0 || predicted[i] < 0 || c > 1<<20 || predicted[i] > 1<<20 {
			return nil, errs.Errorf("metric: sample %d is of class %d, predicted %d", i, c, predicted[i])
		}
		n = max(n, c+1, predicted[i]+1)
	}
	r := &Report{Confusion: make([][]int, n), Classes: make([]ClassScore, n)}
	for c := range n {
		r.Confusion[c] = make([]int, n)
	}
	right := 0
	for i, c := range truth {
		r.Confusion[c][predicted[i]]++
		if c == predicted[i] {
			right++
		}
	}
	r.Accuracy = float64(right) / float64(len(truth))
	for c := range n {
		called := 0
		s := ClassScore{Name: fmt.Sprint(c)}
		if c < len(names) {
			s.Name = names[c]
		}
		for k := range n {
			called += r.Confusion[k][c]
			s.Support += r.Confusion[c][k]
		}
		s.Precision, s.Recall = part(r.Confusion[c][c], called), part(r.Confusion[c][c], s.Support)
		if sum := s.Precision + s.Recall; sum > 0 {
			s.F1 = 2 * s.Precision * s.Recall / sum
		}
		r.Classes[c] = s
		r.Macro.add(s, 1/float64(n))
		r.Weighted.add(s, float64(s.Support)/float64(len(truth)))
	}
	return r, nil
}

func (s *ClassScore) add(o ClassScore, by float64) {
	s.Precision += by * o.Precision
	s.Recall += by * o.Recall
	s.F1 += by * o.F1
	s.Support += o.Support
}

func part(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Write prints the scores, and the confusion matrix where it is narrow enough to read.
func (r *Report) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%20s %10s %10s %10s %10s\n\n", "", "precision", "recall", "f1-score", "support")
	row := func(s ClassScore) {
		fmt.Fprintf(b, "%20.20s %10.4f %10.4f %10.4f %10d\n", s.Name, s.Precision, s.Recall, s.F1, s.Support)
	}
	for _, s := range r.Classes {
		row(s)
	}
	fmt.Fprintf(b, "\n%20s %32.4f %10d\n", "accuracy", r.Accuracy, r.Macro.Support)
	macro, weighted := r.Macro, r.Weighted
	macro.Name, weighted.Name = "macro avg", "weighted avg"
	row(macro)
	row(weighted)
	if len(r.Classes) <= 12 {
		fmt.Fprintf(b, "\n%20s", "true \\ predicted")
		for _, c := range r.Classes {
			fmt.Fprintf(b, " %6.6s", c.Name)
		}
		fmt.Fprintln(b)
		for i, line := range r.Confusion {
			fmt.Fprintf(b, "%20.20s", r.Classes[i].Name)
			for _, n := range line {
				fmt.Fprintf(b, " %6d", n)
			}
			fmt.Fprintln(b)
		}
	}
	return b.Flush()
}
