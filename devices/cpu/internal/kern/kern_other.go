//go:build noasm || !(amd64 || arm64)

package kern

import "github.com/nnrt/nnrt/internal/cpuid"

func addLevel(*Set, cpuid.Level) {}
