package conformance

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nnrt/nnrt/devices/ref"
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
