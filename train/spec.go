package train

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/metric"
	"github.com/nnrt/nnrt/train/optim"
)

// A spec is an object as one writes it on a command line: a Keras name, with parameters in parentheses where
// they differ from the defaults, `adam(learning_rate=0.01, clipnorm=1)`. Values are numbers, true, false,
// null, words, quoted strings, lists in brackets, and specs.

// ParseSpec reads a spec, or an object in JSON ({"class_name": ..., "config": ...}), into its name and config.
func ParseSpec(s string) (name string, config json.RawMessage, err error) {
	if strings.HasPrefix(strings.TrimSpace(s), "{") {
		var o object
		if err := json.Unmarshal([]byte(s), &o); err != nil || o.ClassName == "" {
			return "", nil, errs.Errorf("train: %q is no object with class_name and config", s)
		}
		return o.ClassName, o.Config, nil
	}
	p := specParser{s: s}
	name, cfg, err := p.object(0)
	if p.space(); err == nil && p.i < len(s) {
		err = p.fail("nothing more")
	}
	if err != nil || len(cfg) == 0 {
		return name, nil, err
	}
	config, err = json.Marshal(cfg)
	return name, config, err
}

// SplitSpecs cuts a list of specs at the commas outside of parentheses, brackets and quotes.
func SplitSpecs(s string) []string {
	var out []string
	depth, from, quote := 0, 0, rune(0)
	for i, c := range s {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.ContainsRune("([{", c):
			depth++
		case strings.ContainsRune(")]}", c):
			depth--
		case c == ',' && depth == 0:
			out, from = append(out, strings.TrimSpace(s[from:i])), i+1
		}
	}
	if last := strings.TrimSpace(s[from:]); last != "" || len(out) > 0 {
		out = append(out, last)
	}
	return out
}

// maxSpecDepth bounds nesting.
const maxSpecDepth = 8

type specParser struct {
	s string
	i int
}

func (p *specParser) fail(want string) error {
	return errs.Errorf("train: %q: expected %s at %q", p.s, want, p.s[min(p.i, len(p.s)):])
}

func (p *specParser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
}

func (p *specParser) take(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// word is a run of letters, digits and what numbers and paths hold besides.
func (p *specParser) word() string {
	p.space()
	from := p.i
	for p.i < len(p.s) {
		c := rune(p.s[p.i])
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("_.+-/:{}", c) && c < 0x80 {
			break
		}
		p.i++
	}
	return p.s[from:p.i]
}

func (p *specParser) object(depth int) (string, map[string]any, error) {
	name := p.word()
	if name == "" {
		return "", nil, p.fail("a name")
	}
	if !p.take('(') {
		return name, nil, nil
	}
	cfg, err := p.params(depth)
	return name, cfg, err
}

func (p *specParser) params(depth int) (map[string]any, error) {
	if depth > maxSpecDepth {
		return nil, p.fail("less nesting")
	}
	cfg := map[string]any{}
	for !p.take(')') {
		if len(cfg) > 0 && !p.take(',') {
			return nil, p.fail("a comma or )")
		}
		key := p.word()
		if key == "" || !p.take('=') {
			return nil, p.fail("name=value")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		cfg[key] = v
	}
	return cfg, nil
}

func (p *specParser) value(depth int) (any, error) {
	p.space()
	switch {
	case p.i >= len(p.s):
		return nil, p.fail("a value")
	case p.s[p.i] == '"' || p.s[p.i] == '\'':
		quote := p.s[p.i]
		end := strings.IndexByte(p.s[p.i+1:], quote)
		if end < 0 {
			return nil, p.fail("a closing quote")
		}
		v := p.s[p.i+1 : p.i+1+end]
		p.i += end + 2
		return v, nil
	case p.take('['):
		list := []any{}
		for !p.take(']') {
			if len(list) > 0 && !p.take(',') {
				return nil, p.fail("a comma or ]")
			}
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	w := p.word()
	switch w {
	case "":
		return nil, p.fail("a value")
	case "true", "True":
		return true, nil
	case "false", "False":
		return false, nil
	case "null", "None":
		return nil, nil
	}
	if v, err := strconv.ParseFloat(w, 64); err == nil && v-v == 0 {
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64)), nil
	}
	if p.take('(') {
		cfg, err := p.params(depth)
		return map[string]any{"class_name": w, "config": cfg}, err
	}
	return w, nil
}

// known fails where a config has a parameter that o has not: Keras' decoders pass over such keys in files,
// but what somebody typed is a mistake.
func known(name string, config json.RawMessage, o any) error {
	var cfg map[string]json.RawMessage
	if len(config) == 0 {
		return nil
	}
	if err := json.Unmarshal(config, &cfg); err != nil {
		return errs.Errorf("train: %s: %w", name, err)
	}
	keys := jsonKeys(reflect.TypeOf(o))
	for k := range cfg {
		if !slices.Contains(keys, k) {
			slices.Sort(keys)
			return errs.Errorf("train: %s has no parameter %q; it has %s", name, k, strings.Join(slices.Compact(keys), ", "))
		}
	}
	return nil
}

func jsonKeys(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[optim.LossScaleOptimizer]() {
		return []string{"inner_optimizer", "initial_scale", "dynamic_growth_steps", "name"}
	}
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		if tag := f.Tag.Get("json"); tag != "" && tag != "-" {
			keys = append(keys, tag)
		} else if f.Anonymous {
			keys = append(keys, jsonKeys(f.Type)...)
		}
	}
	return keys
}

// OptimizerOf is the optimizer that a spec names.
func OptimizerOf(spec string) (optim.Optimizer, error) {
	name, cfg, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	o, err := optim.Decode(name, cfg)
	if err != nil {
		return nil, err
	}
	if s := o.Options().LearningRate.Schedule; s != nil {
		var c struct {
			Rate object `json:"learning_rate"`
		}
		if err := json.Unmarshal(cfg, &c); err != nil {
			return nil, errs.Errorf("train: %s: %w", name, err)
		}
		if err := known(c.Rate.ClassName, c.Rate.Config, s); err != nil {
			return nil, err
		}
	}
	return o, known(name, cfg, o)
}

// LossOf is the loss that a spec names.
func LossOf(spec string) (loss.Loss, error) {
	name, cfg, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	l, err := loss.Decode(name, cfg)
	if err != nil {
		return nil, err
	}
	return l, known(name, cfg, l)
}

// MetricsOf is the metrics of a list of specs, as CompileOptions takes them: a bare name stays one, for its
// kind depends on the shapes.
func MetricsOf(list string) ([]any, error) {
	var out []any
	for _, s := range SplitSpecs(list) {
		name, cfg, err := ParseSpec(s)
		if err != nil {
			return nil, err
		}
		if len(cfg) == 0 {
			if _, err := metric.ForShapes(name, []int{1, 1}, []int{1, 1}); err != nil {
				return nil, err
			}
			out = append(out, name)
			continue
		}
		m, err := metric.Decode(name, cfg)
		if err != nil {
			return nil, err
		}
		if err := known(name, cfg, m); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
