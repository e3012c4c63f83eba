package main

import "fmt"

// genSeq writes the kernels of recurrent layers.
func genSeq(a *asm) {
	for _, s := range []isa{avx2, avx512} {
		v := vm{a, s}
		v.gemv()
		v.lstmCell()
		v.gruCell()
	}
	pool.emit(a)
}

// gemv writes func gemv<ISA>(panels, k int, x, b *float32, step int, c *float32, cstep int): c += x·b for each of the
// panels of two vectors, which lie step bytes apart, as their results lie cstep bytes apart.
func (v vm) gemv() {
	const unroll = 4
	fn := "gemv" + v.isa.name
	v.text(fn, 0, 56, "func "+fn+"(panels, k int, x, b *float32, step int, c *float32, cstep int)")
	v.p("MOVQ panels+0(FP), CX")
	v.p("MOVQ x+16(FP), SI")
	v.p("MOVQ b+24(FP), R8")
	v.p("MOVQ step+32(FP), R10")
	v.p("MOVQ c+40(FP), DI")
	v.p("MOVQ cstep+48(FP), R11")
	v.label("panel")
	v.p("MOVQ R8, BX")
	v.p("MOVQ SI, DX")
	v.p("MOVQ k+8(FP), R9")
	for i := range 2 * unroll {
		v.p("VXORPS %s, %s, %s", fmt.Sprintf("Y%d", i), fmt.Sprintf("Y%d", i), fmt.Sprintf("Y%d", i))
	}
	row := func(u int) {
		x := v.r(2*unroll + u)
		v.p("VBROADCASTSS %d(DX), %s", u*4, x)
		for i := range 2 {
			v.p("VFMADD231PS %d(BX), %s, %s", (2*u+i)*v.width, x, v.r(2*u+i))
		}
	}
	v.p("SUBQ $%d, R9", unroll)
	v.p("JLT tail")
	v.label("loop")
	for u := range unroll {
		row(u)
	}
	v.p("ADDQ $%d, DX", 4*unroll)
	v.p("ADDQ $%d, BX", 2*unroll*v.width)
	v.p("SUBQ $%d, R9", unroll)
	v.p("JGE loop")
	v.label("tail")
	v.p("ADDQ $%d, R9", unroll)
	v.p("JLE done")
	v.label("tailloop")
	row(0)
	v.p("ADDQ $4, DX")
	v.p("ADDQ $%d, BX", 2*v.width)
	v.p("DECQ R9")
	v.p("JG tailloop")
	v.label("done")
	for i := range 2 {
		v.add(i+4, i, i)
		v.add(i+6, i+2, i+2)
		v.add(i+2, i, i)
		v.p("VADDPS %d(DI), %s, %s", i*v.width, v.r(i), v.r(i))
		v.p("VMOVUPS %s, %d(DI)", v.r(i), i*v.width)
	}
	v.p("ADDQ R10, R8")
	v.p("ADDQ R11, DI")
	v.p("DECQ CX")
	v.p("JG panel")
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
