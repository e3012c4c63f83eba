//go:build noasm || !(amd64 || arm64)

package cpuid

func detect() (Level, Features) { return Generic, Features{} }
