//go:build amd64 && !noasm

package cpuid

import "golang.org/x/sys/cpu"

func detect() (Level, Features) {
	x := &cpu.X86
	// F16C has no flag in x/sys/cpu; every processor with AVX2 and FMA has it.
	if !x.HasAVX2 || !x.HasFMA {
		return Generic, Features{}
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512CD && x.HasAVX512DQ && x.HasAVX512VL {
		return AVX512, Features{VNNI: x.HasAVX512VNNI}
	}
	return AVX2, Features{}
}
