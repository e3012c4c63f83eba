package tensor

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// How much numpy prints by default.
const (
	printAll   = 1000 // elements; above it each axis shows only its ends
	printEdge  = 3
	printWidth = 75
	printDigit = 8 // decimals of a float
)

// String is t's elements as numpy prints an array of them: large ones abbreviated.
func (t *Tensor) String() string { return newPrinter(t).text() }

// Format prints t for %v and %s as String does; %+v puts type and shape in front.
func (t *Tensor) Format(s fmt.State, verb rune) {
	switch {
	case t == nil:
		io.WriteString(s, "<nil>")
	case verb != 'v' && verb != 's':
		fmt.Fprintf(s, "%%!%c(tensor %v%v)", verb, t.dtype, t.shape)
	case s.Flag('+') && len(t.shape) > 1:
		fmt.Fprintf(s, "%v%v\n%s", t.dtype, t.shape, t.String())
	case s.Flag('+'):
		fmt.Fprintf(s, "%v%v %s", t.dtype, t.shape, t.String())
	default:
		io.WriteString(s, t.String())
	}
}

type printer struct {
	t       *Tensor
	strides []int
	short   bool           // show ends only
	words   map[int]string // by element index, of the shown ones
}

func newPrinter(t *Tensor) *printer {
	p := &printer{t: t, strides: Strides(t.shape), short: t.Len() > printAll, words: map[int]string{}}
	if t.Len() == 0 {
		return p
	}
	var shown []int
	p.collect(0, 0, &shown)
	words := p.spell(shown)
	for k, i := range shown {
		p.words[i] = words[k]
	}
	return p
}

// cut reports whether axis is abbreviated.
func (p *printer) cut(axis int) bool { return p.short && p.t.shape[axis] > 2*printEdge }

// collect appends the indices of the shown elements from axis on.
func (p *printer) collect(axis, base int, shown *[]int) {
	if axis == len(p.t.shape) {
		*shown = append(*shown, base)
		return
	}
	for i := range p.t.shape[axis] {
		if p.cut(axis) && i >= printEdge && i < p.t.shape[axis]-printEdge {
			continue
		}
		p.collect(axis+1, base+i*p.strides[axis], shown)
	}
}

func (p *printer) text() string {
	if p.t.Len() == 0 {
		return "[]"
	}
	if len(p.t.shape) == 0 {
		return strings.TrimSpace(p.words[0])
	}
	var sb strings.Builder
	p.axis(&sb, 0, 0)
	return sb.String()
}

// axis writes the brackets of one axis and what is in them.
func (p *printer) axis(sb *strings.Builder, axis, base int) {
	sb.WriteByte('[')
	defer sb.WriteByte(']')
	n, last := p.t.shape[axis], len(p.t.shape)-1
	indent := strings.Repeat(" ", axis+1)
	if axis == last {
		p.row(sb, base, n, indent)
		return
	}
	gap := strings.Repeat("\n", last-axis) + indent
	for i := 0; i < n; i++ {
		if i > 0 {
			sb.WriteString(gap)
		}
		if p.cut(axis) && i == printEdge {
			sb.WriteString("...")
			i = n - printEdge - 1
			continue
		}
		p.axis(sb, axis+1, base+i*p.strides[axis])
	}
}

// row writes the innermost axis, wrapped.
func (p *printer) row(sb *strings.Builder, base, n int, indent string) {
	width := printWidth - len(p.t.shape)
	col := len(indent)
	for i := 0; i < n; i++ {
		word := p.words[base+i]
		if p.cut(len(p.t.shape)-1) && i == printEdge {
			word = "..."
			i = n - printEdge - 1
		}
		switch {
		case col == len(indent):
		case col+1+len(word) > width:
			sb.WriteString("\n" + indent)
			col = len(indent)
		default:
			sb.WriteByte(' ')
			col++
		}
		sb.WriteString(word)
		col += len(word)
	}
}

// spell gives the shown elements one width and, for floats, one notation.
func (p *printer) spell(shown []int) []string {
	t := p.t
	words := make([]string, len(shown))
	switch {
	case t.dtype == String:
		for k, i := range shown {
			words[k] = strconv.Quote(t.strs[i])
		}
		return words
	case t.dtype.IsComplex():
		re, im := make([]float64, len(shown)), make([]float64, len(shown))
		for k, i := range shown {
			c := complex128(0)
			if t.dtype == Complex64 {
				c = complex128(As[complex64](t)[i])
			} else {
				c = As[complex128](t)[i]
			}
			re[k], im[k] = real(c), imag(c)
		}
		rs, is := spellFloats(re, t.dtype, false), spellFloats(im, t.dtype, true)
		for k := range words {
			trimmed := strings.TrimRight(is[k], " ")
			words[k] = rs[k] + trimmed + "j" + strings.Repeat(" ", len(is[k])-len(trimmed))
		}
		return words
	case t.dtype.IsFloat():
		vs := make([]float64, len(shown))
		table := t.floatTable()
		for k, i := range shown {
			loadFloats(vs[k:k+1], t, i, table)
		}
		if len(t.shape) == 0 {
			return []string{pythonFloat(vs[0], t.dtype)}
		}
		return spellFloats(vs, t.dtype, false)
	}
	one := New(t.dtype, 1)
	text := New(String, 1)
	for k, i := range shown {
		copy(one.data, t.data[i*t.dtype.Size():])
		_ = castToStrings(text.strs, one) // integers and Bool always print
		words[k] = text.strs[0]
	}
	return alignRight(words)
}

func alignRight(words []string) []string {
	width := 0
	for _, w := range words {
		width = max(width, len(w))
	}
	for k, w := range words {
		words[k] = strings.Repeat(" ", width-len(w)) + w
	}
	return words
}

// spellFloats writes floats as numpy does: positional, or scientific where the sizes differ by over a
// thousand or are extreme; points aligned. sign puts a plus before what is not negative.
func spellFloats(vs []float64, d DType, sign bool) []string {
	lo, hi := math.Inf(1), 0.0
	for _, v := range vs {
		if a := math.Abs(v); a > 0 && !math.IsInf(a, 0) {
			lo, hi = min(lo, a), max(hi, a)
		}
	}
	exp := hi >= 1e8 || hi > 0 && (lo < 1e-4 || hi/lo > 1000)
	words := make([]string, len(vs))
	left, right := 0, 0
	for k, v := range vs {
		words[k] = spellFloat(v, d, exp)
		if sign && !math.Signbit(v) && v == v {
			words[k] = "+" + words[k]
		}
		if point := strings.IndexByte(words[k], '.'); point >= 0 {
			frac, _, _ := strings.Cut(words[k][point+1:], "e")
			left, right = max(left, point), max(right, len(frac))
		}
	}
	for k, w := range words {
		point := strings.IndexByte(w, '.')
		if point < 0 {
			continue
		}
		frac, e, _ := strings.Cut(w[point+1:], "e")
		pad := right - len(frac)
		w = strings.Repeat(" ", left-point) + w[:point+1] + frac
		if exp {
			words[k] = w + strings.Repeat("0", pad) + "e" + e
		} else {
			words[k] = w + strings.Repeat(" ", pad)
		}
	}
	return alignRight(words)
}

// spellFloat is one number with a point, or nan, inf.
func spellFloat(v float64, d DType, exp bool) string {
	if v != v {
		return "nan"
	}
	if math.IsInf(v, 0) {
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	}
	switch d {
	case Complex64:
		d = Float32
	case Complex128:
		d = Float64
	}
	s := shortest(v, d)
	mant, e, _ := strings.Cut(s, "e")
	if exp {
		if len(strings.TrimLeft(mant, "-")) > printDigit+2 {
			mant, e, _ = strings.Cut(strconv.FormatFloat(v, 'e', printDigit, 64), "e")
			mant = strings.TrimRight(mant, "0")
		}
		if !strings.Contains(mant, ".") {
			mant += "."
		}
		return mant + "e" + e
	}
	short, _ := strconv.ParseFloat(s, 64)
	fixed := strconv.FormatFloat(short, 'f', -1, 64)
	if point := strings.IndexByte(fixed, '.'); point >= 0 && len(fixed)-point-1 > printDigit {
		fixed = strings.TrimRight(strconv.FormatFloat(v, 'f', printDigit, 64), "0")
	}
	if !strings.Contains(fixed, ".") {
		fixed += "."
	}
	return fixed
}
