package graph

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// SyntaxError is an error in the text form, with its place.
type SyntaxError struct {
	Line int
	Msg  string
}

// Error is "graph text, line N: reason".
func (e *SyntaxError) Error() string { return fmt.Sprintf("graph text, line %d: %s", e.Line, e.Msg) }

// maxParseElements bounds a tensor that the text declares.
const maxParseElements = 1 << 28

// Parse reads the text form that Print writes. lookup finds an operator's prototype by its name
// (ops.Lookup's, usually). Types of nodes' outputs are inferred, not read.
func Parse(text string, lookup func(name string) (Op, bool)) (*Graph, error) {
	p := parser{s: text, lookup: lookup, line: 1}
	p.next()
	g, err := p.graph()
	if err == nil && p.tok != "" {
		err = p.errorf("%q after the graph", p.tok)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// parser is a recursive descent over tokens: words, numbers, quoted strings, single characters. tok is
// "" at the end.
type parser struct {
	s      string
	i      int
	line   int
	tok    string
	at     int // where tok begins
	depth  int
	lookup func(string) (Op, bool)
}

func (p *parser) errorf(format string, args ...any) error {
	return &SyntaxError{Line: p.line, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) next() {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '\n':
			p.line++
			p.i++
		case c == ' ' || c == '\t' || c == '\r':
			p.i++
		case c == '#':
			for p.i < len(p.s) && p.s[p.i] != '\n' {
				p.i++
			}
		default:
			p.token()
			return
		}
	}
	p.tok, p.at = "", p.i
}

func (p *parser) token() {
	p.at = p.i
	if p.s[p.i] == '"' {
		for p.i++; p.i < len(p.s) && p.s[p.i] != '"' && p.s[p.i] != '\n'; p.i++ {
			if p.s[p.i] == '\\' {
				p.i++
			}
		}
		p.i = min(p.i+1, len(p.s))
		p.tok = p.s[p.at:p.i]
		return
	}
	for p.i < len(p.s) && wordChar(p.s[p.i]) {
		p.i++
	}
	if p.i == p.at {
		p.i++
	}
	if w := p.s[p.at:p.i]; len(w) > 1 && strings.HasSuffix(w, ":") {
		p.i-- // "Axis:" is a word and a colon
	}
	p.tok = p.s[p.at:p.i]
}

func wordChar(c byte) bool {
	return isIdent(c, true) || strings.IndexByte("./:+-", c) >= 0
}

func (p *parser) take(tok string) error {
	if p.tok != tok {
		return p.errorf("expected %q, found %q", tok, p.tok)
	}
	p.next()
	return nil
}

// word takes a bare or quoted name.
func (p *parser) word() (string, error) {
	w := p.tok
	if strings.HasPrefix(w, `"`) {
		s, err := strconv.Unquote(w)
		if err != nil {
			return "", p.errorf("bad string %s", w)
		}
		p.next()
		return s, nil
	}
	if w == "" || !wordChar(w[0]) {
		return "", p.errorf("expected a name, found %q", w)
	}
	p.next()
	return w, nil
}

func (p *parser) graph() (*Graph, error) {
	if p.depth++; p.depth > 32 {
		return nil, p.errorf("graphs are nested too deeply")
	}
	defer func() { p.depth-- }()
	if err := p.take("graph"); err != nil {
		return nil, err
	}
	name, err := p.word()
	if err != nil {
		return nil, err
	}
	if err := p.take("{"); err != nil {
		return nil, err
	}
	g := &Graph{Name: name}
	vals := map[string]*Value{}
	for p.tok != "}" {
		if p.tok == "" {
			return nil, p.errorf("the graph does not end")
		}
		if err := p.statement(g, vals); err != nil {
			return nil, err
		}
	}
	p.next()
	return g, nil
}

func (p *parser) statement(g *Graph, vals map[string]*Value) error {
	// a keyword followed by a name; a node's first word is followed by "," or "="
	kw, save := p.tok, *p
	p.next()
	if p.tok == "," || p.tok == "=" {
		*p = save
		return p.node(g, vals)
	}
	switch kw {
	case "doc":
		s, err := p.word()
		g.Doc = s
		return err
	case "meta":
		return p.meta(g)
	case "input":
		v, err := p.typed(vals)
		g.Inputs = append(g.Inputs, v)
		return err
	case "param", "const":
		v, err := p.typed(vals)
		if err == nil {
			err = p.take("=")
		}
		if err != nil {
			return err
		}
		if v.Data, err = p.data(v.Type); err != nil {
			return err
		}
		if kw == "const" {
			v.Type = ConstOf(v.Data)
		} else {
			g.Params = append(g.Params, v)
		}
		return nil
	case "output":
		v, err := p.ref(vals)
		g.Outputs = append(g.Outputs, v)
		return err
	case "update":
		return p.update(g, vals)
	}
	*p = save
	return p.node(g, vals)
}

func (p *parser) meta(g *Graph) error {
	k, err := p.word()
	if err == nil {
		err = p.take("=")
	}
	if err != nil {
		return err
	}
	v, err := p.word()
	if g.Meta == nil {
		g.Meta = map[string]string{}
	}
	g.Meta[k] = v
	return err
}

func (p *parser) update(g *Graph, vals map[string]*Value) error {
	param, err := p.ref(vals)
	if err == nil {
		err = p.take("=")
	}
	if err != nil {
		return err
	}
	v, err := p.ref(vals)
	g.Updates = append(g.Updates, Update{Param: param, Value: v})
	return err
}

func (p *parser) typed(vals map[string]*Value) (*Value, error) {
	n, err := p.word()
	if err != nil {
		return nil, err
	}
	if vals[n] != nil {
		return nil, p.errorf("%q is defined twice", n)
	}
	if err := p.take(":"); err != nil {
		return nil, err
	}
	t, err := p.typ()
	v := &Value{Name: n, Type: t}
	vals[n] = v
	return v, err
}

// typ reads float32[N,3], float32[...], seq(float32[...]), optional(...), map(string,float32).
func (p *parser) typ() (Type, error) {
	start := p.at
	depth := 0
	for end := start; end <= len(p.s); end++ {
		if end == len(p.s) || depth == 0 && end > start && (p.s[end-1] == ']' || p.s[end-1] == ')') {
			t, err := parseType(p.s[start:end], 0)
			if err != nil {
				return t, p.errorf("%v", err)
			}
			p.i = end
			p.next()
			return t, nil
		}
		switch p.s[end] {
		case '[', '(':
			depth++
		case ']', ')':
			depth--
		case '\n':
			return Type{}, p.errorf("bad type %q", p.s[start:end])
		}
	}
	return Type{}, p.errorf("bad type")
}

func parseType(s string, depth int) (Type, error) {
	if depth > 8 {
		return Type{}, errors.New("types are nested too deeply")
	}
	if inner, ok := cut(s, "seq(", ")"); ok {
		e, err := parseType(inner, depth+1)
		return SequenceOf(e), err
	}
	if inner, ok := cut(s, "optional(", ")"); ok {
		e, err := parseType(inner, depth+1)
		return OptionalOf(e), err
	}
	if inner, ok := cut(s, "map(", ")"); ok {
		k, v, _ := strings.Cut(inner, ",")
		kd, err := tensor.ParseDType(k)
		vd, err2 := tensor.ParseDType(v)
		return Type{Kind: MapKind, Key: kd, DType: vd}, errors.Join(err, err2)
	}
	name, rest, ok := strings.Cut(s, "[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return Type{}, errs.Errorf("bad type %q", s)
	}
	dt, err := tensor.ParseDType(name)
	rest = strings.TrimSuffix(rest, "]")
	if err != nil || rest == "..." {
		return UnrankedOf(dt), err
	}
	t := TensorOf(dt)
	for _, part := range splitDims(rest) {
		d, err := ParseDim(part)
		if err != nil {
			return t, err
		}
		t.Dims = append(t.Dims, d)
	}
	return t, nil
}

func cut(s, prefix, suffix string) (string, bool) {
	if strings.HasPrefix(s, prefix) && strings.HasSuffix(s, suffix) {
		return s[len(prefix) : len(s)-len(suffix)], true
	}
	return "", false
}

// splitDims cuts at the commas outside parentheses.
func splitDims(s string) []string {
	if s == "" {
		return nil
	}
	var out []string
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

func (p *parser) ref(vals map[string]*Value) (*Value, error) {
	n, err := p.word()
	if err != nil {
		return nil, err
	}
	if vals[n] == nil {
		return nil, p.errorf("%q is not defined", n)
	}
	return vals[n], nil
}

func (p *parser) node(g *Graph, vals map[string]*Value) error {
	var names []string
	for {
		n, err := p.word()
		if err != nil {
			return err
		}
		names = append(names, n)
		if p.tok != "," {
			break
		}
		p.next()
	}
	if err := p.take("="); err != nil {
		return err
	}
	opName, err := p.word()
	if err != nil {
		return err
	}
	proto, ok := p.lookup(opName)
	if !ok {
		return p.errorf("unknown operator %q", opName)
	}
	op := reflect.New(reflect.TypeOf(proto)).Elem()
	if p.tok == "{" {
		if err := p.fields(op); err != nil {
			return err
		}
	}
	n := &Node{Op: op.Interface().(Op)}
	if err := p.operands(n, vals); err != nil {
		return err
	}
	types := make([]Type, len(n.In))
	for i, v := range n.In {
		if v != nil {
			types[i] = v.Type
		}
	}
	outs, err := n.Op.Infer(types)
	if err != nil {
		return p.errorf("%s: %v", opName, err)
	}
	if len(outs) != len(names) {
		return p.errorf("%s has %d outputs, not %d", opName, len(outs), len(names))
	}
	for i, t := range outs {
		if vals[names[i]] != nil {
			return p.errorf("%q is defined twice", names[i])
		}
		v := &Value{Name: names[i], Type: Freshen(t, names[i]), Def: n}
		vals[names[i]] = v
		n.Out = append(n.Out, v)
	}
	g.Nodes = append(g.Nodes, n)
	return nil
}

func (p *parser) operands(n *Node, vals map[string]*Value) error {
	if err := p.take("("); err != nil {
		return err
	}
	for p.tok != ")" {
		if p.tok == "_" {
			p.next()
			n.In = append(n.In, nil)
		} else {
			v, err := p.ref(vals)
			if err != nil {
				return err
			}
			n.In = append(n.In, v)
		}
		if p.tok == "," {
			p.next()
		} else if p.tok != ")" {
			return p.errorf("expected ',' or ')', found %q", p.tok)
		}
	}
	p.next()
	if p.tok == "@" {
		p.next()
		var err error
		n.Origin, err = p.word()
		return err
	}
	return nil
}
