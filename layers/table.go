package layers

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// row is one class of layers.
type row struct {
	class   string // Keras 3's name
	make    func() Layer
	masks   bool     // hands its input's mask on
	aliases []string // the names in Keras 1, 2 and tf.keras
}

// table is every layer class: which Go struct it is, and under which other names files have it.
var table = slices.Concat(coreRows, convRows, poolRows, normRows, rnnRows, attentionRows, mergeRows,
	shapeRows, activationRows, regularizationRows, preprocessingRows, augmentationRows, lookupRows, legacyRows)

// tableByType finds the row of a Go struct.
var tableByType = func() map[reflect.Type]*row {
	m := map[reflect.Type]*row{}
	for i := range table {
		if t := reflect.TypeOf(table[i].make()); m[t] == nil {
			m[t] = &table[i]
		}
	}
	return m
}()

var tableByName = func() map[string]*row {
	m := map[string]*row{}
	for i := range table {
		m[table[i].class] = &table[i]
		for _, a := range table[i].aliases {
			m[a] = &table[i]
		}
	}
	return m
}()

// New is a layer of that class (a Keras 3 name, or an alias of older versions) with its default config;
// false where there is none.
func New(class string) (Layer, bool) {
	r, ok := tableByName[class]
	if !ok {
		return nil, false
	}
	return r.make(), true
}

// Canonical is Keras 3's name of a class that may be an older alias.
func Canonical(class string) string {
	if r, ok := tableByName[class]; ok {
		return r.class
	}
	return class
}

// Classes lists the classes of the table with their aliases.
func Classes() map[string][]string {
	m := make(map[string][]string, len(table))
	for _, r := range table {
		m[r.class] = r.aliases
	}
	return m
}

// ClassName is the class name that Keras 3 knows l by.
func ClassName(l Layer) string {
	if m, ok := l.(*Model); ok {
		switch {
		case m.Class != "":
			return m.Class
		case m.IsSequential:
			return "Sequential"
		}
		return "Functional"
	}
	if o, ok := l.(*Operation); ok {
		return o.Op
	}
	if n, ok := l.(ClassNamer); ok {
		return n.ClassName()
	}
	if r := tableByType[reflect.TypeOf(l)]; r != nil {
		return r.class
	}
	return strings.TrimPrefix(reflect.TypeOf(l).String(), "*")
}

// passesMask reports whether a layer hands its input's mask on.
func passesMask(l Layer) bool {
	if p, ok := l.(MaskPasser); ok {
		return p.SupportsMasking()
	}
	r := tableByType[reflect.TypeOf(l)]
	return r != nil && r.masks
}

var (
	wordEnd  = regexp.MustCompile(`(.)([A-Z][a-z]+)`)
	lowerCap = regexp.MustCompile(`([a-z])([A-Z])`)
	nonWord  = regexp.MustCompile(`\W+`)
)

// SnakeCase is Keras' to_snake_case: "Conv2DTranspose" is "conv2d_transpose", "PReLU" is "p_re_lu".
func SnakeCase(name string) string {
	name = nonWord.ReplaceAllString(name, "")
	name = wordEnd.ReplaceAllString(name, "${1}_${2}")
	return strings.ToLower(lowerCap.ReplaceAllString(name, "${1}_${2}"))
}
