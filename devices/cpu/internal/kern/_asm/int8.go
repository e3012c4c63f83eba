package main

import "fmt"

// intRows is the heights of the register tiles of the integer product.
var intRows = map[string][]int{"AVX2": {6, 3, 1}, "AVX512": {8, 4, 2, 1}}

// genInt writes the kernels of the product of 16-bit integers, exact in 32 bits.
func genInt(a *asm) {
	for _, s := range []isa{avx2, avx512} {
		vm{a, s}.intTile(s.name, false)
	}
	vm{a, avx512}.intTile("VNNI", true)
}

// intTile writes func intTile<name>(m, pairs int, a *int16, lda int, b *int16, c *int32, ldc int): rows of A hold pairs of
// numbers, as b does for each column of two vectors. Strides are in bytes. m is one of the tile's heights.
func (v vm) intTile(name string, vnni bool) {
	fn := "intTile" + name
	v.text(fn, 0, 56, "func "+fn+"(m, pairs int, a *int16, lda int, b *int16, c *int32, ldc int)")
	v.p("MOVQ m+0(FP), R11")
	v.p("MOVQ pairs+8(FP), CX")
	v.p("MOVQ a+16(FP), AX")
	v.p("MOVQ lda+24(FP), DI")
	v.p("MOVQ b+32(FP), R8")
	v.p("MOVQ c+40(FP), R10")
	v.p("MOVQ ldc+48(FP), R9")
	v.p("LEAQ (DI)(DI*2), SI")
	v.p("LEAQ (AX)(SI*1), BX")
	v.p("LEAQ (BX)(SI*1), DX")
	rows := intRows[v.isa.name]
	for _, m := range rows[:len(rows)-1] {
		v.p("CMPQ R11, $%d", m)
		v.p("JEQ rows%d", m)
	}
	for i := len(rows) - 1; i >= 0; i-- {
		v.intRows(rows[i], vnni)
	}
}

func (v vm) intRows(m int, vnni bool) {
	mov, bcast, zero := "VMOVDQU", "VPBROADCASTD", "VPXOR"
	if v.isa.name == "AVX512" {
		mov, zero = "VMOVDQU32", "VPXORD"
	}
	b0, b1, x, t := 2*m, 2*m+1, 2*m+2, 2*m+3
	bases := []string{"AX", "BX", "DX"}
	v.label(fmt.Sprintf("rows%d", m))
	for i := range 2 * m {
		v.p("%s %s, %s, %s", zero, v.r(i), v.r(i), v.r(i))
	}
	loop := v.fresh("loop")
	v.label(loop)
	v.p("%s (R8), %s", mov, v.r(b0))
	v.p("%s %d(R8), %s", mov, v.width, v.r(b1))
	for i := range m {
		at := fmt.Sprintf("(%s)", bases[i/3])
		if i%3 > 0 {
			at += fmt.Sprintf("(DI*%d)", i%3)
		}
		v.p("%s %s, %s", bcast, at, v.r(x))
		for j := range 2 {
			acc := v.r(2*i + j)
			if vnni {
				v.p("VPDPWSSD %s, %s, %s", v.r(b0+j), v.r(x), acc)
				continue
			}
			v.p("VPMADDWD %s, %s, %s", v.r(b0+j), v.r(x), v.r(t))
			v.p("VPADDD %s, %s, %s", v.r(t), acc, acc)
		}
	}
	v.p("ADDQ $%d, R8", 2*v.width)
	for g := 0; 3*g < m; g++ {
		v.p("ADDQ $4, %s", bases[g])
	}
	v.p("DECQ CX")
	v.p("JG %s", loop)
	for i := range m {
		for j := range 2 {
			v.p("%s %s, %d(R10)", mov, v.r(2*i+j), j*v.width)
		}
		if i < m-1 {
			v.p("ADDQ R9, R10")
		}
	}
	v.p("VZEROUPPER")
	v.p("RET")
}
