package lint

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoNetwork holds "no network, no telemetry": nothing in the library links a package that could open a connection, and
// of the command's own packages none imports one (cobra's flags know IP addresses).
func TestNoNetwork(t *testing.T) {
	network := func(imp string) bool { return imp == "net" || strings.HasPrefix(imp, "net/") || imp == "crypto/tls" }
	for pkg, imports := range packages(t) {
		for _, imp := range imports {
			if network(imp) {
				t.Errorf("%s imports %s", pkg, imp)
			}
		}
	}
	cmd := exec.Command("go", "list", "-deps", ".", "./train/...", "./pretrained/...", "./vision/...", "./job/...", "./bench", "./inspect", "./feed")
	cmd.Dir = moduleRoot(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, module)
	for _, dep := range deps {
		if network(dep) {
			t.Errorf("the library depends on %s", dep)
		}
	}
}
