package main

import "fmt"

func genGemm(a *asm) {
	for _, s := range []isa{avx2, avx512} {
		gemmTile(a, s)
		peak(a, s)
	}
	transpose(a)
}

// transpose writes func transposeAVX2(dst *float32, dstStride int, src *float32, srcStride, n int, scale *float32): n blocks of eight
// elements of each of eight rows become the columns of dst, each times its factor. Strides are in bytes.
func transpose(a *asm) {
	a.text("transposeAVX2", 0, 48, "func transposeAVX2(dst *float32, dstStride int, src *float32, srcStride, n int, scale *float32)")
	a.p("MOVQ dst+0(FP), DI")
	a.p("MOVQ dstStride+8(FP), R8")
	a.p("MOVQ src+16(FP), SI")
	a.p("MOVQ srcStride+24(FP), R9")
	a.p("MOVQ n+32(FP), CX")
	a.p("MOVQ scale+40(FP), R10")
	a.p("LEAQ (R9)(R9*2), R11")
	a.label("loop")
	a.p("LEAQ (SI)(R9*4), R12")
	for i, mem := range []string{"(SI)", "(SI)(R9*1)", "(SI)(R9*2)", "(SI)(R11*1)", "(R12)", "(R12)(R9*1)", "(R12)(R9*2)", "(R12)(R11*1)"} {
		a.p("VMOVUPS %s, Y%d", mem, i)
	}
	for i := 0; i < 8; i += 2 {
		a.p("VUNPCKLPS Y%d, Y%d, Y%d", i+1, i, 8+i)
		a.p("VUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 9+i)
	}
	for i := 0; i < 8; i += 4 {
		a.p("VSHUFPS $0x44, Y%d, Y%d, Y%d", 10+i, 8+i, i)
		a.p("VSHUFPS $0xEE, Y%d, Y%d, Y%d", 10+i, 8+i, i+1)
		a.p("VSHUFPS $0x44, Y%d, Y%d, Y%d", 11+i, 9+i, i+2)
		a.p("VSHUFPS $0xEE, Y%d, Y%d, Y%d", 11+i, 9+i, i+3)
	}
	for i := range 8 {
		half := 0x20
		if i >= 4 {
			half = 0x31
		}
		a.p("VPERM2F128 $0x%x, Y%d, Y%d, Y8", half, i%4+4, i%4)
		a.p("VMULPS (R10), Y8, Y8")
		a.p("VMOVUPS Y8, (DI)")
		a.p("ADDQ R8, DI")
	}
	a.p("ADDQ $32, SI")
	a.p("DECQ CX")
	a.p("JNE loop")
	a.p("VZEROUPPER")
	a.p("RET")
}

// peakSets is how many independent sums peak keeps: more than the latency of an FMA times two a cycle.
const peakSets = 12

// peak writes func peak<ISA>(n int): n rounds of peakSets FMAs that depend on the round before alone.
func peak(a *asm, s isa) {
	a.text("peak"+s.name, 0, 8, "func peak"+s.name+"(n int)")
	a.p("MOVQ n+0(FP), CX")
	zero := "VXORPS"
	if s.name == "AVX512" {
		zero = "VPXORD"
	}
	for i := range peakSets + 2 {
		a.p("%s %s, %s, %s", zero, s.r(i), s.r(i), s.r(i))
	}
	a.label("loop")
	for i := range peakSets {
		a.p("VFMADD231PS %s, %s, %s", s.r(peakSets), s.r(peakSets+1), s.r(i))
	}
	a.p("DECQ CX")
	a.p("JNE loop")
	a.p("VZEROUPPER")
	a.p("RET")
}

// gemmTile writes func gemmTile<ISA>(m, nv, k int, a *float32, lda int, b *float32, c *float32, ldc int,
// bias, res *float32, ldr int, lo, hi float32, flags, mask, segs, skip int, pf *float32, pfLen int). Strides are in bytes. The
// product runs over segs segments of depth k; skip is how far the rows of a segment begin behind the end of the one before.
// pfLen bytes from pf on are fetched into the second-level cache on the way: what the next call multiplies by.
//
// The m rows are cut into register tiles, the last two of about equal height. There is one loop for each number of rows and
// of vectors. One row has too few accumulators to hide the latency of an FMA, so it splits k over several sets of them. All others
// add in the order of k, so that neither how rows are cut nor where columns end shows in what they come to.
func gemmTile(a *asm, s isa) {
	a.text("gemmTile"+s.name, 0, 144, "func gemmTile"+s.name+"(m, nv, k int, a *float32, lda int, b, c *float32, ldc int, bias, res *float32, ldr int, lo, hi float32, flags, mask, segs, skip int, pf *float32, pfLen int)")
	// Rows are reached from a base for every three of them.
	bases := []string{"AX", "BX", "CX", "DX", "SI"}
	if s.name == "AVX512" {
		a.p("MOVQ mask+104(FP), R10")
		a.p("KMOVW R10, K1")
		a.p("SHRQ $16, R10")
		a.p("KMOVW R10, K2")
	}
	a.p("MOVQ pf+128(FP), R15")
	a.p("ADDQ R15, pfLen+136(FP)")
	a.label("next")
	a.p("MOVQ m+0(FP), R11")
	a.p("CMPQ R11, $%d", s.rows)
	a.p("JLE rows")
	a.p("MOVQ $%d, R12", s.rows)
	if s.rows < 8 { // three tiles of at least four rows, as fewer wait for their sums
		a.p("CMPQ R11, $%d", 2*s.rows+1)
		a.p("JEQ less")
	}
	a.p("CMPQ R11, $%d", 2*s.rows)
	a.p("JGE cut")
	a.p("LEAQ 1(R11), R12")
	a.p("SHRQ $1, R12")
	if s.rows < 8 {
		a.p("JMP cut")
		a.label("less")
		a.p("DECQ R12")
	}
	a.label("cut")
	a.p("MOVQ R12, R11")
	a.label("rows")
	a.p("SUBQ R11, m+0(FP)")
	a.p("CMPQ R15, pfLen+136(FP)")
	a.p("JLT fetch")
	a.p("MOVQ pf+128(FP), R15")
	a.label("fetch")
	a.p("MOVQ a+24(FP), AX")
	a.p("MOVQ lda+32(FP), DI")
	a.p("MOVQ b+40(FP), R8")
	a.p("LEAQ (DI)(DI*2), R10")
	for g := 1; g*3 < s.rows; g++ {
		a.p("LEAQ (%s)(R10*1), %s", bases[g-1], bases[g])
	}
	a.p("MOVQ flags+96(FP), R13")
	a.p("MOVQ segs+112(FP), R10")
	lbl := func(nv, m int) string { return fmt.Sprintf("v%dm%d", nv, m) }
	a.p("CMPQ nv+8(FP), $2")
	a.p("JEQ two")
	dispatch(a, "R11", 1, s.rows, func(m int) string { return lbl(1, m) })
	a.label("two")
	dispatch(a, "R11", 1, s.rows, func(m int) string { return lbl(2, m) })
	for nv := 1; nv <= 2; nv++ {
		for m := s.rows; m >= 1; m-- {
			a.label(lbl(nv, m))
			gemmBody(a, s, m, nv, bases)
		}
	}
}

// dispatch jumps to label(v) for v in reg, lo <= v <= hi.
func dispatch(a *asm, reg string, lo, hi int, label func(int) string) {
	if lo == hi {
		a.p("JMP %s", label(lo))
		return
	}
	mid := (lo + hi + 1) / 2
	up := a.fresh("up")
	a.p("CMPQ %s, $%d", reg, mid)
	a.p("JGE %s", up)
	dispatch(a, reg, lo, mid-1, label)
	a.label(up)
	dispatch(a, reg, mid, hi, label)
}

func gemmBody(a *asm, s isa, m, nv int, bases []string) {
	nb := 2 // registers of B in flight
	acc := s.nregs - nb - 2
	sets := 1
	if m == 1 {
		sets = 4
	}
	unroll := 4
	row := func(i, off int) string {
		switch i % 3 {
		case 0:
			return fmt.Sprintf("%d(%s)", off, bases[i/3])
		case 1:
			return fmt.Sprintf("%d(%s)(DI*1)", off, bases[i/3])
		}
		return fmt.Sprintf("%d(%s)(DI*2)", off, bases[i/3])
	}
	accReg := func(set, i, v int) string { return s.r((set*m+i)*nv + v) }
	bReg := func(v int) string { return s.r(acc + v) }
	xReg := func(i int) string { return s.r(acc + 2 + i%2) }

	gemmStart(a, s, m, nv, sets, accReg)
	step := func(u, set int) {
		for v := range nv {
			a.p("VMOVUPS %d(R8), %s", (u*nv+v)*s.width, bReg(v))
		}
		for i := range m {
			if nv == 1 && s.name == "AVX512" {
				a.p("VFMADD231PS.BCST %s, %s, %s", row(i, u*4), bReg(0), accReg(set, i, 0))
				continue
			}
			a.p("VBROADCASTSS %s, %s", row(i, u*4), xReg(i))
			for v := range nv {
				a.p("VFMADD231PS %s, %s, %s", bReg(v), xReg(i), accReg(set, i, v))
			}
		}
	}
	// Lines of what comes next: a quarter of what a round reads of B, so that four tiles fetch as much as they use.
	fetch := func() {
		lines := unroll * 2 * s.width / 64 / 4
		for l := range lines {
			a.p("PREFETCHT1 %d(R15)", l*64)
		}
		a.p("ADDQ $%d, R15", lines*64)
	}
	advance := func(n int) {
		a.p("ADDQ $%d, R8", n*nv*s.width)
		for g := 0; g*3 < m; g++ {
			a.p("ADDQ $%d, %s", n*4, bases[g])
		}
	}
	loop, tail, tailLoop, done, segment, end := a.fresh("loop"), a.fresh("tail"), a.fresh("tailloop"), a.fresh("done"), a.fresh("segment"), a.fresh("end")
	a.label(segment)
	a.p("MOVQ k+16(FP), R9")
	a.p("SUBQ $%d, R9", unroll)
	a.p("JLT %s", tail)
	a.label(loop)
	fetch()
	for u := range unroll {
		step(u, u%sets)
	}
	advance(unroll)
	a.p("SUBQ $%d, R9", unroll)
	a.p("JGE %s", loop)
	a.label(tail)
	a.p("ADDQ $%d, R9", unroll)
	a.p("JLE %s", done)
	a.label(tailLoop)
	step(0, 0)
	advance(1)
	a.p("DECQ R9")
	a.p("JG %s", tailLoop)
	a.label(done)
	a.p("DECQ R10")
	a.p("JLE %s", end)
	a.p("MOVQ skip+120(FP), R11")
	for g := 0; g*3 < m; g++ {
		a.p("ADDQ R11, %s", bases[g])
	}
	a.p("JMP %s", segment)
	a.label(end)
	for set := sets - 1; set > 0; set-- {
		for i := range m {
			for v := range nv {
				a.p("VADDPS %s, %s, %s", accReg(set, i, v), accReg(set-1, i, v), accReg(set-1, i, v))
			}
		}
	}
	gemmEpilogue(a, s, m, nv, accReg)
}

// gemmStart fetches the rows that the epilogue reads and writes, and sets the accumulators to the bias, or to zero. Flag 2 asks
// for the bias, flag 4 says that there is a residual.
func gemmStart(a *asm, s isa, m, nv, sets int, acc func(set, i, v int) string) {
	noRes, noBias, done := a.fresh("nofetch"), a.fresh("nobias"), a.fresh("started")
	rows := func(op, base, stride string) {
		for i := range m {
			for l := 0; l < nv*s.width; l += 64 {
				a.p("%s %d(%s)", op, l, base)
			}
			if i < m-1 {
				a.p("ADDQ %s, %s", stride, base)
			}
		}
	}
	a.p("MOVQ c+48(FP), R12")
	a.p("MOVQ ldc+56(FP), R11")
	rows("PREFETCHT0", "R12", "R11")
	a.p("TESTQ $4, R13")
	a.p("JEQ %s", noRes)
	a.p("MOVQ res+72(FP), R12")
	a.p("MOVQ ldr+80(FP), R11")
	rows("PREFETCHT0", "R12", "R11")
	a.label(noRes)
	zero := "VXORPS"
	if s.name == "AVX512" {
		zero = "VPXORD"
	}
	for set := 1; set < sets; set++ {
		for i := range m {
			for v := range nv {
				r := acc(set, i, v)
				a.p("%s %s, %s, %s", zero, r, r, r)
			}
		}
	}
	a.p("TESTQ $2, R13")
	a.p("JEQ %s", noBias)
	a.p("MOVQ bias+64(FP), R12")
	for v := range nv {
		if s.name == "AVX512" {
			a.p("VMOVUPS.Z %d(R12), K%d, %s", v*s.width, v+1, acc(0, 0, v))
		} else {
			a.p("VMOVUPS %d(R12), %s", v*s.width, acc(0, 0, v))
		}
		for i := 1; i < m; i++ {
			a.p("VMOVAPS %s, %s", acc(0, 0, v), acc(0, i, v))
		}
	}
	a.p("JMP %s", done)
	a.label(noBias)
	for i := range m {
		for v := range nv {
			r := acc(0, i, v)
			a.p("%s %s, %s, %s", zero, r, r, r)
		}
	}
	a.label(done)
}

// gemmEpilogue adds what flags ask for to the accumulators, stores them and goes on with the next rows. Flags: 1 add C,
// 4 add the residual, 8 clamp to [lo, hi] (NaN stays NaN).
func gemmEpilogue(a *asm, s isa, m, nv int, acc func(set, i, v int) string) {
	t0, t1 := s.r(s.nregs-1), s.r(s.nregs-2)
	masked := func(v int) string {
		if s.name == "AVX512" {
			return fmt.Sprintf("K%d, ", v+1)
		}
		return ""
	}
	load := func(mem string, v int, dst string) {
		if s.name == "AVX512" {
			a.p("VMOVUPS.Z %s, K%d, %s", mem, v+1, dst)
		} else {
			a.p("VMOVUPS %s, %s", mem, dst)
		}
	}
	addRows := func(base, stride string) {
		for i := range m {
			for v := range nv {
				load(fmt.Sprintf("%d(%s)", v*s.width, base), v, t0)
				a.p("VADDPS %s, %s, %s", t0, acc(0, i, v), acc(0, i, v))
			}
			if i < m-1 {
				a.p("ADDQ %s, %s", stride, base)
			}
		}
	}
	a.p("MOVQ c+48(FP), R10")
	a.p("MOVQ ldc+56(FP), R11")
	noAcc, noRes, noClamp, last := a.fresh("noacc"), a.fresh("nores"), a.fresh("noclamp"), a.fresh("last")
	a.p("TESTQ $1, R13")
	a.p("JEQ %s", noAcc)
	a.p("MOVQ R10, R12")
	addRows("R12", "R11")
	a.label(noAcc)
	a.p("TESTQ $4, R13")
	a.p("JEQ %s", noRes)
	a.p("MOVQ res+72(FP), R12")
	a.p("MOVQ ldr+80(FP), R9")
	addRows("R12", "R9")
	a.p("ADDQ R9, R12")
	a.p("MOVQ R12, res+72(FP)")
	a.label(noRes)
	a.p("TESTQ $8, R13")
	a.p("JEQ %s", noClamp)
	a.p("VBROADCASTSS lo+88(FP), %s", t0)
	a.p("VBROADCASTSS hi+92(FP), %s", t1)
	for i := range m {
		for v := range nv {
			r := acc(0, i, v)
			a.p("VMAXPS %s, %s, %s", r, t0, r)
			a.p("VMINPS %s, %s, %s", r, t1, r)
		}
	}
	a.label(noClamp)
	for i := range m {
		for v := range nv {
			a.p("VMOVUPS %s, %s%d(R10)", acc(0, i, v), masked(v), v*s.width)
		}
		a.p("ADDQ R11, R10")
	}
	a.p("CMPQ m+0(FP), $0")
	a.p("JLE %s", last)
	a.p("MOVQ R10, c+48(FP)")
	a.p("IMUL3Q $%d, DI, R11", m)
	a.p("ADDQ R11, a+24(FP)")
	a.p("JMP next")
	a.label(last)
	a.p("VZEROUPPER")
	a.p("RET")
}
