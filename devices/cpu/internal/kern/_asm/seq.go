package main

import "fmt"

// genSeq writes the kernels of recurrent layers.
func genSeq(a *asm) {
	for _, s := range []isa{avx2, avx512} {
		v := vm{a, s}
		for _, n := range s.rowVectors() {
			v.gemv(n)
		}
		v.lstmCell()
		v.gruCell()
	}
	pool.emit(a)
}

// rowVectors are the widths, in vectors, of the panels that products of one row are cut into. A wide panel is one stream of memory
// that shares what is broadcast of x: else the processor's load ports would bound the speed instead of the caches.
func (s isa) rowVectors() []int {
	if s.nregs == 32 {
		return []int{16, 8, 4, 2, 1}
	}
	return []int{12, 8, 4, 2, 1}
}

// gemv writes func gemv<vecs><ISA>(k int, x, b, c *float32): c += x·b for a panel of vecs vectors and k > 0 rows. Narrow ones
// keep several sums a column, so that additions needn't wait for each other.
func (v vm) gemv(vecs int) {
	fn := fmt.Sprintf("gemv%d%s", vecs, v.isa.name)
	v.text(fn, 0, 32, "func "+fn+"(k int, x, b, c *float32)")
	v.p("MOVQ k+0(FP), R9")
	v.p("MOVQ x+8(FP), DX")
	v.p("MOVQ b+16(FP), BX")
	v.p("MOVQ c+24(FP), DI")
	sums := max(1, 8/vecs)
	rows := max(2, sums)
	free := sums * vecs
	for i := range free {
		v.p("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	row := func(u int) {
		x := v.r(free + u%(min(v.nregs-free, rows)))
		v.p("VBROADCASTSS %d(DX), %s", u*4, x)
		for i := range vecs {
			v.p("VFMADD231PS %d(BX), %s, %s", (u*vecs+i)*v.width, x, v.r(u%sums*vecs+i))
		}
	}
	next := func(rows int) {
		v.p("ADDQ $%d, DX", 4*rows)
		v.p("ADDQ $%d, BX", rows*vecs*v.width)
	}
	v.p("SUBQ $%d, R9", rows)
	v.p("JLT tail")
	v.label("loop")
	for u := range rows {
		row(u)
	}
	next(rows)
	v.p("SUBQ $%d, R9", rows)
	v.p("JGE loop")
	v.label("tail")
	v.p("ADDQ $%d, R9", rows)
	v.p("JLE done")
	v.label("rest")
	row(0)
	next(1)
	v.p("DECQ R9")
	v.p("JG rest")
	v.label("done")
	for i := range vecs {
		for d := sums / 2; d > 0; d /= 2 {
			for u := range d {
				v.add((u+d)*vecs+i, u*vecs+i, u*vecs+i)
			}
		}
		v.p("VADDPS %d(DI), %s, %s", i*v.width, v.r(i), v.r(i))
		v.p("VMOVUPS %s, %d(DI)", v.r(i), i*v.width)
	}
	v.p("VZEROUPPER")
	v.p("RET")
}

// lstmCell writes func lstmCell<ISA>(n int, x *float32, stride int, c, h *float32) for n units, a multiple of the
// lanes: their gates i, o, f, c before the activations lie stride bytes apart. It updates c and writes h.
func (v vm) lstmCell() {
	fn := "lstmCell" + v.isa.name
	v.text(fn, 0, 40, "func "+fn+"(n int, x *float32, stride int, c, h *float32)")
	v.p("MOVQ n+0(FP), CX")
	v.p("MOVQ x+8(FP), SI")
	v.p("MOVQ stride+16(FP), DX")
	v.p("MOVQ c+24(FP), DI")
	v.p("MOVQ h+32(FP), R8")
	v.p("LEAQ (DX)(DX*2), R9")
	v.label("loop")
	v.p("VMOVUPS (SI), %s", v.r(0))
	v.sigmoid(0, 1)
	v.p("VMOVUPS (SI)(R9*1), %s", v.r(4))
	v.tanh(4, 5)
	v.mul(0, 4, 4)
	v.p("VMOVUPS (SI)(DX*2), %s", v.r(0))
	v.sigmoid(0, 1)
	v.p("VMOVUPS (DI), %s", v.r(1))
	v.fmaAcc(0, 1, 4)
	v.p("VMOVUPS %s, (DI)", v.r(4))
	v.tanh(4, 5)
	v.p("VMOVUPS (SI)(DX*1), %s", v.r(0))
	v.sigmoid(0, 1)
	v.mul(0, 4, 4)
	v.p("VMOVUPS %s, (R8)", v.r(4))
	for _, r := range []string{"SI", "DI", "R8"} {
		v.p("ADDQ $%d, %s", v.width, r)
	}
	v.p("SUBQ $%d, CX", v.lanes())
	v.p("JG loop")
	v.p("VZEROUPPER")
	v.p("RET")
}

// gruCell writes func gruCell<ISA>(n int, x *float32, stride int, r, h0, h *float32) for n units, a multiple of the lanes:
// their gates z, r and the data's part of the candidate lie stride bytes apart, r is the state's part of the candidate.
func (v vm) gruCell() {
	fn := "gruCell" + v.isa.name
	v.text(fn, 0, 48, "func "+fn+"(n int, x *float32, stride int, r, h0, h *float32)")
	v.p("MOVQ n+0(FP), CX")
	v.p("MOVQ x+8(FP), SI")
	v.p("MOVQ stride+16(FP), DX")
	v.p("MOVQ r+24(FP), BX")
	v.p("MOVQ h0+32(FP), DI")
	v.p("MOVQ h+40(FP), R8")
	v.label("loop")
	v.p("VMOVUPS (SI)(DX*1), %s", v.r(0))
	v.sigmoid(0, 1)
	v.p("VMOVUPS (BX), %s", v.r(1))
	v.p("VMOVUPS (SI)(DX*2), %s", v.r(4))
	v.fmaAcc(0, 1, 4)
	v.tanh(4, 5)
	v.p("VMOVUPS (SI), %s", v.r(0))
	v.sigmoid(0, 1)
	v.p("VMOVUPS (DI), %s", v.r(1))
	v.sub(4, 1, 1) // h0 - candidate
	v.fmaAcc(0, 1, 4)
	v.p("VMOVUPS %s, (R8)", v.r(4))
	for _, r := range []string{"SI", "BX", "DI", "R8"} {
		v.p("ADDQ $%d, %s", v.width, r)
	}
	v.p("SUBQ $%d, CX", v.lanes())
	v.p("JG loop")
	v.p("VZEROUPPER")
	v.p("RET")
}
