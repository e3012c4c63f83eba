package data

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/csvtext"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// CSVOptions steers ReadCSV.
type CSVOptions struct {
	// Target is the name (of the header) or number of the target's column; "" is the last, "none" that
	// there is no target.
	Target string
	// Missing are the words for a missing value, besides the empty one; such rows are dropped. Nil means
	// "?", "NA", "N/A", "NaN" and "NULL".
	Missing []string
	// Comma is what stands between fields; 0: a comma, or, where the first line has none, a semicolon or tab.
	Comma byte
}

// Table is what a CSV file held.
type Table struct {
	Header  []string
	X       *tensor.Tensor // float32 [rows, columns]; columns of words as the words' numbers
	Y       *tensor.Tensor // float32 [rows, 1], nil without a target
	Classes []string       // of a target of words, in order; Y holds their numbers
	Words   map[int][]string
	Dropped int // rows with missing values
}

// Notes says what became of cells that are no numbers: rows left out, columns numbered.
func (t *Table) Notes() []string {
	var out []string
	if t.Dropped > 0 {
		out = append(out, fmt.Sprintf("%d rows have a missing value and are left out", t.Dropped))
	}
	for _, c := range slices.Sorted(maps.Keys(t.Words)) {
		words := strings.Join(t.Words[c], ", ")
		if len(words) > 60 {
			words = words[:57] + "..."
		}
		out = append(out, fmt.Sprintf("input column %d holds words, which become their numbers from 0: %s", c+1, words))
	}
	return out
}

// ReadCSV reads a table of numbers and words, with or without a header line.
func ReadCSV(path string, o CSVOptions) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := DecodeCSV(f, o)
	if err != nil {
		return nil, errs.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// DecodeCSV is ReadCSV from a reader.
func DecodeCSV(r io.Reader, o CSVOptions) (*Table, error) {
	if o.Missing == nil {
		o.Missing = []string{"?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null"}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	rows, err := csvtext.Read(b, csvtext.Options{Comma: o.Comma})
	if err != nil {
		return nil, err
	}
	t, first := &Table{Words: map[int][]string{}}, 1
	if len(rows) > 0 && isHeader(rows) {
		t.Header, rows, first = rows[0], rows[1:], 2
	}
	if len(rows) == 0 {
		return nil, errs.Errorf("csv: %w", ErrEmpty)
	}
	target, err := t.target(o.Target, len(rows[0]))
	if err != nil {
		return nil, err
	}
	if err := mixed(rows, o.Missing, target, first); err != nil {
		return nil, err
	}
	n := len(rows)
	rows = slices.DeleteFunc(rows, func(row []string) bool {
		return slices.ContainsFunc(row, func(s string) bool {
			s = strings.TrimSpace(s)
			return s == "" || slices.Contains(o.Missing, s)
		})
	})
	if t.Dropped = n - len(rows); len(rows) == 0 {
		return nil, errs.Errorf("csv: every row has a missing value: %w", ErrEmpty)
	}
	return t, t.fill(rows, target)
}

// isHeader reports whether the first row has words where the second has numbers, or is all there is and all words.
func isHeader(rows [][]string) bool {
	if len(rows) == 1 {
		return !slices.ContainsFunc(rows[0], isNumber)
	}
	for i, s := range rows[0] {
		if !isNumber(s) && isNumber(rows[1][i]) {
			return true
		}
	}
	return false
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil
}

// mixed refuses columns other than the target's that are numbers but for some cells: a slip of the pen there would make
// words of all of them.
func mixed(rows [][]string, missing []string, target, first int) error {
	for c := range rows[0] {
		numbers, others, at := 0, 0, 0
		for r, row := range rows {
			switch s := strings.TrimSpace(row[c]); {
			case s == "" || slices.Contains(missing, s):
			case isNumber(s):
				numbers++
			default:
				if others++; others == 1 {
					at = r
				}
			}
		}
		if c != target && others > 0 && numbers > others {
			return errs.Errorf("csv: row %d, column %d: %q is no number, as %d others of this column are", at+first, c+1, rows[at][c], numbers)
		}
	}
	return nil
}

// target is the number of the target's column, -1 for none.
func (t *Table) target(name string, columns int) (int, error) {
	switch name {
	case "":
		return columns - 1, nil
	case "none":
		return -1, nil
	}
	if i := slices.Index(t.Header, name); i >= 0 {
		return i, nil
	}
	if i, err := strconv.Atoi(name); err == nil && i >= -columns && i < columns {
		return (i + columns) % columns, nil
	}
	return 0, errs.Errorf("csv: no column %q; the header is %q", name, t.Header)
}

func (t *Table) fill(rows [][]string, target int) error {
	columns := len(rows[0])
	width := columns
	if target >= 0 {
		width--
		t.Y = tensor.New(tensor.Float32, len(rows), 1)
	}
	t.X = tensor.New(tensor.Float32, len(rows), width)
	at := 0
	for c := range columns {
		vals, words, err := column(rows, c)
		if err != nil {
			return err
		}
		if c == target {
			copy(tensor.As[float32](t.Y), vals)
			t.Classes = words
			continue
		}
		if words != nil {
			t.Words[at] = words
		}
		for r, v := range vals {
			tensor.As[float32](t.X)[r*width+at] = v
		}
		at++
	}
	return nil
}

// column reads numbers, or numbers the words of a column that has any, in alphabetical order.
func column(rows [][]string, c int) (vals []float32, words []string, err error) {
	vals = make([]float32, len(rows))
	for r, row := range rows {
		v, err := strconv.ParseFloat(strings.TrimSpace(row[c]), 64)
		if err != nil {
			words = []string{}
			break
		}
		vals[r] = float32(v)
	}
	if words == nil {
		return vals, nil, nil
	}
	for _, row := range rows {
		words = append(words, strings.TrimSpace(row[c]))
	}
	slices.Sort(words)
	if words = slices.Compact(words); len(words) > 10000 {
		return nil, nil, errs.Errorf("csv: column %d holds %d different words", c, len(words))
	}
	for r, row := range rows {
		i, _ := slices.BinarySearch(words, strings.TrimSpace(row[c]))
		vals[r] = float32(i)
	}
	return vals, words, nil
}
