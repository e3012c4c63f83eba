package data

import (
	"math"
	"sort"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Tokenizer turns texts into numbers as keras.preprocessing.text.Tokenizer does, which older courses use: words are numbered
// from 1 by how often they occur, among equals by which came first; 0 is padding. TextVectorizer is what newer Keras has.
type Tokenizer struct {
	NumWords int    // words from this number on are left out; 0: none is
	Unknown  string // stands for what is left out or was never seen, as number 1; "": those are dropped
	Chars    bool   // letters are the words
	KeepCase bool
	Filters  string // characters that part words, besides spaces; "": Keras' punctuation

	Words map[string]int64 // the numbers; made by Fit
	texts int
	order []string
	count map[string]int
	in    map[string]int // texts that a word is in
}

const tokenFilters = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n"

// Split is the words of a text.
func (t *Tokenizer) Split(text string) []string {
	if !t.KeepCase {
		text = strings.ToLower(text)
	}
	if t.Chars {
		return strings.Split(text, "")
	}
	filters := t.Filters
	if filters == "" {
		filters = tokenFilters
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || strings.ContainsRune(filters, r) })
}

// Fit counts the words of texts, beside those of earlier calls, and numbers all anew.
func (t *Tokenizer) Fit(texts []string) {
	if t.count == nil {
		t.count, t.in = map[string]int{}, map[string]int{}
	}
	for _, text := range texts {
		t.texts++
		seen := map[string]bool{}
		for _, w := range t.Split(text) {
			if t.count[w]++; t.count[w] == 1 {
				t.order = append(t.order, w)
			}
			if !seen[w] {
				seen[w] = true
				t.in[w]++
			}
		}
	}
	words := append([]string(nil), t.order...)
	sort.SliceStable(words, func(i, j int) bool { return t.count[words[i]] > t.count[words[j]] })
	t.Words = map[string]int64{}
	if t.Unknown != "" {
		t.Words[t.Unknown] = 1
	}
	for _, w := range words {
		if _, ok := t.Words[w]; !ok {
			t.Words[w] = int64(len(t.Words) + 1)
		}
	}
}

// Sequences is texts_to_sequences: the numbers of each text's words. PadSequences makes them one length.
func (t *Tokenizer) Sequences(texts []string) [][]int64 {
	out := make([][]int64, len(texts))
	for i, text := range texts {
		for _, w := range t.Split(text) {
			switch n, ok := t.Words[w]; {
			case ok && (t.NumWords == 0 || n < int64(t.NumWords)):
				out[i] = append(out[i], n)
			case t.Unknown != "":
				out[i] = append(out[i], t.Words[t.Unknown])
			}
		}
	}
	return out
}

// MatrixMode is what Matrix says of a word in a text.
type MatrixMode string

// The modes of texts_to_matrix.
const (
	Binary MatrixMode = "binary" // 1 where it occurs
	Count  MatrixMode = "count"  // how often
	Freq   MatrixMode = "freq"   // its part of the text's words
	TFIDF  MatrixMode = "tfidf"  // (1 + log count) * log(1 + texts / (1 + texts with the word))
)

// Matrix is texts_to_matrix: a row a text, a column a word's number.
func (t *Tokenizer) Matrix(texts []string, mode MatrixMode) (*tensor.Tensor, error) {
	if t.Words == nil {
		return nil, errs.Errorf("data: a Tokenizer without words: call Fit")
	}
	width := t.NumWords
	if width == 0 {
		width = len(t.Words) + 1
	}
	in := make([]int, width)
	for w, n := range t.in {
		if at := t.Words[w]; at < int64(width) {
			in[at] = n
		}
	}
	out, err := tensor.Make(tensor.Float32, []int{len(texts), width})
	if err != nil {
		return nil, err
	}
	for i, seq := range t.Sequences(texts) {
		row := tensor.As[float32](out)[i*width:][:width]
		for _, n := range seq {
			if n < int64(width) {
				row[n]++
			}
		}
		for n, c := range row {
			if c == 0 {
				continue
			}
			switch mode {
			case Binary:
				row[n] = 1
			case Count:
			case Freq:
				row[n] = c / float32(len(seq))
			case TFIDF:
				row[n] = float32((1 + math.Log(float64(c))) * math.Log(1+float64(t.texts)/float64(1+in[n])))
			default:
				return nil, errs.Errorf("data: mode %q: binary, count, freq or tfidf", mode)
			}
		}
	}
	return out, nil
}

// MultiHot is a row a sequence with ones at its numbers: the bag of words of the books' "vectorize_sequences".
func MultiHot(seqs [][]int64, width int) (*tensor.Tensor, error) {
	out, err := tensor.Make(tensor.Float32, []int{len(seqs), width})
	if err != nil {
		return nil, err
	}
	for i, s := range seqs {
		for _, n := range s {
			if n < 0 || n >= int64(width) {
				return nil, errs.Errorf("data: sequence %d holds %d, which is not in [0, %d)", i, n, width)
			}
			tensor.As[float32](out)[i*width+int(n)] = 1
		}
	}
	return out, nil
}
