package data

import (
	"slices"
	"sort"
	"strings"
	"unicode"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// TextVectorizer turns texts into numbers as Keras' TextVectorization does: lower case, punctuation gone, cut
// at white space, words joined to n-grams, each looked up in a vocabulary. Number 0 is padding (in int mode),
// 1 what is not in the vocabulary.
type TextVectorizer struct {
	MaxTokens  int  // the size of the vocabulary, padding and unknown included; 0: no limit
	Ngrams     int  // all n-grams up to this length; 0: words
	Length     int  // of int output: 0 is the longest of a call
	KeepCase   bool // no standardization of letters
	KeepPunct  bool // punctuation stays
	Vocabulary []string

	index map[string]int64
}

const unknownToken = "[UNK]"

// Tokens is a text's tokens: words, then n-grams of two words, of three, ...
func (v *TextVectorizer) Tokens(text string) []string {
	if !v.KeepCase {
		text = strings.ToLower(text)
	}
	if !v.KeepPunct {
		text = strings.Map(func(r rune) rune {
			if r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
				return -1
			}
			return r
		}, text)
	}
	words := strings.Fields(text)
	out := slices.Clone(words)
	for n := 2; n <= v.Ngrams; n++ {
		for i := 0; i+n <= len(words); i++ {
			out = append(out, strings.Join(words[i:i+n], " "))
		}
	}
	return out
}

// Adapt makes the vocabulary: tokens by how often they occur, among equals the later in the alphabet first,
// as Keras sorts them.
func (v *TextVectorizer) Adapt(texts []string) {
	count := map[string]int{}
	for _, t := range texts {
		for _, w := range v.Tokens(t) {
			count[w]++
		}
	}
	words := make([]string, 0, len(count))
	for w := range count {
		words = append(words, w)
	}
	sort.Slice(words, func(i, j int) bool {
		if count[words[i]] != count[words[j]] {
			return count[words[i]] > count[words[j]]
		}
		return words[i] > words[j]
	})
	if v.MaxTokens > 2 && len(words) > v.MaxTokens-2 {
		words = words[:v.MaxTokens-2]
	}
	v.Vocabulary, v.index = append([]string{"", unknownToken}, words...), nil
}

func (v *TextVectorizer) number(w string) int64 {
	if v.index == nil {
		v.index = map[string]int64{}
		for i, w := range v.Vocabulary {
			v.index[w] = int64(i)
		}
	}
	if n, ok := v.index[w]; ok {
		return n
	}
	return 1
}

// Ints is the texts as rows of token numbers, padded behind with 0 to Length (or the longest).
func (v *TextVectorizer) Ints(texts []string) (*tensor.Tensor, error) {
	if len(v.Vocabulary) == 0 {
		return nil, errs.Errorf("data: a TextVectorizer without a vocabulary: call Adapt")
	}
	seqs := make([][]int64, len(texts))
	for i, t := range texts {
		for _, w := range v.Tokens(t) {
			seqs[i] = append(seqs[i], v.number(w))
		}
	}
	return PadSequences(seqs, PadOptions{MaxLen: v.Length, PadAfter: true, TruncateEnd: true})
}

// Counts is the texts as rows of one number a token of the vocabulary (without padding): how often it occurs,
// or with multiHot whether it does.
func (v *TextVectorizer) Counts(texts []string, multiHot bool) (*tensor.Tensor, error) {
	if len(v.Vocabulary) == 0 {
		return nil, errs.Errorf("data: a TextVectorizer without a vocabulary: call Adapt")
	}
	n := len(v.Vocabulary) - 1
	if v.MaxTokens > 0 {
		n = v.MaxTokens - 1
	}
	t, err := tensor.Make(tensor.Float32, []int{len(texts), n})
	if err != nil {
		return nil, err
	}
	out := tensor.As[float32](t)
	for i, text := range texts {
		for _, w := range v.Tokens(text) {
			at := &out[i*n+int(v.number(w))-1]
			if *at++; multiHot {
				*at = 1
			}
		}
	}
	return t, nil
}
