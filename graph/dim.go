package graph

import (
	"errors"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Dim is a dimension: an integer, or an expression over symbols. Expressions are kept in one
// canonical spelling, so two Dims are equal exactly where == says so. The zero Dim is the number 0.
//
// The spelling is a sum of terms such as "2*N*H+3"; its atoms are symbols, floor(a/b), max(a,b) and min(a,b).
type Dim struct {
	n    int64
	expr string // "" for a number
}

// D is the constant dimension n.
//
//go:noinline
func D(n int) Dim { return Dim{n: int64(n)} }

// Dims makes constant dimensions of ints.
//
//go:noinline
func Dims(ns ...int) []Dim {
	ds := make([]Dim, len(ns))
	for i, n := range ns {
		ds[i] = D(n)
	}
	return ds
}

// Sym is the symbol with that name. Characters that an expression can't hold become '_'.
func Sym(name string) Dim {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z', i > 0 && r >= '0' && r <= '9':
			b.WriteRune(r)
		case i == 0 && r >= '0' && r <= '9':
			b.WriteByte('_')
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		b.WriteByte('_')
	}
	return Dim{expr: b.String()}
}

// Const is the number that d is, if it is one.
//
//go:noinline
func (d Dim) Const() (int, bool) { return int(d.n), d.expr == "" }

// IsConst reports whether d is a number.
func (d Dim) IsConst() bool { return d.expr == "" }

// IsSym reports whether d is one bare symbol.
func (d Dim) IsSym() bool {
	return d.expr != "" && !strings.ContainsAny(d.expr, "+-*/(), ")
}

// String is d's canonical spelling.
func (d Dim) String() string {
	if d.expr == "" {
		return strconv.FormatInt(d.n, 10)
	}
	return d.expr
}

// Add is d+e.
func (d Dim) Add(e Dim) Dim {
	if d.expr == "" && e.expr == "" {
		return Dim{n: d.n + e.n}
	}
	return d.poly().add(e.poly(), 1).dim()
}

// Sub is d-e.
func (d Dim) Sub(e Dim) Dim {
	if d.expr == "" && e.expr == "" {
		return Dim{n: d.n - e.n}
	}
	return d.poly().add(e.poly(), -1).dim()
}

// Mul is d*e.
func (d Dim) Mul(e Dim) Dim {
	if d.expr == "" && e.expr == "" {
		return Dim{n: d.n * e.n}
	}
	return d.poly().mul(e.poly()).dim()
}

// Div is the floor of d/e. Where every term divides, the quotient is exact.
func (d Dim) Div(e Dim) Dim {
	if d.expr == "" && e.expr == "" {
		if e.n == 0 {
			return Dim{}
		}
		return Dim{n: floorDiv(d.n, e.n)}
	}
	if d == e {
		return D(1)
	}
	if q, ok := d.poly().divExact(e.poly()); ok {
		return q.dim()
	}
	return Dim{expr: "floor(" + d.String() + "/" + e.String() + ")"}
}

// CeilDiv is the ceiling of d/e.
func (d Dim) CeilDiv(e Dim) Dim { return d.Add(e).Sub(D(1)).Div(e) }

// Max is the larger of d and e.
func (d Dim) Max(e Dim) Dim { return minMax("max", d, e) }

// Min is the smaller of d and e.
func (d Dim) Min(e Dim) Dim { return minMax("min", d, e) }

func minMax(f string, d, e Dim) Dim {
	if d == e {
		return d
	}
	if diff, ok := d.Sub(e).Const(); ok {
		if (diff > 0) == (f == "max") {
			return d
		}
		return e
	}
	a, b := d.String(), e.String()
	if a > b {
		a, b = b, a
	}
	return Dim{expr: f + "(" + a + "," + b + ")"}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// Product multiplies ds; that of none is 1.
func Product(ds []Dim) Dim {
	p := D(1)
	for _, d := range ds {
		p = p.Mul(d)
	}
	return p
}

// ErrUnbound is wrapped by Eval's error where a symbol has no value.
var ErrUnbound = errors.New("unbound symbol")

// Eval computes d with the symbols' values in env.
func (d Dim) Eval(env map[string]int64) (int64, error) {
	if d.expr == "" {
		return d.n, nil
	}
	p := dimParser{s: d.expr}
	v, err := p.eval(env)
	if err != nil {
		return 0, errs.Errorf("graph: dimension %s: %w", d.expr, err)
	}
	return v, nil
}

// Symbols adds the names of d's symbols to set.
func (d Dim) Symbols(set map[string]bool) {
	for i := 0; i < len(d.expr); {
		j := i
		for j < len(d.expr) && isIdent(d.expr[j], j > i) {
			j++
		}
		if j == i {
			i++
			continue
		}
		if j >= len(d.expr) || d.expr[j] != '(' {
			set[d.expr[i:j]] = true
		}
		i = j
	}
}

// ParseDim reads the spelling that String writes.
func ParseDim(s string) (Dim, error) {
	p := dimParser{s: s}
	q, err := p.sum()
	if err == nil && p.i != len(s) {
		err = errs.Errorf("unexpected %q", s[p.i:])
	}
	if err != nil {
		return Dim{}, errs.Errorf("graph: dimension %q: %w", s, err)
	}
	return q.dim(), nil
}

func isIdent(c byte, digits bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digits && c >= '0' && c <= '9'
}

// poly is a sum of monomials: sorted atoms joined by '*', each with its coefficient; "" is the constant.
type poly map[string]int64

func (d Dim) poly() poly {
	if d.expr == "" {
		return poly{"": d.n}
	}
	p := dimParser{s: d.expr}
	q, err := p.sum()
	if err != nil {
		return poly{d.expr: 1}
	}
	return q
}

func (p poly) add(q poly, sign int64) poly {
	r := poly{}
	for m, c := range p {
		r[m] += c
	}
	for m, c := range q {
		r[m] += sign * c
	}
	return r
}

func (p poly) mul(q poly) poly {
	r := poly{}
	for m, c := range p {
		for n, e := range q {
			r[joinAtoms(m, n)] += c * e
		}
	}
	return r
}

func joinAtoms(m, n string) string {
	if m == "" {
		return n
	}
	if n == "" {
		return m
	}
	atoms := append(splitAtoms(m), splitAtoms(n)...)
	sort.Strings(atoms)
	return strings.Join(atoms, "*")
}

// splitAtoms cuts a monomial at the '*' outside parentheses.
//
//go:noinline
func splitAtoms(m string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(m); i++ {
		switch m[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '*':
			if depth == 0 {
				out = append(out, m[start:i])
				start = i + 1
			}
		}
	}
	return append(out, m[start:])
}

// divExact divides by a single-term q where every term of p is a multiple of it.
func (p poly) divExact(q poly) (poly, bool) {
	var qm string
	var qc int64
	terms := 0
	for m, c := range q {
		if c != 0 {
			qm, qc = m, c
			terms++
		}
	}
	if terms != 1 {
		return nil, false
	}
	r := poly{}
	for m, c := range p {
		if c == 0 {
			continue
		}
		rest, ok := removeAtoms(m, qm)
		if !ok || c%qc != 0 {
			return nil, false
		}
		r[rest] += c / qc
	}
	return r, true
}

func removeAtoms(m, q string) (string, bool) {
	if q == "" {
		return m, true
	}
	if m == "" {
		return "", false
	}
	atoms := splitAtoms(m)
	for _, a := range splitAtoms(q) {
		i := sort.SearchStrings(atoms, a)
		if i >= len(atoms) || atoms[i] != a {
			return "", false
		}
		atoms = append(atoms[:i], atoms[i+1:]...)
	}
	return strings.Join(atoms, "*"), true
}

func (p poly) dim() Dim {
	ms := make([]string, 0, len(p))
	for m, c := range p {
		if c != 0 && m != "" {
			ms = append(ms, m)
		}
	}
	if len(ms) == 0 {
		return Dim{n: p[""]}
	}
	sort.Strings(ms)
	var b strings.Builder
	for i, m := range ms {
		writeTerm(&b, p[m], m, i == 0)
	}
	if c := p[""]; c != 0 {
		if c > 0 {
			b.WriteByte('+')
		}
		b.WriteString(strconv.FormatInt(c, 10))
	}
	return Dim{expr: b.String()}
}

func writeTerm(b *strings.Builder, c int64, m string, first bool) {
	switch {
	case c == 1 && !first:
		b.WriteByte('+')
	case c == -1:
		b.WriteByte('-')
	case c != 1:
		if c > 0 && !first {
			b.WriteByte('+')
		}
		b.WriteString(strconv.FormatInt(c, 10))
		b.WriteByte('*')
	}
	b.WriteString(m)
}

// dimParser reads expressions: sum = term {("+"|"-") term}; term = factor {"*" factor};
// factor = number | symbol | func "(" sum ("/"|",") sum ")".
type dimParser struct {
	s     string
	i     int
	depth int
}

func (p *dimParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *dimParser) sum() (poly, error) {
	if p.depth++; p.depth > 64 {
		return nil, errors.New("nested too deeply")
	}
	defer func() { p.depth-- }()
	r := poly{}
	for first := true; ; first = false {
		sign := int64(1)
		switch c := p.peek(); {
		case c == '-':
			sign = -1
			p.i++
		case c == '+' && !first:
			p.i++
		case !first:
			return r, nil
		}
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		r = r.add(t, sign)
	}
}

func (p *dimParser) term() (poly, error) {
	r := poly{"": 1}
	for {
		f, err := p.factor()
		if err != nil {
			return nil, err
		}
		r = r.mul(f)
		if p.peek() != '*' {
			return r, nil
		}
		p.i++
	}
}

func (p *dimParser) factor() (poly, error) {
	start := p.i
	if c := p.peek(); c >= '0' && c <= '9' {
		for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
			p.i++
		}
		n, err := strconv.ParseInt(p.s[start:p.i], 10, 64)
		return poly{"": n}, err
	}
	for isIdent(p.peek(), p.i > start) {
		p.i++
	}
	if p.i == start {
		return nil, errs.Errorf("expected a number or symbol at %d", start)
	}
	name := p.s[start:p.i]
	if p.peek() != '(' {
		return poly{name: 1}, nil
	}
	p.i++
	a, err := p.sum()
	if err != nil {
		return nil, err
	}
	sep := p.peek()
	p.i++
	b, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.peek() != ')' {
		return nil, errs.Errorf("expected ')' at %d", p.i)
	}
	p.i++
	switch {
	case name == "floor" && sep == '/':
		return a.dim().Div(b.dim()).asPoly(), nil
	case name == "max" && sep == ',':
		return a.dim().Max(b.dim()).asPoly(), nil
	case name == "min" && sep == ',':
		return a.dim().Min(b.dim()).asPoly(), nil
	}
	return nil, errs.Errorf("unknown function %q", name)
}

// asPoly keeps an atom whole, where poly would parse it again.
func (d Dim) asPoly() poly {
	if d.expr == "" {
		return poly{"": d.n}
	}
	if depth := strings.IndexByte(d.expr, '('); depth > 0 && isAtom(d.expr) {
		return poly{d.expr: 1}
	}
	return d.poly()
}

// isAtom reports whether s is one call that spans the whole string.
func isAtom(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i == len(s)-1
			}
		case '+', '-', '*':
			if depth == 0 {
				return false
			}
		}
	}
	return false
}

// eval walks the expression once more with numbers for the symbols.
func (p *dimParser) eval(env map[string]int64) (int64, error) {
	total := int64(0)
	for first := true; ; first = false {
		sign := int64(1)
		switch c := p.peek(); {
		case c == '-':
			sign = -1
			p.i++
		case c == '+' && !first:
			p.i++
		case !first:
			return total, nil
		}
		t, err := p.evalTerm(env)
		if err != nil {
			return 0, err
		}
		total += sign * t
	}
}

func (p *dimParser) evalTerm(env map[string]int64) (int64, error) {
	v := int64(1)
	for {
		f, err := p.evalFactor(env)
		if err != nil {
			return 0, err
		}
		if f != 0 && (v > math.MaxInt64/abs(f) || v < -math.MaxInt64/abs(f)) {
			return 0, errors.New("overflow")
		}
		v *= f
		if p.peek() != '*' {
			return v, nil
		}
		p.i++
	}
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

func (p *dimParser) evalFactor(env map[string]int64) (int64, error) {
	start := p.i
	if c := p.peek(); c >= '0' && c <= '9' {
		f, err := p.factor()
		return f[""], err
	}
	for isIdent(p.peek(), p.i > start) {
		p.i++
	}
	name := p.s[start:p.i]
	if p.peek() != '(' {
		v, ok := env[name]
		if !ok {
			return 0, errs.Errorf("%w %q", ErrUnbound, name)
		}
		return v, nil
	}
	p.i++
	a, err := p.eval(env)
	if err != nil {
		return 0, err
	}
	p.i++
	b, err := p.eval(env)
	if err != nil {
		return 0, err
	}
	p.i++
	switch name {
	case "floor":
		if b == 0 {
			return 0, errors.New("division by zero")
		}
		return floorDiv(a, b), nil
	case "max":
		return max(a, b), nil
	}
	return min(a, b), nil
}
