//go:build arm64 && !noasm

package cpuid

// ASIMD is part of the arm64 baseline.
func detect() (Level, Features) { return NEON, Features{} }
