// Package testdata finds the shared conformance data for tests.
package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the shared data folder: NNRT_DATA, or ../shared beside the module. The test is skipped where
// there is none, and fails in CI.
func Dir(t testing.TB, elem ...string) string {
	t.Helper()
	p := filepath.Join(append([]string{Root()}, elem...)...)
	if _, err := os.Stat(p); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("conformance data %s is missing: %v", p, err)
		}
		t.Skipf("SKIPPED %s: no conformance data at %s (set NNRT_DATA)", t.Name(), p)
	}
	return p
}

// Root is the folder that Dir looks in, whether it exists or not.
func Root() string {
	if p := os.Getenv("NNRT_DATA"); p != "" {
		return p
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return filepath.Join(dir, "..", "shared")
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join("..", "shared")
}
