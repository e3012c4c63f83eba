// Package classes finds objects by the class names that Keras gives them, and reads and writes their configs: what
// constraints, regularizers, initializers, losses and learning-rate schedules have in common.
package classes

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Row is a class.
type Row struct {
	// Default is a struct with Keras' defaults; its JSON form is the config.
	Default any
	// Names is the class name, then Keras' other spellings of it.
	Names []string
}

// Table is the classes of one kind. Its methods give `any` so that they are compiled once for all kinds.
type Table struct {
	// Package and Kind begin and end what errors say: "loss: unknown loss".
	Package, Kind string
	Rows          []Row
}

// Decode makes a value of the class that name spells from its config; keys that the config lacks take the defaults.
// The value has the type of the row's Default.
func (t Table) Decode(name string, config json.RawMessage) (any, error) {
	i := slices.IndexFunc(t.Rows, func(r Row) bool { return slices.Contains(r.Names, name) })
	if i < 0 {
		return nil, errs.Errorf("%s: unknown %s %q", t.Package, t.Kind, name)
	}
	def := reflect.ValueOf(t.Rows[i].Default)
	p := reflect.New(def.Type())
	p.Elem().Set(def)
	for i := range def.NumField() { // encoding/json writes into a slice that is there: not into the table's
		if f := p.Elem().Field(i); f.Kind() == reflect.Slice && f.CanSet() {
			f.Set(reflect.AppendSlice(reflect.Zero(f.Type()), f))
		}
	}
	if len(config) > 0 {
		if err := json.Unmarshal(config, p.Interface()); err != nil {
			return nil, errs.Errorf("%s: %s config: %w", t.Package, name, err)
		}
	}
	return p.Elem().Interface(), nil
}

// ClassName is what Keras calls v's class, empty for one that is not in the table.
func (t Table) ClassName(v any) string {
	for _, r := range t.Rows {
		if reflect.TypeOf(r.Default) == reflect.TypeOf(v) {
			return r.Names[0]
		}
	}
	return ""
}

// Encode is v's class name and config as Keras writes them.
func (t Table) Encode(v any) (class string, config json.RawMessage, err error) {
	if class = t.ClassName(v); class == "" {
		return "", nil, errs.Errorf("%s: %T is none of Keras'", t.Package, v)
	}
	config, err = Marshal(v)
	return class, config, err
}

// Names is every class name, for messages.
func (t Table) Names() string {
	var s []string
	for _, r := range t.Rows {
		s = append(s, r.Names[0])
	}
	return strings.Join(s, ", ")
}
