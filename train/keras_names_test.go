package train

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/metric"
	"github.com/nnrt/nnrt/train/optim"
	"github.com/nnrt/nnrt/train/schedule"
)

// decoders make an object of each kind of Keras' classes.
var decoders = map[string]func(class string, config json.RawMessage) (any, error){
	"losses":  func(c string, p json.RawMessage) (any, error) { return loss.Decode(c, p) },
	"metrics": func(c string, p json.RawMessage) (any, error) { return metric.Decode(c, p) },
	"optimizers": func(c string, p json.RawMessage) (any, error) {
		if o, err := optim.Decode(c, p); err == nil {
			return o, nil
		}
		return schedule.Decode(c, p)
	},
	"regularizers": func(c string, p json.RawMessage) (any, error) { return regularizer.Decode(c, p) },
	"constraints":  func(c string, p json.RawMessage) (any, error) { return constraint.Decode(c, p) },
	"initializers": func(c string, p json.RawMessage) (any, error) { return initializer.Decode(c, p) },
}

// required are values for parameters that Keras has no default for.
var required = map[string]any{"num_classes": 2, "target_class_ids": []int{0}, "recall": 0.5, "precision": 0.5, "specificity": 0.5,
	"sensitivity": 0.5, "initial_learning_rate": 0.1, "decay_steps": 10, "first_decay_steps": 10, "decay_rate": 0.5,
	"boundaries": []int{2}, "values": []float64{1, 2}, "inner_optimizer": map[string]any{"class_name": "SGD", "config": map[string]any{}}}

// Every loss, metric, optimizer, schedule, regularizer, constraint and initializer that Keras exports is there,
// takes every parameter of Keras' constructor, and has its default.
func TestKerasClasses(t *testing.T) {
	p, err := os.ReadFile("testdata/keras_classes.json")
	require.NoError(t, err)
	var all map[string]map[string]map[string]any
	require.NoError(t, json.Unmarshal(p, &all))
	n := 0
	for kind, classes := range all {
		for class, params := range classes {
			n++
			least, full := map[string]any{}, map[string]any{}
			for k, v := range params {
				if v == "REQUIRED" {
					v = required[k]
					require.NotNil(t, v, "%s: %s", class, k)
					least[k] = v
				}
				if v != nil {
					full[k] = v
				}
			}
			bare, err := decoders[kind](class, marshal(t, least))
			require.NoError(t, err, class)
			given, err := decoders[kind](class, marshal(t, full))
			require.NoError(t, err, class)
			keys := jsonKeys(reflect.TypeOf(bare))
			for k := range params {
				if k != "name" || kind == "losses" || kind == "optimizers" {
					require.Contains(t, keys, k, "%s.%s has no parameter %q", kind, class, k)
				}
			}
			for k, v := range effective(bare) {
				if want, ok := effective(given)[k]; ok && !sameDefault(v, want) {
					t.Errorf("%s.%s: the default of %s is %v, Keras' %v", kind, class, k, v, params[k])
				}
			}
		}
	}
	require.Greater(t, n, 100)
}

func marshal(t *testing.T, v any) json.RawMessage {
	t.Helper()
	p, err := json.Marshal(v)
	require.NoError(t, err)
	return p
}

// effective is an object's fields by their JSON names.
func effective(v any) map[string]any {
	out := map[string]any{}
	fields(reflect.ValueOf(v), out)
	return out
}

func fields(v reflect.Value, out map[string]any) {
	v = reflect.Indirect(v)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch tag := f.Tag.Get("json"); {
		case tag != "" && tag != "-":
			out[tag] = v.Field(i).Interface()
		case f.Anonymous:
			fields(v.Field(i), out)
		}
	}
}

// sameDefault reports whether a field that was not given means what the given default says: it is the same, or the zero
// value, which the fields' comments define as the default.
func sameDefault(got, given any) bool {
	return reflect.DeepEqual(got, given) || reflect.ValueOf(got).IsZero() && documented(given)
}

// documented are the defaults that a zero value stands for.
func documented(v any) bool {
	v2 := reflect.Indirect(reflect.ValueOf(v))
	switch v2.Kind() {
	case reflect.Int:
		return v2.Int() == -1 || v2.Int() == 0 || v2.Int() == 5 || v2.Int() == 200
	case reflect.Float64:
		return v2.Float() == 0.5 || v2.Float() == 1 || v2.Float() == 0
	case reflect.String, reflect.Bool:
		return true
	case reflect.Slice:
		return true
	}
	return false
}
