// Package cpuid says which vector instruction sets the processor at hand has.
package cpuid

import (
	"fmt"
	"os"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// EnvVar names the environment variable that FromEnv reads.
const EnvVar = "NNRT_CPU"

// A Level is a family of kernels that a processor can run.
type Level uint8

// The levels, from the one that every processor has upward. AVX2 and AVX512 are levels
// of amd64 only and order as they read; NEON is the one of arm64.
const (
	Generic Level = iota // plain Go
	AVX2                 // AVX2, FMA3, F16C
	AVX512               // AVX2 and AVX-512 F, BW, CD, DQ, VL
	NEON                 // ASIMD
)

var levelNames = [...]string{Generic: "generic", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the name that Parse reads.
//
//go:noinline
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// Features are the optional instructions beside a Level that kernels ask about.
type Features struct {
	VNNI bool // AVX-512 VNNI: u8 x s8 dot products into s32
}

// Detect returns the highest level of this processor and its optional features.
func Detect() (Level, Features) { return detect() }

// Has reports whether this processor runs kernels of level l.
func Has(l Level) bool {
	best, _ := Detect()
	switch l {
	case Generic:
		return true
	case AVX2:
		return best == AVX2 || best == AVX512
	default:
		return best == l
	}
}

// Parse returns the level named s ("generic", "avx2", "avx512", "neon"; "" and "auto" are the best one)
// and an error if there is no such level or this processor lacks it.
func Parse(s string) (Level, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	best, _ := Detect()
	if s == "" || s == "auto" {
		return best, nil
	}
	for l, name := range levelNames {
		if s != name {
			continue
		}
		if !Has(Level(l)) {
			return Generic, errs.Errorf("cpu level %q: this processor's best is %q", s, best)
		}
		return Level(l), nil
	}
	return Generic, errs.Errorf("cpu level %q: want one of auto, %s", s, strings.Join(levelNames[:], ", "))
}

// FromEnv returns the level that NNRT_CPU names, the best one if it is unset.
func FromEnv() (Level, error) {
	l, err := Parse(os.Getenv(EnvVar))
	if err != nil {
		return Generic, errs.Errorf("%s: %w", EnvVar, err)
	}
	return l, nil
}
