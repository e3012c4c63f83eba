package conformance_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/tensor"
)

// fake is a suite whose cases end in every way.
type fake struct{}

func (fake) Name() string { return "fake" }

func (fake) Cases(dir string, entries []fs.DirEntry) ([]conformance.Case, error) {
	for _, e := range entries {
		if e.Name() == "here" {
			same := func(c *conformance.Check) error {
				return c.Tensor("y", tensor.Of([]float32{1}), tensor.Of([]float32{1}), conformance.Tolerance{})
			}
			var out []conformance.Case
			for name, f := range map[string]func(c *conformance.Check) error{
				"good":     same,
				"nothing":  func(*conformance.Check) error { return nil },
				"panics":   func(*conformance.Check) error { panic("oops") },
				"skips":    func(*conformance.Check) error { return conformance.Skip("not today: ") },
				"unknown":  func(*conformance.Check) error { return fmt.Errorf("no such op: %w", errors.ErrUnsupported) },
				"listed":   func(*conformance.Check) error { return errors.New("numbers differ") },
				"mended":   same,
				"lucky":    same,
				"mistaken": func(*conformance.Check) error { return errors.New("numbers\ndiffer") },
			} {
				out = append(out, conformance.Case{Suite: "fake", Name: name, Run: func(_ context.Context, c *conformance.Check) error { return f(c) }})
			}
			return out, nil
		}
	}
	return nil, nil
}

func TestRunStatuses(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "here"), nil, 0o644))
	expected, err := conformance.ParseExpected("# comment\n\nfake/listed  a reason\nfake/mended a reason\n?fake/lucky a draw\n")
	require.NoError(t, err)
	r, err := conformance.Run(context.Background(), []string{dir}, conformance.Options{Device: ref.New(),
		Suites: []conformance.Suite{fake{}}, Expected: expected})
	require.NoError(t, err)
	got := map[string]string{}
	for _, x := range r.Results {
		got[x.Case] = string(x.Status) + ": " + strings.SplitN(x.Reason, " at ", 2)[0]
	}
	require.Equal(t, map[string]string{
		"good":     "passed: ",
		"nothing":  "failed: nothing was compared",
		"panics":   "failed: panic: oops",
		"skips":    "skipped: not today: ",
		"unknown":  "unsupported: no such op: unsupported operation",
		"listed":   "skipped: expected to fail: a reason: numbers differ",
		"mended":   "failed: passes, but is listed as a known failure: a reason",
		"lucky":    "skipped: passes by chance: a draw",
		"mistaken": "failed: numbers differ",
	}, got)
	require.Equal(t, "1 passed, 4 failed, 1 unsupported, 3 skipped", r.Counts().String())
	var text, lines, page bytes.Buffer
	require.NoError(t, r.WriteText(&text, false))
	require.Contains(t, text.String(), "in all: 1 passed, 4 failed, 1 unsupported, 3 skipped\n")
	require.NoError(t, r.WriteJSON(&lines))
	var one map[string]any
	require.NoError(t, json.Unmarshal(bytes.SplitN(lines.Bytes(), []byte("\n"), 2)[0], &one))
	require.Equal(t, map[string]any{"suite": "fake", "case": "good", "status": "passed", "reason": "", "max_abs": 0.0, "max_rel": 0.0}, one)
	require.NoError(t, r.WriteMarkdown(&page))
	require.Contains(t, page.String(), "| fake/panics | panic: oops")
	r, err = conformance.Run(context.Background(), []string{dir}, conformance.Options{Device: ref.New(),
		Suites: []conformance.Suite{fake{}}, Match: regexp.MustCompile("^fake/go")})
	require.NoError(t, err)
	require.Len(t, r.Results, 1)
}

func TestExpectedNeedsReason(t *testing.T) {
	_, err := conformance.ParseExpected("suite/case\n")
	require.ErrorContains(t, err, "has no reason")
}

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tc := range []struct {
		name      string
		got, want tensor.Value
		ok        bool
	}{
		{"equal", tensor.Of([]float32{1, nan, inf}), tensor.Of([]float32{1, nan, inf}), true},
		{"within", tensor.Of([]float32{1.0009}), tensor.Of([]float32{1}), true},
		{"beyond", tensor.Of([]float32{1.0011}), tensor.Of([]float32{1}), false},
		{"nan for a number", tensor.Of([]float32{nan}), tensor.Of([]float32{1}), false},
		{"a number for nan", tensor.Of([]float32{1}), tensor.Of([]float32{nan}), false},
		{"infinity's sign", tensor.Of([]float32{inf}), tensor.Of([]float32{-inf}), false},
		{"a number for infinity", tensor.Of([]float32{1}), tensor.Of([]float32{inf}), false},
		{"shape", tensor.Of([]float32{1}), tensor.Scalar(float32(1)), false},
		{"type", tensor.Of([]float64{1}), tensor.Of([]float32{1}), false},
		{"sequence", &tensor.Sequence{Elems: []tensor.Value{tensor.Of([]int64{1})}}, &tensor.Sequence{Elems: []tensor.Value{tensor.Of([]int64{1})}}, true},
		{"longer", &tensor.Sequence{Elems: []tensor.Value{tensor.Of([]int64{1})}}, &tensor.Sequence{}, false},
		{"empty optional", &tensor.Optional{}, &tensor.Optional{}, true},
		{"full optional", &tensor.Optional{Elem: tensor.Of([]int64{1})}, &tensor.Optional{}, false},
		{"nothing", nil, tensor.Of([]int64{1}), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &conformance.Check{}
			err := c.Compare("y", tc.got, tc.want, conformance.Tolerance{Abs: 1e-7, Rel: 1e-3})
			require.Equal(t, tc.ok, err == nil, "%v", err)
		})
	}
}

// TestArchiveEscape: an archive can't write outside the folder that it is unpacked to.
func TestArchiveEscape(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "../../escaped", Typeflag: tar.TypeReg, Size: 1, Mode: 0o644}))
	_, err := w.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	name := filepath.Join(t.TempDir(), "a.tar.gz")
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o644))
	_, err = conformance.Run(context.Background(), []string{name}, conformance.Options{Device: ref.New()})
	require.Error(t, err)
}

// TestONNXSuites runs every ONNX case on the reference device: all pass, but for those on the list.
func TestONNXSuites(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	paths := []string{testdata.Dir(t, "onnx-backend"), testdata.Dir(t, "models")}
	r, err := conformance.Run(context.Background(), paths, conformance.Options{Device: ref.New(),
		Suites: []conformance.Suite{conformance.BackendSuite{}, conformance.ModelSuite{}}})
	require.NoError(t, err)
	t.Log(r.Counts())
	require.Greater(t, r.Counts().Passed, 1500)
	for _, x := range r.Results {
		if x.Status == conformance.Failed || x.Status == conformance.Unsupported {
			t.Errorf("%s/%s: %s: %s", x.Suite, x.Case, x.Status, x.Reason)
		}
	}
}
