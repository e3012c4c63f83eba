package main

import (
	"bytes"
	"fmt"
	"strings"
)

// neon writes the arm64 kernels. Go's assembler knows few vector instructions on floats: those it lacks are given as words, with
// what they are beside them.
type neon struct{ *asm }

func newNeonFile() *asm {
	a := &asm{}
	a.buf = *bytes.NewBufferString(strings.ReplaceAll(newFile().buf.String(), "amd64", "arm64"))
	return a
}

func genNeon(a *asm) {
	n := neon{a}
	n.gemm()
	for _, f := range neonStreams {
		n.stream(f.name, f.in, f.params, f.body)
	}
	for _, f := range neonSums {
		n.reduce(f.name, f.in, f.body, f.join)
	}
	n.depthwise()
}

// three emits an instruction on four floats in each register: d = x op y.
func (n neon) three(name string, code uint32, d, x, y int) {
	n.p("WORD $%#08x // %s V%d.4S, V%d.4S, V%d.4S", code|uint32(y)<<16|uint32(x)<<5|uint32(d), name, d, x, y)
}

func (n neon) fadd(d, x, y int) { n.three("FADD", 0x4e20d400, d, x, y) }
func (n neon) fsub(d, x, y int) { n.three("FSUB", 0x4ea0d400, d, x, y) }
func (n neon) fmul(d, x, y int) { n.three("FMUL", 0x6e20dc00, d, x, y) }
func (n neon) fdiv(d, x, y int) { n.three("FDIV", 0x6e20fc00, d, x, y) }
func (n neon) fmax(d, x, y int) { n.three("FMAX", 0x4e20f400, d, x, y) } // NaN if either is
func (n neon) fmin(d, x, y int) { n.three("FMIN", 0x4ea0f400, d, x, y) }
func (n neon) fmla(d, x, y int) { n.three("FMLA", 0x4e20cc00, d, x, y) } // d += x·y

// fmlaBy emits d += x·y[lane].
func (n neon) fmlaBy(d, x, y, lane int) {
	code := uint32(0x4f801000) | uint32(lane&1)<<21 | uint32(lane>>1)<<11 | uint32(y)<<16 | uint32(x)<<5 | uint32(d)
	n.p("WORD $%#08x // FMLA V%d.4S, V%d.4S, V%d.S[%d]", code, d, x, y, lane)
}

// neonRows is the heights of the register tile, which has two vectors of columns.
var neonRows = []int{8, 4, 2, 1}

// gemm writes func gemmTileNEON(m, k int, a *float32, lda int, b, c *float32, ldc, acc int) for m of neonRows. Strides are in
// bytes; acc adds to C.
func (n neon) gemm() {
	n.text("gemmTileNEON", 0, 64, "func gemmTileNEON(m, k int, a *float32, lda int, b, c *float32, ldc, acc int)")
	for i, s := range []string{"m", "k", "a", "lda", "b", "c", "ldc", "acc"} {
		n.p("MOVD %s+%d(FP), R%d", s, 8*i, []int{12, 0, 4, 1, 2, 3, 13, 14}[i])
	}
	for _, m := range neonRows[:len(neonRows)-1] {
		n.p("CMP $%d, R12", m)
		n.p("BEQ rows%d", m)
	}
	for i := len(neonRows) - 1; i >= 0; i-- {
		n.gemmRows(neonRows[i])
	}
}

func (n neon) gemmRows(m int) {
	n.label(fmt.Sprintf("rows%d", m))
	for i := 1; i < m; i++ {
		n.p("ADD R1, R%d, R%d", 3+i, 4+i)
	}
	for i := range 2 * m {
		n.p("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	loop, tail, last, done, store := n.fresh("loop"), n.fresh("tail"), n.fresh("last"), n.fresh("done"), n.fresh("store")
	n.p("SUBS $4, R0, R0")
	n.p("BLT %s", tail)
	n.label(loop)
	for i := range m {
		n.p("VLD1.P 16(R%d), [V%d.S4]", 4+i, 24+i)
	}
	n.p("VLD1.P 64(R2), [V16.S4, V17.S4, V18.S4, V19.S4]")
	n.p("VLD1.P 64(R2), [V20.S4, V21.S4, V22.S4, V23.S4]")
	for p := range 4 {
		for i := range m {
			n.fmlaBy(2*i, 16+2*p, 24+i, p)
			n.fmlaBy(2*i+1, 17+2*p, 24+i, p)
		}
	}
	n.p("SUBS $4, R0, R0")
	n.p("BGE %s", loop)
	n.label(tail)
	n.p("ADDS $4, R0, R0")
	n.p("BEQ %s", done)
	n.label(last)
	n.p("VLD1.P 32(R2), [V16.S4, V17.S4]")
	for i := range m {
		n.p("VLD1R.P 4(R%d), [V%d.S4]", 4+i, 24+i)
		n.fmlaBy(2*i, 16, 24+i, 0)
		n.fmlaBy(2*i+1, 17, 24+i, 0)
	}
	n.p("SUBS $1, R0, R0")
	n.p("BNE %s", last)
	n.label(done)
	n.p("CBZ R14, %s", store)
	n.p("MOVD R3, R15")
	for i := range m {
		n.p("VLD1 (R15), [V16.S4, V17.S4]")
		n.fadd(2*i, 2*i, 16)
		n.fadd(2*i+1, 2*i+1, 17)
		n.p("ADD R13, R15, R15")
	}
	n.label(store)
	for i := range m {
		n.p("VST1 [V%d.S4, V%d.S4], (R3)", 2*i, 2*i+1)
		n.p("ADD R13, R3, R3")
	}
	n.p("RET")
}

// neonStreams lists functions element by element: operands are in V0, V1 and V2, parameters in V30 and V31, the result goes to V0.
var neonStreams = []struct {
	name   string
	in     int
	params bool
	body   func(n neon)
}{
	{"Add", 2, false, func(n neon) { n.fadd(0, 0, 1) }},
	{"Sub", 2, false, func(n neon) { n.fsub(0, 0, 1) }},
	{"Mul", 2, false, func(n neon) { n.fmul(0, 0, 1) }},
	{"Div", 2, false, func(n neon) { n.fdiv(0, 0, 1) }},
	{"Max", 2, false, func(n neon) { n.fmax(0, 0, 1) }},
	{"Min", 2, false, func(n neon) { n.fmin(0, 0, 1) }},
	{"MulAdd", 3, false, func(n neon) { n.fmla(2, 0, 1); n.p("VORR V2.B16, V2.B16, V0.B16") }},
	{"MulAddClip", 3, true, func(n neon) { n.fmla(2, 0, 1); n.fmax(0, 2, 30); n.fmin(0, 0, 31) }},
	{"Normalize", 3, true, func(n neon) {
		n.fsub(0, 0, 30)
		n.fmul(0, 0, 31)
		n.fmla(2, 0, 1)
		n.p("VORR V2.B16, V2.B16, V0.B16")
	}},
	{"AddClip", 2, true, func(n neon) { n.fadd(0, 0, 1); n.fmax(0, 0, 30); n.fmin(0, 0, 31) }},
	{"Axpy", 2, true, func(n neon) { n.fmla(0, 1, 30) }},
	{"Clip", 1, true, func(n neon) { n.fmax(0, 0, 30); n.fmin(0, 0, 31) }},
	{"ScaleShift", 1, true, func(n neon) {
		n.fmul(0, 0, 30)
		n.fadd(0, 0, 31)
	}},
	{"AddS", 1, true, func(n neon) { n.fadd(0, 0, 30) }},
	{"MulS", 1, true, func(n neon) { n.fmul(0, 0, 30) }},
	{"SubFrom", 1, true, func(n neon) { n.fsub(0, 30, 0) }},
	{"DivFrom", 1, true, func(n neon) { n.fdiv(0, 30, 0) }},
	{"DivBy", 1, true, func(n neon) { n.fdiv(0, 0, 30) }},
}

// stream writes func n<name>NEON(dst, x[, y, z] *float32, n int[, a, b float32]): n is a positive multiple of four.
func (n neon) stream(name string, in int, params bool, body func(neon)) {
	sig, size := "dst", 8*(in+2)
	for _, s := range []string{"x", "y", "z"}[:in] {
		sig += ", " + s
	}
	sig += " *float32, n int"
	if params {
		sig, size = sig+", a, b float32", size+8
	}
	n.text("n"+name+"NEON", 0, size, "func n"+name+"NEON("+sig+")")
	n.p("MOVD dst+0(FP), R0")
	for i, s := range []string{"x", "y", "z"}[:in] {
		n.p("MOVD %s+%d(FP), R%d", s, 8+8*i, 1+i)
	}
	n.p("MOVD n+%d(FP), R4", 8+8*in)
	if params {
		n.p("MOVW a+%d(FP), R5", 16+8*in)
		n.p("VDUP R5, V30.S4")
		n.p("MOVW b+%d(FP), R5", 20+8*in)
		n.p("VDUP R5, V31.S4")
	}
	n.label("loop")
	for i := range in {
		n.p("VLD1.P 16(R%d), [V%d.S4]", 1+i, i)
	}
	body(n)
	n.p("VST1.P [V0.S4], 16(R0)")
	n.p("SUBS $4, R4, R4")
	n.p("BGT loop")
	n.p("RET")
}

// neonSums lists reductions: V0 to V3 accumulate, operands are in V4+i and V8+i, the parameter in V30.
var neonSums = []struct {
	name string
	in   int
	body func(n neon, i int)
	join func(n neon, d, x int)
}{
	{"Sum", 1, func(n neon, i int) { n.fadd(i, i, 4+i) }, func(n neon, d, x int) { n.fadd(d, d, x) }},
	{"SumSqDev", 1, func(n neon, i int) { n.fsub(4+i, 4+i, 30); n.fmla(i, 4+i, 4+i) }, func(n neon, d, x int) { n.fadd(d, d, x) }},
	{"Dot", 2, func(n neon, i int) { n.fmla(i, 4+i, 8+i) }, func(n neon, d, x int) { n.fadd(d, d, x) }},
	{"MaxOf", 1, func(n neon, i int) { n.fmax(i, i, 4+i) }, func(n neon, d, x int) { n.fmax(d, d, x) }},
}

// reduce writes func n<name>NEON(out, x[, y] *float32, n int, a float32): out holds four partial results, which are where all
// sixteen start. n is a positive multiple of sixteen.
func (n neon) reduce(name string, in int, body func(neon, int), join func(neon, int, int)) {
	sig := "out, " + strings.Join([]string{"x", "y"}[:in], ", ") + " *float32, n int, a float32"
	n.text("n"+name+"NEON", 0, 8*(in+2)+4, "func n"+name+"NEON("+sig+")")
	n.p("MOVD out+0(FP), R0")
	for i, s := range []string{"x", "y"}[:in] {
		n.p("MOVD %s+%d(FP), R%d", s, 8+8*i, 1+i)
	}
	n.p("MOVD n+%d(FP), R4", 8+8*in)
	n.p("MOVW a+%d(FP), R5", 16+8*in)
	n.p("VDUP R5, V30.S4")
	for i := range 4 {
		if i == 0 || name == "MaxOf" {
			n.p("VLD1 (R0), [V%d.S4]", i)
		} else {
			n.p("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
		}
	}
	n.label("loop")
	n.p("VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]")
	if in == 2 {
		n.p("VLD1.P 64(R2), [V8.S4, V9.S4, V10.S4, V11.S4]")
	}
	for i := range 4 {
		body(n, i)
	}
	n.p("SUBS $16, R4, R4")
	n.p("BGT loop")
	join(n, 0, 1)
	join(n, 2, 3)
	join(n, 0, 2)
	n.p("VST1 [V0.S4], (R0)")
	n.p("RET")
}

// depthwise writes func dwTapsNEON(dst, x, w *float32, taps *int, ntaps int, bias *float32, lo, hi float32): one pixel of sixteen channels;
// taps are pairs of offsets in elements.
func (n neon) depthwise() {
	n.text("dwTapsNEON", 0, 56, "func dwTapsNEON(dst, x, w *float32, taps *int, ntaps int, bias *float32, lo, hi float32)")
	for i, s := range []string{"dst", "x", "w", "taps", "ntaps", "bias"} {
		n.p("MOVD %s+%d(FP), R%d", s, 8*i, i)
	}
	n.p("MOVW lo+48(FP), R6")
	n.p("VDUP R6, V30.S4")
	n.p("MOVW hi+52(FP), R6")
	n.p("VDUP R6, V31.S4")
	n.p("VLD1 (R5), [V0.S4, V1.S4, V2.S4, V3.S4]")
	n.label("loop")
	n.p("LDP.P 16(R3), (R6, R7)")
	n.p("ADD R6<<2, R1, R6")
	n.p("ADD R7<<2, R2, R7")
	n.p("VLD1 (R6), [V4.S4, V5.S4, V6.S4, V7.S4]")
	n.p("VLD1 (R7), [V8.S4, V9.S4, V10.S4, V11.S4]")
	for i := range 4 {
		n.fmla(i, 4+i, 8+i)
	}
	n.p("SUBS $1, R4, R4")
	n.p("BNE loop")
	for i := range 4 {
		n.fmax(i, i, 30)
		n.fmin(i, i, 31)
	}
	n.p("VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)")
	n.p("RET")
}
