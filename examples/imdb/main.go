// Command imdb tells good from bad film reviews: an embedding of the words under an LSTM, a GRU or convolutions.
package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

type config struct {
	model string
	words int // of the vocabulary
	size  int // words of a review that are read: its last ones
	limit int // training reviews; 0: all
}

func main() {
	e := kit.Flags(8, 32)
	var c config
	flag.StringVar(&c.model, "model", "conv", "lstm, gru or conv")
	flag.IntVar(&c.words, "words", 5000, "size of the vocabulary")
	flag.IntVar(&c.size, "size", 200, "words of a review")
	flag.IntVar(&c.limit, "n", 0, "training reviews; 0: all 2,000")
	e.Main(func(ctx context.Context, e *kit.Env) error {
		_, err := run(ctx, e, c)
		return err
	})
}

type review struct {
	good  bool
	words []string
}

func read(path string, limit int) ([]review, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []review
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() && (limit == 0 || len(out) < limit) {
		cols := strings.SplitN(s.Text(), "\t", 3)
		if len(cols) != 3 {
			return nil, fmt.Errorf("%s: line %d has %d columns", path, len(out)+1, len(cols))
		}
		words := strings.FieldsFunc(strings.ToLower(cols[2]), func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' })
		out = append(out, review{cols[0] == "1", words})
	}
	return out, s.Err()
}

// vocabulary numbers the most frequent words from 2 on: 0 fills reviews up, 1 is any other word.
func vocabulary(rs []review, n int) map[string]int32 {
	count := map[string]int{}
	for _, r := range rs {
		for _, w := range r.words {
			count[w]++
		}
	}
	var words []string
	for w := range count {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	index := map[string]int32{}
	for i, w := range words[:min(len(words), n-2)] {
		index[w] = int32(i + 2)
	}
	return index
}

// encode makes reviews rows of word numbers: the last size words, filled up with 0 in front.
func encode(rs []review, index map[string]int32, size int) data.Arrays {
	x, y := tensor.New(tensor.Int32, len(rs), size), tensor.New(tensor.Float32, len(rs), 1)
	for i, r := range rs {
		row := tensor.As[int32](x)[i*size:][:size]
		words := r.words[max(0, len(r.words)-size):]
		for j, w := range words {
			k, ok := index[w]
			if !ok {
				k = 1
			}
			row[size-len(words)+j] = k
		}
		if r.good {
			tensor.As[float32](y)[i] = 1
		}
	}
	return data.New(x, y)
}

func build(c config) (*layers.Model, error) {
	net := layers.NewSequential("imdb_"+c.model,
		&layers.InputLayer{Base: layers.Named("words"), BatchShape: []int{-1, c.size}, InputDType: "int32"},
		&layers.Embedding{InputDim: c.words, OutputDim: 32, MaskZero: c.model != "conv"})
	switch c.model {
	case "lstm":
		net.Append(&layers.LSTM{Units: 32}).Append(&layers.Dropout{Rate: 0.3})
	case "gru":
		net.Append(&layers.GRU{Units: 32}).Append(&layers.Dropout{Rate: 0.3})
	case "conv":
		net.Append(&layers.Dropout{Rate: 0.3}).
			Append(&layers.Conv1D{Filters: 64, KernelSize: []int{5}, Activation: "relu"}).
			Append(&layers.GlobalMaxPooling1D{}).
			Append(&layers.Dropout{Rate: 0.3})
	default:
		return nil, fmt.Errorf("no model %q: lstm, gru or conv", c.model)
	}
	return net.Append(&layers.Dense{Units: 1, Activation: "sigmoid"}), nil
}

// run trains and returns the test accuracy.
func run(ctx context.Context, e *kit.Env, c config) (float64, error) {
	reviews, err := read(e.Path("datasets", "imdb-subset", "train_2000.tsv"), 0)
	if err != nil {
		return 0, err
	}
	kit.Shuffle(reviews, e.Seed)
	if c.limit > 0 {
		reviews = reviews[:min(c.limit, len(reviews))]
	}
	held, err := read(e.Path("datasets", "imdb-subset", "test_1000.tsv"), 0)
	if err != nil {
		return 0, err
	}
	index := vocabulary(reviews, c.words)
	net, err := build(c)
	if err != nil {
		return 0, err
	}
	adam, err := kit.Optimizer("adam", 0.002)
	if err != nil {
		return 0, err
	}
	o := e.Fit()
	o.ValidationSplit = 0.2
	o.Callbacks = []train.Callback{&train.EarlyStopping{Monitor: "val_accuracy", Mode: "max", Patience: 4, RestoreBestWeights: true}}
	m, h, err := e.Train(ctx, net, encode(reviews, index, c.size),
		train.CompileOptions{Optimizer: adam, Loss: "binary_crossentropy", Metrics: [][]any{{"accuracy"}}}, o)
	if err != nil {
		return 0, err
	}
	if err := e.Keep(h); err != nil {
		return 0, err
	}
	logs, err := m.Evaluate(ctx, encode(held, index, c.size), train.EvaluateOptions{BatchSize: 100})
	e.Printf("%s, %d test reviews:%s\n", c.model, len(held), kit.Logs(logs))
	acc, _ := logs.Get("accuracy")
	return acc, err
}
