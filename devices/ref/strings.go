package ref

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func stringKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(stringNormalizer),
		fn(func(_ ops.StringConcat, c *Call) error {
			a, b, out := c.In(0), c.In(1), c.Out(0)
			walk(out.Shape(), [][]int{broadcastStrides(a.Shape(), out.Shape()), broadcastStrides(b.Shape(), out.Shape())},
				func(i int, off []int) { out.Strings()[i] = a.Strings()[off[0]] + b.Strings()[off[1]] })
			return nil
		}),
		fn(stringSplit),
		fn(func(op ops.RegexFullMatch, c *Call) error {
			re, err := regexp.Compile(`\A(?:` + op.Pattern + `)\z`)
			if err != nil {
				return err
			}
			for i, s := range c.In(0).Strings() {
				tensor.As[bool](c.Out(0))[i] = re.MatchString(s)
			}
			return nil
		}),
		fn(tfIdf),
		fn(textTokens),
		fn(hashBucket),
		fn(hashCross),
	}
}

func stringNormalizer(op ops.StringNormalizer, c *Call) error {
	in := c.In(0)
	lower, upper := casing(op.Locale)
	fold := func(s string) string {
		if op.IsCaseSensitive {
			return s
		}
		return lower(s)
	}
	stop := map[string]bool{}
	for _, w := range op.Stopwords {
		stop[fold(w)] = true
	}
	var kept []string
	for _, s := range in.Strings() {
		if stop[fold(s)] {
			continue
		}
		switch op.CaseChangeAction {
		case "LOWER":
			s = lower(s)
		case "UPPER":
			s = upper(s)
		}
		kept = append(kept, s)
	}
	if len(kept) == 0 {
		kept = []string{""}
	}
	shape := []int{len(kept)}
	if in.Rank() == 2 {
		shape = []int{1, len(kept)}
	}
	out, err := c.OutOf(0, tensor.String, shape...)
	if err == nil {
		copy(out.Strings(), kept)
	}
	return err
}

// casing is the locale's case mapping: Turkish and Azeri have a dotless i of their own.
func casing(locale string) (lower, upper func(string) string) {
	if strings.HasPrefix(locale, "tr") || strings.HasPrefix(locale, "az") {
		return func(s string) string { return strings.ToLowerSpecial(unicode.TurkishCase, s) },
			func(s string) string { return strings.ToUpperSpecial(unicode.TurkishCase, s) }
	}
	return strings.ToLower, strings.ToUpper
}

func stringSplit(op ops.StringSplit, c *Call) error {
	in := c.In(0)
	parts, width := make([][]string, in.Len()), 0
	for i, s := range in.Strings() {
		parts[i] = splitString(op, s)
		width = max(width, len(parts[i]))
	}
	y, err := c.OutOf(0, tensor.String, append(slices.Clone(in.Shape()), width)...)
	if err != nil {
		return err
	}
	z, err := c.OutOf(1, tensor.Int64, in.Shape()...)
	if err != nil {
		return err
	}
	for i, p := range parts {
		copy(y.Strings()[i*width:], p)
		tensor.As[int64](z)[i] = int64(len(p))
	}
	return nil
}

// splitString cuts as Python's str.split does.
func splitString(op ops.StringSplit, s string) []string {
	limit := -1
	if op.HasMaxsplit {
		limit = op.Maxsplit
	}
	if op.Delimiter != "" {
		if s == "" {
			return nil
		}
		if limit >= 0 {
			limit++
		}
		return strings.SplitN(s, op.Delimiter, limit)
	}
	var out []string
	for {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			return out
		}
		if limit >= 0 && len(out) == limit {
			return append(out, strings.TrimRightFunc(s, unicode.IsSpace))
		}
		i := strings.IndexFunc(s, unicode.IsSpace)
		if i < 0 {
			return append(out, s)
		}
		out = append(out, s[:i])
		s = s[i:]
	}
}

// tfIdf counts the pool's n-grams in each row.
func tfIdf(op ops.TfIdfVectorizer, c *Call) error {
	in, out := c.In(0), c.Out(0)
	tokens := make([]string, in.Len())
	pool := op.PoolStrings
	if in.DType() == tensor.String {
		copy(tokens, in.Strings())
	} else {
		v, err := in.Int64s()
		if err != nil {
			return err
		}
		for i, t := range v {
			tokens[i] = fmt.Sprint(t)
		}
		pool = make([]string, len(op.PoolInt64s))
		for i, t := range op.PoolInt64s {
			pool[i] = fmt.Sprint(t)
		}
	}
	grams := poolGrams(op, pool)
	rows, width := 1, out.Dim(-1)
	if in.Rank() == 2 {
		rows = in.Dim(0)
	}
	cols := 0
	if rows > 0 {
		cols = len(tokens) / rows
	}
	y := tensor.As[float32](out)
	clear(y)
	for r := range rows {
		counts := make([]float64, len(op.NgramIndexes))
		countGrams(op, grams, tokens[r*cols:(r+1)*cols], counts)
		for g, n := range counts {
			if n == 0 {
				continue
			}
			w := 1.0
			if len(op.Weights) > 0 {
				w = op.Weights[g]
			}
			switch op.Mode {
			case "TF":
				w = n
			case "TFIDF":
				w *= n
			}
			y[r*width+op.NgramIndexes[g]] = float32(w)
		}
	}
	return nil
}

// gramKey joins tokens so that no two n-grams collide.
func gramKey(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		fmt.Fprintf(&b, "%d:%s", len(t), t)
	}
	return b.String()
}

// poolGrams maps each n-gram of the pool, by length and key, to its number.
func poolGrams(op ops.TfIdfVectorizer, pool []string) []map[string]int {
	grams := make([]map[string]int, len(op.NgramCounts)+1)
	number := 0
	for i, at := range op.NgramCounts {
		end := len(pool)
		if i+1 < len(op.NgramCounts) {
			end = op.NgramCounts[i+1]
		}
		grams[i+1] = map[string]int{}
		for ; at < end; at += i + 1 {
			grams[i+1][gramKey(pool[at:at+i+1])] = number
			number++
		}
	}
	return grams
}

func countGrams(op ops.TfIdfVectorizer, grams []map[string]int, row []string, counts []float64) {
	for n := op.MinGramLength; n <= op.MaxGramLength; n++ {
		gram := make([]string, n)
		for skip := 0; skip <= op.MaxSkipCount; skip++ {
			if n == 1 && skip > 0 { // single tokens have nothing to skip
				break
			}
			for at := 0; at+(n-1)*(skip+1) < len(row); at++ {
				for k := range gram {
					gram[k] = row[at+k*(skip+1)]
				}
				if g, ok := grams[n][gramKey(gram)]; ok {
					counts[g]++
				}
			}
		}
	}
}
