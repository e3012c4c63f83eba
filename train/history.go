package train

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// History is what each epoch gave. Its JSON form holds Keras' history dictionary under "history".
type History struct {
	Epoch  []int
	Names  []string // in the order of first appearance
	Values map[string][]float64
}

func (h *History) add(epoch int, logs Logs) {
	h.Epoch = append(h.Epoch, epoch)
	for _, l := range logs {
		for i, v := range l.Values {
			name := l.Name
			if len(l.Values) > 1 {
				name = fmt.Sprintf("%s[%d]", name, i)
			}
			if _, ok := h.Values[name]; !ok {
				h.Names = append(h.Names, name)
			}
			h.Values[name] = append(h.Values[name], v)
		}
	}
}

// Last is the newest value of that name, NaN where there is none.
func (h *History) Last(name string) float64 {
	if v := h.Values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return math.NaN()
}

// Then is this history with another one behind it, whose epochs go on counting.
func (h *History) Then(next *History) *History {
	out := &History{Epoch: slices.Clone(h.Epoch), Names: slices.Clone(h.Names), Values: map[string][]float64{}}
	for i := range next.Epoch {
		out.Epoch = append(out.Epoch, len(h.Epoch)+i)
	}
	for _, n := range next.Names {
		if !slices.Contains(out.Names, n) {
			out.Names = append(out.Names, n)
		}
	}
	for _, n := range out.Names {
		out.Values[n] = slices.Concat(h.Values[n], next.Values[n])
	}
	return out
}

// MarshalJSON writes the epochs and Keras' history dictionary. NaN and infinities, which JSON does not have,
// are null.
func (h *History) MarshalJSON() ([]byte, error) {
	values := map[string][]any{}
	for name, vs := range h.Values {
		for _, v := range vs {
			if v-v != 0 {
				values[name] = append(values[name], nil)
			} else {
				values[name] = append(values[name], v)
			}
		}
	}
	return json.Marshal(map[string]any{"epoch": h.Epoch, "history": values, "names": h.Names})
}

// UnmarshalJSON reads what MarshalJSON wrote, or a bare history dictionary.
func (h *History) UnmarshalJSON(p []byte) error {
	var full struct {
		Epoch   []int
		History map[string][]*float64
		Names   []string
	}
	if err := json.Unmarshal(p, &full); err != nil || full.History == nil {
		full.Epoch, full.Names = nil, nil
		if err := json.Unmarshal(p, &full.History); err != nil {
			return err
		}
	}
	*h = History{Epoch: full.Epoch, Names: full.Names, Values: map[string][]float64{}}
	for name, vs := range full.History {
		values := make([]float64, len(vs))
		for i, v := range vs {
			if values[i] = math.NaN(); v != nil {
				values[i] = *v
			}
		}
		h.Values[name] = values
	}
	return nil
}

// exact is numbers whose JSON form keeps every bit, also of NaN and infinities.
type exact []float64

// MarshalJSON implements json.Marshaler.
func (e exact) MarshalJSON() ([]byte, error) {
	bits := make([]uint64, len(e))
	for i, v := range e {
		bits[i] = math.Float64bits(v)
	}
	return json.Marshal(bits)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *exact) UnmarshalJSON(p []byte) error {
	var bits []uint64
	if err := json.Unmarshal(p, &bits); err != nil {
		return err
	}
	*e = make(exact, len(bits))
	for i, b := range bits {
		(*e)[i] = math.Float64frombits(b)
	}
	return nil
}

// best is the best value so far, none to begin with.
func best(e exact) *float64 {
	if len(e) == 0 {
		return nil
	}
	return &e[0]
}
