package keras

import (
	"encoding/json"
	"slices"
	"sort"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// placed is a layer of a functional model with its calls.
type placed struct {
	name    string
	layer   layers.Layer
	nodes   []call
	tensors []*layers.Tensor // of the calls that are made
	offset  int              // what the file adds to the index of a call
	network bool
}

// call is the arguments of one call, before its tensors exist.
type call struct {
	args   []any
	kwargs map[string]any
}

// ref is a tensor in a call: output index of call node of a layer.
type ref struct {
	layer       string
	node, index int
}

// functional puts a functional model together.
type functional struct {
	dec    *decoder
	m      *layers.Model
	order  []*placed
	byName map[string]*placed
}

func (f *functional) add(v any) error {
	e, err := f.dec.entry(v)
	if err != nil {
		return err
	}
	l, err := f.dec.layer(v)
	if err != nil {
		return err
	}
	name := e.name
	if name == "" {
		name = l.Common().Name
	}
	if l.Common().Name == "" {
		l.Common().Name = name
	}
	p := &placed{name: name, layer: l}
	_, p.network = l.(*layers.Model)
	f.order = append(f.order, p)
	f.byName[name] = p
	f.m.AddLayer(l)
	if _, ok := l.(*layers.InputLayer); ok && len(e.inbound) == 0 {
		p.nodes = []call{{}}
	}
	for _, n := range e.inbound {
		c, err := f.call(n)
		if err != nil {
			return errs.Errorf("layer %q: %w", name, err)
		}
		p.nodes = append(p.nodes, c)
	}
	// A class's name in the graph may differ from the config's (TensorFlowOpLayer).
	if cfgName, ok := e.config["name"].(string); ok && cfgName != name {
		if f.byName[cfgName] == nil {
			f.byName[cfgName] = p
		}
	}
	return nil
}

// call reads one inbound node in any version's form.
func (f *functional) call(v any) (call, error) {
	switch n := v.(type) {
	case map[string]any: // Keras 3
		args, _ := n["args"].([]any)
		kwargs, _ := n["kwargs"].(map[string]any)
		a, err := f.tensors3(args)
		if err != nil {
			return call{}, err
		}
		k, err := f.tensors3(kwargs)
		if err != nil {
			return call{}, err
		}
		c := call{}
		c.args, _ = a.([]any)
		c.kwargs, _ = k.(map[string]any)
		return c, nil
	case []any:
		return f.legacyCall(n)
	}
	return call{}, formatErrorf(formats.KerasJSON, "an inbound node is %T", v)
}

// tensors3 replaces Keras 3's serialized tensors by refs.
func (f *functional) tensors3(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = f.tensors3(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if v["class_name"] == "__keras_tensor__" {
			cfg, _ := v["config"].(map[string]any)
			r, ok := asRef(cfg["keras_history"])
			if !ok {
				return nil, formatErrorf(formats.KerasJSON, "a tensor without keras_history")
			}
			return r, nil
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			x, err := f.tensors3(e)
			if err != nil {
				return nil, err
			}
			out[k] = x
		}
		return out, nil
	}
	return v, nil
}

// asRef reads ["name", 0, 0].
func asRef(v any) (ref, bool) {
	list, ok := v.([]any)
	if !ok || len(list) < 3 {
		return ref{}, false
	}
	name, ok := list[0].(string)
	if !ok {
		return ref{}, false
	}
	node, err1 := number(list[1])
	index, err2 := number(list[2])
	return ref{name, node, index}, err1 == nil && err2 == nil && index >= 0
}

func number(v any) (int, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, errs.Errorf("%v is no number", v)
	}
	k, err := n.Int64()
	return int(k), err
}

// legacyCall reads [["x", 0, 0, {kwargs}], ["y", 0, 0]], or one such list by itself.
func (f *functional) legacyCall(list []any) (call, error) {
	if len(list) > 0 {
		if _, flat := list[0].(string); flat {
			list = []any{list}
		}
	}
	c := call{}
	for _, item := range list {
		if m, ok := item.(map[string]any); ok { // dict inputs
			keys := make([]string, 0, len(m))
			for k := range m {
				keys = append(keys, k)
			}
			sort.Strings(keys)
			sub := make([]any, 0, len(m))
			for _, k := range keys {
				sub = append(sub, m[k])
			}
			item = sub
		}
		parts, ok := item.([]any)
		if !ok || len(parts) < 3 {
			return c, formatErrorf(formats.KerasJSON, "an inbound node holds %v", item)
		}
		if len(parts) > 3 {
			kw, _ := parts[3].(map[string]any)
			for k, v := range kw {
				if c.kwargs == nil {
					c.kwargs = map[string]any{}
				}
				c.kwargs[k] = f.legacyValue(v)
			}
		}
		if name, ok := parts[0].(string); ok && name == "_CONSTANT_VALUE" {
			c.args = append(c.args, parts[2])
			continue
		}
		r, ok := asRef(parts)
		if !ok {
			return c, formatErrorf(formats.KerasJSON, "an inbound node holds %v", item)
		}
		c.args = append(c.args, r)
	}
	return c, nil
}

// legacyValue replaces tensors in a keyword argument: lists that begin with a layer's name and two numbers.
func (f *functional) legacyValue(v any) any {
	switch v := v.(type) {
	case []any:
		if r, ok := asRef(v); ok && len(v) <= 4 {
			return r
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = f.legacyValue(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = f.legacyValue(e)
		}
		return out
	}
	return v
}

// connect makes the calls, each when its inputs exist, those of one layer in order.
func (f *functional) connect() error {
	if f.dec.d.major < 3 {
		f.findOffsets()
	}
	next := make([]int, len(f.order))
	for left := true; left; {
		left = false
		progress := false
		for i, p := range f.order {
			for next[i] < len(p.nodes) {
				c := p.nodes[next[i]]
				args, ok := f.resolve(c.args)
				kwargs, ok2 := f.resolve(c.kwargs)
				if !ok || !ok2 {
					left = true
					break
				}
				list, _ := args.([]any)
				kw, _ := kwargs.(map[string]any)
				p.tensors = append(p.tensors, f.m.ApplyArgs(p.layer, list, kw))
				next[i]++
				progress = true
			}
		}
		if left && !progress {
			return f.stuck(next)
		}
	}
	return nil
}

// stuck says which calls can't be made.
func (f *functional) stuck(next []int) error {
	for i, p := range f.order {
		if next[i] < len(p.nodes) {
			for _, r := range refsIn(nil, p.nodes[next[i]].args) {
				q := f.byName[r.layer]
				switch {
				case q == nil:
					return formatErrorf(formats.KerasJSON, "model %q: layer %q takes the output of %q, which there is not", f.m.Name, p.name, r.layer)
				case r.node-q.offset >= len(q.nodes) || r.node < q.offset:
					return formatErrorf(formats.KerasJSON, "model %q: layer %q takes call %d of layer %q, which has %d", f.m.Name, p.name, r.node, r.layer, len(q.nodes))
				}
			}
		}
	}
	return formatErrorf(formats.KerasJSON, "model %q: its layers' connections run in a circle", f.m.Name)
}

func refsIn(out []ref, v any) []ref {
	switch v := v.(type) {
	case ref:
		out = append(out, v)
	case []any:
		for _, e := range v {
			out = refsIn(out, e)
		}
	case map[string]any:
		for _, e := range v {
			out = refsIn(out, e)
		}
	}
	return out
}

// findOffsets finds for each inner network whether the file counts its calls from 1: in Keras 1 and 2 a
// network has a call 0 of its own, which isn't listed.
func (f *functional) findOffsets() {
	least := map[string]int{}
	for _, p := range f.order {
		for _, n := range p.nodes {
			for _, r := range append(refsIn(nil, n.args), refsIn(nil, n.kwargs)...) {
				if k, ok := least[r.layer]; !ok || r.node < k {
					least[r.layer] = r.node
				}
			}
		}
	}
	for _, p := range f.order {
		if k, ok := least[p.name]; p.network && (ok && k > 0 || !ok) {
			p.offset = 1
		}
	}
}

// tensor is the tensor that a ref means, nil while its call isn't made.
func (f *functional) tensor(r ref) *layers.Tensor {
	p := f.byName[r.layer]
	if p == nil {
		return nil
	}
	k := r.node - p.offset
	if k < 0 || k >= len(p.tensors) {
		return nil
	}
	return p.tensors[k].Out(r.index)
}

func (f *functional) resolve(v any) (any, bool) {
	switch v := v.(type) {
	case ref:
		t := f.tensor(v)
		return t, t != nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			x, ok := f.resolve(e)
			if !ok {
				return nil, false
			}
			out[i] = x
		}
		return out, true
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			x, ok := f.resolve(e)
			if !ok {
				return nil, false
			}
			out[k] = x
		}
		return out, true
	}
	return v, true
}

// ends reads the model's inputs and outputs.
func (f *functional) ends(config map[string]any) error {
	ins, inKeys, inSingle, err := f.end(config["input_layers"], "input_layers")
	if err != nil {
		return err
	}
	outs, outKeys, outSingle, err := f.end(config["output_layers"], "output_layers")
	if err != nil {
		return err
	}
	if len(ins) == 0 || len(outs) == 0 {
		return formatErrorf(formats.KerasJSON, "model %q has %d inputs and %d outputs", f.m.Name, len(ins), len(outs))
	}
	f.m.SetInputs(ins...)
	f.m.SetOutputs(outs...)
	f.m.SetKeys(inKeys, outKeys)
	f.m.SetSingle(inSingle, outSingle)
	return nil
}

// end reads one tensor, a list, or a dict of them (in the order of its keys).
func (f *functional) end(v any, what string) (ts []*layers.Tensor, keys []string, single bool, err error) {
	var items []any
	switch v := v.(type) {
	case []any:
		if _, ok := asRef(v); ok {
			items, single = []any{v}, true
		} else {
			items = v
		}
	case map[string]any:
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			items = append(items, v[k])
		}
	}
	for _, item := range items {
		r, ok := asRef(item)
		if !ok {
			// nested structures are flattened
			inner, innerKeys, _, err := f.end(item, what)
			if err != nil || len(inner) == 0 {
				return nil, nil, false, formatErrorf(formats.KerasJSON, "model %q: %s holds %v", f.m.Name, what, item)
			}
			_ = innerKeys
			ts = append(ts, inner...)
			keys = nil
			continue
		}
		t := f.tensor(r)
		if t == nil {
			if p := f.byName[r.layer]; p != nil && p.network && p.offset == 1 && r.node == 0 && len(p.tensors) > 0 {
				t = p.tensors[0].Out(r.index)
			} else {
				return nil, nil, false, formatErrorf(formats.KerasJSON, "model %q: %s names %q %d, which there is not", f.m.Name, what, r.layer, r.node)
			}
		}
		ts = append(ts, t)
	}
	return ts, keys, single, nil
}
