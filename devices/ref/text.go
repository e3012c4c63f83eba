package ref

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/fingerprint"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// standardized is a text in lower case (ASCII alone, as TensorFlow has it) or without ASCII's punctuation.
func standardized(how, s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.HasPrefix(how, "lower") && r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case strings.HasSuffix(how, "strip_punctuation") && strings.ContainsRune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", r):
			return -1
		}
		return r
	}, s)
}

// characters is a text's code points; what is no UTF-8 is a replacement character.
func characters(s string) []string {
	var out []string
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		out, s = append(out, string(r)), s[n:]
	}
	return out
}

// grams is runs of tokens of each length, joined by spaces, those of the first length first.
func grams(tokens []string, lengths []int) []string {
	if len(lengths) == 0 {
		return tokens
	}
	var out []string
	for _, n := range lengths {
		for i := 0; i+n <= len(tokens); i++ {
			out = append(out, strings.Join(tokens[i:i+n], " "))
		}
	}
	return out
}

func textTokens(op ops.TextTokens, c *Call) error {
	in := c.In(0)
	shape, texts, each := slices.Clone(in.Shape()), in.Strings(), 1
	whole := op.Split == "" || op.Split == "none"
	if last := len(shape) - 1; whole || last > 0 { // rows of tokens, or an axis of 1
		each, shape = shape[last], shape[:last]
		if !whole && each != 1 {
			return errs.Errorf("takes texts one by one, got %v", in.Shape())
		}
	}
	n, err := tensor.NumElements(shape)
	if err != nil {
		return err
	}
	rows := make([][]string, n)
	for i := range rows {
		rows[i] = texts[i*each : (i+1)*each]
	}
	width := op.Length
	for i, row := range rows {
		var tokens []string
		for _, s := range row {
			s = standardized(op.Standardize, s)
			switch op.Split {
			case "whitespace":
				tokens = append(tokens, strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })...)
			case "character":
				tokens = append(tokens, characters(s)...)
			default:
				tokens = append(tokens, s)
			}
		}
		rows[i] = grams(tokens, op.Ngrams)
		if op.Length == 0 {
			width = max(width, len(rows[i]))
		}
	}
	out, err := c.OutOf(0, tensor.String, append(shape, width)...)
	if err != nil {
		return err
	}
	clear(out.Strings())
	for i, row := range rows {
		copy(out.Strings()[i*width:(i+1)*width], row)
	}
	return nil
}

func hashBucket(op ops.HashBucket, c *Call) error {
	y := tensor.As[int64](c.Out(0))
	for i, s := range c.In(0).Strings() {
		h := fingerprint.Sum64(s)
		if len(op.Key) == 2 {
			h = fingerprint.Keyed([2]uint64{uint64(op.Key[0]), uint64(op.Key[1])}, s)
		}
		y[i] = int64(h % uint64(op.NumBuckets))
	}
	return nil
}

// crossKey is what TensorFlow's crosses begin with where no key is given.
const crossKey = 0xDECAFCAFFE

func hashCross(op ops.HashCross, c *Call) error {
	y := tensor.As[int64](c.Out(0))
	hs := slices.Repeat([]uint64{crossKey}, len(y))
	for k := range c.Req.In {
		in := c.In(k)
		if in.Len() != len(y) {
			return errs.Errorf("inputs of %v and %v", c.In(0).Shape(), in.Shape())
		}
		for i := range hs {
			var h uint64
			if in.DType() == tensor.String {
				h = fingerprint.Sum64(in.Strings()[i])
			} else {
				h = uint64(tensor.As[int64](in)[i])
			}
			hs[i] = fingerprint.Cat(hs[i], h)
		}
	}
	for i, h := range hs {
		y[i] = int64(h % uint64(op.NumBuckets))
	}
	return nil
}
