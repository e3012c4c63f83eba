package main

import (
	"fmt"
	"math"
)

func genSpatial(a *asm) {
	for _, s := range []isa{avx2, avx512} {
		v := vm{a, s}
		for _, k := range []string{"dw", "max", "sum"} {
			v.taps(k)
		}
		v.wino("winoIn4", 6, 6, v.in4)
		v.wino("winoIn2", 4, 4, v.in2)
		v.winoWeights("winoW4", 6, v.w4)
		v.winoWeights("winoW2", 4, v.w2)
		v.winoOut("winoOut4", 6, 4, v.out4)
		v.winoOut("winoOut2", 4, 2, v.out2)
	}
	// Constants of their own: names are local to a file.
	pool.emit(a)
}

// taps writes func <kind>Taps<ISA>(npix, nv int, dst *float32, dstStride int, x *float32, xStride int, w *float32,
// taps *int, ntaps int, bias *float32, lo, hi float32, mask int): pixels of nv registers of channels, each
// combined from ntaps places. taps has pairs of offsets, in elements, from x and w.
func (v vm) taps(kind string) {
	fn := kind + "Taps" + v.isa.name
	v.text(fn, 0, 96, "func "+fn+"(npix, nv int, dst *float32, dstStride int, x *float32, xStride int, w *float32, taps *int, ntaps int, bias *float32, lo, hi float32, mask int)")
	v.p("MOVQ npix+0(FP), R9")
	v.p("MOVQ dst+16(FP), DX")
	v.p("MOVQ dstStride+24(FP), DI")
	v.p("MOVQ x+32(FP), AX")
	v.p("MOVQ xStride+40(FP), SI")
	v.p("LEAQ (SI)(SI*2), R11")
	v.p("MOVQ w+48(FP), R8")
	v.p("MOVQ taps+56(FP), R12")
	v.p("MOVQ ntaps+64(FP), R13")
	if v.name == "AVX512" {
		v.p("MOVQ mask+88(FP), R10")
		v.p("KMOVW R10, K1")
		v.p("SHRQ $16, R10")
		v.p("KMOVW R10, K2")
	}
	v.p("VBROADCASTSS lo+80(FP), %s", v.r(v.nregs-1))
	v.p("VBROADCASTSS hi+84(FP), %s", v.r(v.nregs-2))
	v.p("CMPQ nv+8(FP), $2")
	v.p("JEQ two4")
	for nv, name := range []string{1: "one", 2: "two"} {
		if nv == 0 {
			continue
		}
		for _, p := range []int{4, 2, 1} {
			v.tapGroup(kind, name, p, nv)
		}
		v.label(name + "0")
		v.p("VZEROUPPER")
		v.p("RET")
	}
}

func (v vm) tapGroup(kind, name string, p, nv int) {
	next := map[int]int{4: 2, 2: 1, 1: 0}[p]
	here := fmt.Sprintf("%s%d", name, p)
	v.label(here)
	v.p("CMPQ R9, $%d", p)
	v.p("JLT %s%d", name, next)
	acc := func(i, c int) int { return i*nv + c }
	masked := func(c int) string {
		if v.name == "AVX512" {
			return fmt.Sprintf(", K%d", c+1)
		}
		return ""
	}
	masking := func(c int) string {
		if v.name == "AVX512" {
			return fmt.Sprintf("K%d, ", c+1)
		}
		return ""
	}
	zero := ""
	if v.name == "AVX512" {
		zero = ".Z"
	}
	switch kind {
	case "dw":
		v.p("MOVQ bias+72(FP), R10")
		for c := range nv {
			v.p("VMOVUPS%s %d(R10)%s, %s", zero, c*v.width, masked(c), v.r(acc(0, c)))
		}
		for i := 1; i < p; i++ {
			for c := range nv {
				v.mov(acc(0, c), acc(i, c))
			}
		}
	case "max":
		for i := range p * nv {
			v.set(f(math.Inf(-1)), i)
		}
	case "sum":
		for i := range p * nv {
			r := v.r(i)
			v.p("VXORPS %s, %s, %s", r, r, r)
		}
	}
	loop := here + "taps"
	v.p("MOVQ R12, BX")
	v.p("MOVQ R13, CX")
	v.label(loop)
	v.p("MOVQ (BX), R10")
	v.p("LEAQ (AX)(R10*4), R10")
	if kind == "dw" {
		v.p("MOVQ 8(BX), R15")
		for c := range nv {
			v.p("VMOVUPS%s %d(R8)(R15*4)%s, %s", zero, c*v.width, masked(c), v.r(8+c))
		}
	}
	v.p("ADDQ $16, BX")
	for i := range p {
		for c := range nv {
			off := c * v.width
			mem := [...]string{fmt.Sprintf("%d(R10)", off), fmt.Sprintf("%d(R10)(SI*1)", off), fmt.Sprintf("%d(R10)(SI*2)", off), fmt.Sprintf("%d(R10)(R11*1)", off)}[i]
			switch kind {
			case "dw":
				v.p("VFMADD231PS %s, %s, %s%s", mem, v.r(8+c), masking(c), v.r(acc(i, c)))
			case "max":
				v.p("VMAXPS %s, %s, %s%s", mem, v.r(acc(i, c)), masking(c), v.r(acc(i, c)))
			case "sum":
				v.p("VADDPS %s, %s, %s%s", mem, v.r(acc(i, c)), masking(c), v.r(acc(i, c)))
			}
		}
	}
	v.p("DECQ CX")
	v.p("JNE %s", loop)
	for i := range p {
		for c := range nv {
			r := acc(i, c)
			switch kind {
			case "dw":
				v.maxx(r, v.nregs-1, r)
				v.minx(r, v.nregs-2, r)
			case "sum":
				v.mul(v.nregs-1, r, r)
			}
			v.p("VMOVUPS %s, %s%d(DX)", v.r(r), masking(c), c*v.width)
		}
		v.p("ADDQ DI, DX")
	}
	switch p {
	case 4:
		v.p("LEAQ (AX)(SI*4), AX")
	case 2:
		v.p("LEAQ (AX)(SI*2), AX")
	case 1:
		v.p("ADDQ SI, AX")
	}
	v.p("SUBQ $%d, R9", p)
	v.p("JMP %s", here)
}

// The one-dimensional transforms take registers 0 to n-1 and leave their results in the registers that they return.

func (v vm) in4() []int {
	// B^T of F(4x4, 3x3) with points 0, 1, -1, 2, -2, inf.
	v.set(f(4), 14)
	v.set(f(5), 15)
	// t0 = 4 d0 - 5 d2 + d4
	v.mov(4, 6)
	v.fmaAcc(14, 0, 6)
	v.fnma(15, 2, 6)
	// a = d4 - 4 d2, b = d3 - 4 d1
	v.mov(4, 7)
	v.fnma(14, 2, 7)
	v.mov(3, 8)
	v.fnma(14, 1, 8)
	v.add(8, 7, 9)  // t1
	v.sub(8, 7, 10) // t2
	// c = d4 - d2, e = 2 (d3 - d1)
	v.sub(2, 4, 7)
	v.sub(1, 3, 8)
	v.add(8, 8, 8)
	v.add(8, 7, 11) // t3
	v.sub(8, 7, 12) // t4
	// t5 = 4 d1 - 5 d3 + d5
	v.fmaAcc(14, 1, 5)
	v.fnma(15, 3, 5)
	return []int{6, 9, 10, 11, 12, 5}
}

func (v vm) in2() []int {
	v.sub(2, 0, 0) // d0 - d2
	v.add(2, 1, 4) // d1 + d2
	v.sub(1, 2, 5) // d2 - d1
	v.sub(3, 1, 6) // d1 - d3
	return []int{0, 4, 5, 6}
}

func (v vm) w4() []int {
	v.mul(f(0.25), 0, 3)
	v.add(2, 0, 4)
	v.mul(f(-1.0/6), 4, 4)
	v.mul(f(1.0/6), 1, 5)
	v.sub(5, 4, 6) // -(g0+g1+g2)/6
	v.add(5, 4, 7) // -(g0-g1+g2)/6
	v.mul(f(1.0/24), 0, 8)
	v.mul(f(1.0/6), 2, 9)
	v.add(9, 8, 8)
	v.mul(f(1.0/12), 1, 9)
	v.add(9, 8, 10)
	v.sub(9, 8, 11)
	return []int{3, 6, 7, 10, 11, 2}
}

func (v vm) w2() []int {
	v.add(2, 0, 3)
	v.mul(f(0.5), 3, 3)
	v.mul(f(0.5), 1, 4)
	v.add(4, 3, 5)
	v.sub(4, 3, 6)
	return []int{0, 5, 6, 2}
}

func (v vm) out4() []int {
	v.add(2, 1, 6) // p
	v.sub(2, 1, 7) // q = m1 - m2
	v.add(4, 3, 8) // r
	v.sub(4, 3, 9) // s
	v.add(6, 0, 0)
	v.add(8, 0, 0) // o0
	v.add(9, 9, 10)
	v.add(7, 10, 10) // o1 = q + 2 s
	v.set(f(4), 14)
	v.fmaAcc(14, 8, 6) // o2 = p + 4 r
	v.add(5, 7, 7)
	v.set(f(8), 14)
	v.fmaAcc(14, 9, 7) // o3 = q + 8 s + m5
	return []int{0, 10, 6, 7}
}

func (v vm) out2() []int {
	v.add(1, 0, 0)
	v.add(2, 0, 0)
	v.sub(2, 1, 1)
	v.sub(3, 1, 1)
	return []int{0, 1}
}

// wino writes func <name><ISA>(dst *float32, dstStride int, x *float32, rowStride, pixStride, nv int, tmp *float32): the
// input transform of one n x n patch for nv registers of channels, into n*n places dstStride bytes apart.
func (v vm) wino(name string, n, m int, t func() []int) {
	fn := name + v.isa.name
	v.text(fn, 0, 56, "func "+fn+"(dst *float32, dstStride int, x *float32, rowStride, pixStride, nv int, tmp *float32)")
	v.p("MOVQ dst+0(FP), DI")
	v.p("MOVQ dstStride+8(FP), R8")
	v.p("MOVQ x+16(FP), SI")
	v.p("MOVQ rowStride+24(FP), R9")
	v.p("MOVQ pixStride+32(FP), R10")
	v.p("MOVQ nv+40(FP), CX")
	v.p("MOVQ tmp+48(FP), R11")
	v.p("LEAQ (R9)(R9*2), R12")
	v.label("loop")
	v.p("MOVQ SI, AX")
	for j := range n {
		v.loadColumn(n)
		for i, r := range t() {
			v.p("VMOVUPS %s, %d(R11)", v.r(r), (i*n+j)*v.width)
		}
		if j < n-1 {
			v.p("ADDQ R10, AX")
		}
	}
	v.p("MOVQ DI, AX")
	for i := range m {
		for j := range n {
			v.p("VMOVUPS %d(R11), %s", (i*n+j)*v.width, v.r(j))
		}
		for _, r := range t() {
			v.p("VMOVUPS %s, (AX)", v.r(r))
			v.p("ADDQ R8, AX")
		}
	}
	v.p("ADDQ $%d, SI", v.width)
	v.p("ADDQ $%d, DI", v.width)
	v.p("DECQ CX")
	v.p("JNE loop")
	v.p("VZEROUPPER")
	v.p("RET")
}

// loadColumn loads n rows, R9 bytes apart (R12 is three times that), from AX on.
func (v vm) loadColumn(n int) {
	mem := []string{"(AX)", "(AX)(R9*1)", "(AX)(R9*2)", "(AX)(R12*1)", "(AX)(R9*4)", "(R13)(R9*4)"}
	if n > 5 {
		v.p("LEAQ (AX)(R9*1), R13")
	}
	for i := range n {
		v.p("VMOVUPS %s, %s", mem[i], v.r(i))
	}
}

// winoWeights writes func <name><ISA>(dst *float32, dstStride int, w *float32, wStride, nv, group int, tmp *float32): the transform of
// nv registers of 3 x 3 kernels. Those of a group, whose nine elements lie wStride bytes apart, are neighbours, and the next group
// follows the ninth element. The n*n results lie dstStride bytes apart.
func (v vm) winoWeights(name string, n int, t func() []int) {
	fn := name + v.isa.name
	v.text(fn, 0, 56, "func "+fn+"(dst *float32, dstStride int, w *float32, wStride, nv, group int, tmp *float32)")
	v.p("MOVQ dst+0(FP), DI")
	v.p("MOVQ dstStride+8(FP), R8")
	v.p("MOVQ w+16(FP), SI")
	v.p("MOVQ wStride+24(FP), R9")
	v.p("MOVQ nv+32(FP), CX")
	v.p("MOVQ group+40(FP), BX")
	v.p("MOVQ tmp+48(FP), R11")
	v.p("LEAQ (R9)(R9*2), R12")
	v.label("loop")
	v.p("MOVQ SI, AX")
	for i := range 3 {
		// Row i of the kernel: its three elements, transformed along the row.
		v.loadColumn(3)
		for j, r := range t() {
			v.p("VMOVUPS %s, %d(R11)", v.r(r), (i*n+j)*v.width)
		}
		v.p("ADDQ R12, AX")
	}
	v.p("IMUL3Q $%d, R8, DX", n)
	for j := range n {
		for i := range 3 {
			v.p("VMOVUPS %d(R11), %s", (i*n+j)*v.width, v.r(i))
		}
		// Results of column j go to j, n+j, 2n+j...
		v.p("MOVQ $%d, AX", j)
		v.p("IMULQ R8, AX")
		v.p("ADDQ DI, AX")
		for i, r := range t() {
			v.p("VMOVUPS %s, (AX)", v.r(r))
			if i < n-1 {
				v.p("ADDQ DX, AX")
			}
		}
	}
	v.p("ADDQ $%d, SI", v.width)
	v.p("ADDQ $%d, DI", v.width)
	v.p("DECQ BX")
	v.p("JNE same")
	v.p("MOVQ group+40(FP), BX")
	v.p("LEAQ (SI)(R9*8), SI")
	v.label("same")
	v.p("DECQ CX")
	v.p("JNE loop")
	v.p("VZEROUPPER")
	v.p("RET")
}

// winoOut writes func <name><ISA>(y *float32, rowStride, pixStride int, m *float32, mStride, nv int, bias *float32, lo, hi float32,
// tmp *float32): the output transform of n*n places mStride bytes apart into an o x o patch, plus bias, clamped.
func (v vm) winoOut(name string, n, o int, t func() []int) {
	fn := name + v.isa.name
	v.text(fn, 0, 72, "func "+fn+"(y *float32, rowStride, pixStride int, m *float32, mStride, nv int, bias *float32, lo, hi float32, tmp *float32)")
	v.p("MOVQ y+0(FP), DI")
	v.p("MOVQ rowStride+8(FP), R8")
	v.p("MOVQ pixStride+16(FP), R10")
	v.p("MOVQ m+24(FP), SI")
	v.p("MOVQ mStride+32(FP), BX")
	v.p("IMUL3Q $%d, BX, R9", n)
	v.p("LEAQ (R9)(R9*2), R12")
	v.p("MOVQ nv+40(FP), CX")
	v.p("MOVQ bias+48(FP), DX")
	v.p("MOVQ tmp+64(FP), R11")
	v.label("loop")
	v.p("MOVQ SI, AX")
	for j := range n {
		v.loadColumn(n)
		for i, r := range t() {
			v.p("VMOVUPS %s, %d(R11)", v.r(r), (i*n+j)*v.width)
		}
		if j < n-1 {
			v.p("ADDQ BX, AX")
		}
	}
	v.p("MOVQ DI, R13")
	for i := range o {
		for j := range n {
			v.p("VMOVUPS %d(R11), %s", (i*n+j)*v.width, v.r(j))
		}
		rs := t()
		v.p("VMOVUPS (DX), %s", v.r(13))
		v.p("VBROADCASTSS lo+56(FP), %s", v.r(14))
		v.p("VBROADCASTSS hi+60(FP), %s", v.r(15))
		v.p("MOVQ R13, AX")
		for j, r := range rs {
			v.add(13, r, r)
			v.maxx(r, 14, r)
			v.minx(r, 15, r)
			v.p("VMOVUPS %s, (AX)", v.r(r))
			if j < o-1 {
				v.p("ADDQ R10, AX")
			}
		}
		v.p("ADDQ R8, R13")
	}
	v.p("ADDQ $%d, SI", v.width)
	v.p("ADDQ $%d, DI", v.width)
	v.p("ADDQ $%d, DX", v.width)
	v.p("DECQ CX")
	v.p("JNE loop")
	v.p("VZEROUPPER")
	v.p("RET")
}
