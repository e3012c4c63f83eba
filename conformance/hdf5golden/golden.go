// Package hdf5golden compares what formats/hdf5 reads from a file with a JSON
// description of its contents: every object, attribute, type, shape and value.
package hdf5golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats/hdf5"
	"github.com/nnrt/nnrt/internal/errs"
)

// golden is the JSON description of a file.
type golden struct {
	Superblock int               `json:"superblock_version"`
	Offset     *int64            `json:"superblock_offset"`
	Objects    map[string]object `json:"objects"`
}

type object struct {
	Kind    string           `json:"kind"`
	Attrs   *map[string]attr `json:"attrs"`
	Members json.RawMessage  `json:"members"`
	Type    map[string]any   `json:"type"`
	Layout  string           `json:"layout"`
	Filters *[]string        `json:"filters"`
	Dims    []uint64         `json:"dims"`
	MaxDims []*uint64        `json:"maxdims"`
	Chunks  []uint64         `json:"chunks"`
	Value   any              `json:"value"`
	Summary *summary         `json:"summary"`
	Target  string           `json:"target"`
	File    string           `json:"file"`
}

type attr struct {
	Type  map[string]any `json:"type"`
	Dims  []uint64       `json:"dims"`
	Value any            `json:"value"`
}

type summary struct {
	Count int     `json:"count"`
	Sum   float64 `json:"sum"`
	First []any   `json:"first"`
	Last  []any   `json:"last"`
	Every []any   `json:"stride97"`
}

// Names returns the cases in dir: the files listed in its index.json.
func Names(dir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, err
	}
	var names []string
	return names, json.Unmarshal(b, &names)
}

// Run reads dir/name.h5, from the file and from memory, and returns all
// differences from dir/name.json joined into one error.
func Run(dir, name string) error {
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var g golden
	if err := dec.Decode(&g); err != nil {
		return errs.Errorf("%s.json: %w", name, err)
	}
	if len(g.Objects) == 0 {
		return errs.Errorf("%s.json describes no objects", name)
	}
	path := filepath.Join(dir, name+".h5")
	f, err := hdf5.OpenFile(path, hdf5.Options{})
	if err != nil {
		return err
	}
	defer f.Close()
	if err := compare(f, &g); err != nil {
		return errs.Errorf("%s: %w", name, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if f, err = hdf5.OpenBytes(data, hdf5.Options{}); err != nil {
		return err
	}
	if err := compare(f, &g); err != nil {
		return errs.Errorf("%s from memory: %w", name, err)
	}
	return nil
}

func compare(f *hdf5.File, g *golden) error {
	var problems []error
	if got := f.SuperblockVersion(); got != g.Superblock {
		problems = append(problems, errs.Errorf("superblock version %d, want %d", got, g.Superblock))
	}
	if got := f.SuperblockOffset(); g.Offset != nil && got != *g.Offset {
		problems = append(problems, errs.Errorf("superblock offset %d, want %d", got, *g.Offset))
	}
	for _, path := range sortedKeys(g.Objects) {
		o := g.Objects[path]
		if err := compareObject(f, path, &o); err != nil {
			problems = append(problems, errs.Errorf("%s: %w", path, err))
		}
	}
	return errors.Join(problems...)
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func compareObject(f *hdf5.File, path string, want *object) error {
	switch want.Kind {
	case "softlink", "externallink":
		return compareLink(f, path, want)
	}
	o, err := f.Root().Open(path)
	if err != nil {
		return err
	}
	var problems []error
	if want.Attrs != nil {
		problems = append(problems, compareAttrs(o, *want.Attrs))
	}
	switch o := o.(type) {
	case *hdf5.Group:
		problems = append(problems, compareKind("group", want.Kind), compareMembers(o, want.Members))
	case *hdf5.NamedType:
		problems = append(problems, compareKind("datatype", want.Kind), compareType(o.Type(), want.Type))
	case *hdf5.Dataset:
		problems = append(problems, compareKind("dataset", want.Kind), compareDataset(o, want))
	}
	return errors.Join(problems...)
}

func compareKind(got, want string) error {
	if got != want {
		return errs.Errorf("is a %s, want a %s", got, want)
	}
	return nil
}

func compareLink(f *hdf5.File, path string, want *object) error {
	i := strings.LastIndex(path, "/")
	g, err := f.Root().OpenGroup("/" + path[:i])
	if err != nil {
		return err
	}
	l, err := g.Lookup(path[i+1:])
	if err != nil {
		return err
	}
	kind := hdf5.SoftLink
	if want.Kind == "externallink" {
		kind = hdf5.ExternalLink
		if _, err := g.Follow(l); !errors.Is(err, errors.ErrUnsupported) {
			return errs.Errorf("following an external link: %v, want a refusal", err)
		}
	}
	if l.Kind != kind || l.Target != want.Target || l.File != want.File {
		return errs.Errorf("link %+v, want %s %q in %q", l, want.Kind, want.Target, want.File)
	}
	return nil
}

func compareMembers(g *hdf5.Group, raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	got, err := g.Names()
	if err != nil {
		return err
	}
	var want []string
	if json.Unmarshal(raw, &want) == nil {
		if !slices.Equal(got, want) {
			return errs.Errorf("members %q, want %q", got, want)
		}
		return nil
	}
	var ends struct {
		Count       int
		First, Last []string
	}
	if err := json.Unmarshal(raw, &ends); err != nil {
		return err
	}
	if len(got) != ends.Count {
		return errs.Errorf("%d members, want %d", len(got), ends.Count)
	}
	first, last := got[:len(ends.First)], got[len(got)-len(ends.Last):]
	if !slices.Equal(first, ends.First) || !slices.Equal(last, ends.Last) {
		return errs.Errorf("members %q to %q, want %q to %q", first, last, ends.First, ends.Last)
	}
	return nil
}

func compareAttrs(o hdf5.Object, want map[string]attr) error {
	got, err := o.Attrs()
	if err != nil {
		return err
	}
	var names []string
	for _, a := range got {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	if keys := sortedKeys(want); !slices.Equal(names, keys) {
		return errs.Errorf("attributes %q, want %q", names, keys)
	}
	var problems []error
	for _, a := range got {
		w := want[a.Name]
		err := compareType(a.Type(), w.Type)
		if err == nil {
			err = compareShape(a.Space(), w.Dims)
		}
		if err == nil {
			err = compareValue(a, w.Value)
		}
		if err != nil {
			problems = append(problems, errs.Errorf("attribute %q: %w", a.Name, err))
		}
	}
	return errors.Join(problems...)
}

func compareShape(got hdf5.Space, want []uint64) error {
	if got.Null != (want == nil) || !slices.Equal(got.Dims, want) {
		return errs.Errorf("dims %v (null: %v), want %v (null: %v)", got.Dims, got.Null, want, want == nil)
	}
	return nil
}

func compareDataset(d *hdf5.Dataset, want *object) error {
	problems := []error{compareShape(d.Space(), want.Dims)}
	if want.Type != nil {
		problems = append(problems, compareType(d.Type(), want.Type))
	}
	if want.Layout != "" && d.Layout().String() != want.Layout {
		problems = append(problems, errs.Errorf("layout %v, want %s", d.Layout(), want.Layout))
	}
	if want.Layout != "" && !slices.Equal(d.Chunks(), want.Chunks) {
		problems = append(problems, errs.Errorf("chunks %v, want %v", d.Chunks(), want.Chunks))
	}
	if want.Filters != nil {
		var names []string
		for _, f := range d.Filters() {
			names = append(names, f.Name)
		}
		if !slices.Equal(names, *want.Filters) {
			problems = append(problems, errs.Errorf("filters %q, want %q", names, *want.Filters))
		}
	}
	if want.MaxDims != nil {
		var max []uint64
		for _, m := range want.MaxDims {
			if m == nil {
				max = append(max, hdf5.Unlimited)
			} else {
				max = append(max, *m)
			}
		}
		if !slices.Equal(d.MaxDims(), max) {
			problems = append(problems, errs.Errorf("maximum dims %v, want %v", d.MaxDims(), max))
		}
	}
	if want.Summary != nil {
		problems = append(problems, compareSummary(d, want.Summary))
	} else {
		problems = append(problems, compareValue(d, want.Value))
	}
	return errors.Join(problems...)
}
