package keras

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/stretchr/testify/require"
)

// goldenDir is a folder of the shared data; tests that need it are skipped without.
func goldenDir(t testing.TB, parts ...string) string {
	t.Helper()
	data := os.Getenv("NNRT_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(append([]string{data}, parts...)...)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no %s", dir)
	}
	return dir
}

// text is a model's graph and weights: what decides every bit of its outputs.
func text(t testing.TB, m *layers.Model) (string, *graph.Graph) {
	t.Helper()
	g, err := m.Graph(layers.Options{})
	require.NoError(t, err)
	return g.String(), g
}

// TestRoundTrip writes every recorded model in each layout, reads it back, and wants the same graph with the
// same weights.
func TestRoundTrip(t *testing.T) {
	dir := goldenDir(t, "keras-golden", "inference")
	files, err := filepath.Glob(filepath.Join(dir, "*", "model.*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i, path := range files {
		if testing.Short() && i%7 != 0 {
			continue
		}
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		f, err := ReadFile(path, Options{})
		if err != nil {
			require.Equal(t, "model.h5", filepath.Base(path), "%s: %v", name, err)
			continue // a specimen that Keras can't read either: the conformance suites judge which
		}
		want, wg := text(t, f.Model)
		for _, layout := range []Layout{Archive, LegacyH5} {
			var b bytes.Buffer
			if err := Write(&b, f, layout, WriteOptions{Time: time.Unix(0, 0)}); err != nil {
				t.Errorf("%s: writing layout %d: %v", name, layout, err)
				continue
			}
			back, err := ReadBytes(b.Bytes(), Options{})
			if err != nil {
				t.Errorf("%s: reading layout %d back: %v", name, layout, err)
				continue
			}
			got, gg := text(t, back.Model)
			if got != want {
				t.Errorf("%s: layout %d: the graph differs:\n%s", name, layout, firstDifference(want, got))
				continue
			}
			require.Len(t, gg.Params, len(wg.Params))
			for k, p := range wg.Params {
				if !bytes.Equal(p.Data.Bytes(), gg.Params[k].Data.Bytes()) {
					t.Errorf("%s: layout %d: weight %s differs", name, layout, p.Name)
				}
			}
			require.Len(t, back.Optimizer, len(f.State()), name)
		}
	}
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range la {
		if i >= len(lb) || la[i] != lb[i] {
			other := ""
			if i < len(lb) {
				other = lb[i]
			}
			return la[i] + "\n" + other
		}
	}
	return "more lines"
}
