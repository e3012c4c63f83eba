package conformance

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/layers"
	"github.com/stretchr/testify/require"
)

// TestKerasGoldens runs the recorded Keras models on the reference device. NNRT_CASES selects some of them, NNRT_SUITE another folder.
func TestKerasGoldens(t *testing.T) {
	data := os.Getenv("NNRT_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared")
	}
	dir := filepath.Join(data, "keras-golden", "inference")
	if s := os.Getenv("NNRT_SUITE"); s != "" {
		dir = filepath.Join(data, s)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no %s", dir)
	}
	opts := Options{Device: ref.New(), Suites: []Suite{KerasSuite{}, KerasModelSuite{}, ApplicationSuite{}}, Timeout: time.Minute}
	match := os.Getenv("NNRT_CASES")
	if match == "" && testing.Short() {
		match = "/(act_|conv2d_|lstm|gru|model_|keras2_)"
	}
	if match != "" {
		opts.Match = regexp.MustCompile(match)
	}
	report, err := Run(context.Background(), []string{dir}, opts)
	require.NoError(t, err)
	for _, r := range report.Results {
		if r.Status != Passed && r.Status != Skipped {
			t.Errorf("%s: %s: %s", r.Case, r.Status, r.Reason)
		}
	}
	t.Log(report.Counts())
}

// TestKerasScan runs the masked recurrent cases with their time steps in a Scan instead of written out.
func TestKerasScan(t *testing.T) {
	data := os.Getenv("NNRT_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared")
	}
	dirs, err := filepath.Glob(filepath.Join(data, "keras-golden", "inference", "*mask*"))
	require.NoError(t, err)
	if len(dirs) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("no recorded cases")
		}
		t.Skip("no recorded cases")
	}
	scans := 0
	for _, dir := range dirs {
		f, err := keras.ReadFile(filepath.Join(dir, "model.keras"), keras.Options{})
		if err != nil {
			continue // a case of another layout
		}
		g, err := f.Model.Graph(layers.Options{MaxUnroll: 1})
		require.NoError(t, err, dir)
		for _, n := range g.Nodes {
			if n.Op.Name() == "Scan" {
				scans++
			}
		}
		in, err := readNpz(filepath.Join(dir, "inputs.npz"))
		require.NoError(t, err)
		want, err := readNpz(filepath.Join(dir, "outputs.npz"))
		require.NoError(t, err)
		args, err := kerasInputs(g, in)
		require.NoError(t, err)
		p, err := (&Check{Device: ref.New()}).compile(g)
		require.NoError(t, err, dir)
		got, err := p.run(context.Background(), args)
		require.NoError(t, err, dir)
		check := &Check{}
		require.NoError(t, check.Tensor(dir, asTensor(got[0]), want["output_0"], Tolerance{Abs: 1e-5, Rel: 1e-5}))
	}
	require.Positive(t, scans)
}
