package main

import (
	"bytes"
	"fmt"
	"go/format"
)

func genGrad(a *asm) {
	vm{a, avx2}.flip()
	for _, s := range []isa{avx2, avx512} {
		v := vm{a, s}
		v.maxGrad()
		v.moments("momX", false)
		v.moments("momG", true)
	}
	pool.emit(a)
}

// maxGrad writes func maxGrad<ISA>(npix int, dx *float32, dxStride int, x *float32, top, rest *float32, stride, mask int): one
// register of channels of each of npix pixels. Where x equals top, rest is added to dx and becomes zero.
func (v vm) maxGrad() {
	fn := "maxGrad" + v.isa.name
	v.text(fn, 0, 64, "func "+fn+"(npix int, dx *float32, dxStride int, x, top, rest *float32, stride, mask int)")
	v.p("MOVQ npix+0(FP), CX")
	v.p("MOVQ dx+8(FP), DI")
	v.p("MOVQ dxStride+16(FP), R8")
	v.p("MOVQ x+24(FP), SI")
	v.p("MOVQ top+32(FP), AX")
	v.p("MOVQ rest+40(FP), BX")
	v.p("MOVQ stride+48(FP), R9")
	wide := v.name == "AVX512"
	if wide {
		v.p("MOVQ mask+56(FP), R10")
		v.p("KMOVW R10, K1")
	}
	v.label("loop")
	if wide {
		v.p("VMOVUPS.Z (SI), K1, %s", v.r(0))
		v.p("VMOVUPS.Z (AX), K1, %s", v.r(1))
		v.p("VMOVUPS.Z (BX), K1, %s", v.r(2))
		v.p("VMOVUPS.Z (DI), K1, %s", v.r(3))
		v.p("VCMPPS $0, %s, %s, K2", v.r(1), v.r(0))
		v.p("VADDPS %s, %s, K2, %s", v.r(2), v.r(3), v.r(3))
		v.p("VXORPS %s, %s, K2, %s", v.r(2), v.r(2), v.r(2))
		v.p("VMOVUPS %s, K1, (DI)", v.r(3))
		v.p("VMOVUPS %s, K1, (BX)", v.r(2))
	} else {
		v.p("VMOVUPS (SI), %s", v.r(0))
		v.p("VMOVUPS (BX), %s", v.r(2))
		v.p("VCMPPS $0, (AX), %s, %s", v.r(0), v.r(1))
		v.p("VANDPS %s, %s, %s", v.r(2), v.r(1), v.r(3))
		v.p("VANDNPS %s, %s, %s", v.r(2), v.r(1), v.r(2))
		v.p("VADDPS (DI), %s, %s", v.r(3), v.r(3))
		v.p("VMOVUPS %s, (DI)", v.r(3))
		v.p("VMOVUPS %s, (BX)", v.r(2))
	}
	v.p("ADDQ R8, DI")
	v.p("ADDQ R8, SI")
	v.p("ADDQ R9, AX")
	v.p("ADDQ R9, BX")
	v.p("DECQ CX")
	v.p("JNE loop")
	v.p("VZEROUPPER")
	v.p("RET")
}

// moments writes func <name><ISA>(rows, nv int, s, q *float32, stride int, x, m, dy *float32): for 4 or 1 registers of channels and rows
// stride bytes apart, s += x-m and q += (x-m)², or with dy s += dy and q += dy·(x-m).
func (v vm) moments(name string, grad bool) {
	fn := name + v.isa.name
	v.text(fn, 0, 64, "func "+fn+"(rows, nv int, s, q *float32, stride int, x, m, dy *float32)")
	v.p("MOVQ rows+0(FP), CX")
	v.p("MOVQ s+16(FP), DI")
	v.p("MOVQ q+24(FP), SI")
	v.p("MOVQ stride+32(FP), R8")
	v.p("MOVQ x+40(FP), AX")
	v.p("MOVQ m+48(FP), BX")
	v.p("MOVQ dy+56(FP), DX")
	v.p("CMPQ nv+8(FP), $4")
	v.p("JEQ four")
	for _, nv := range []int{1, 4} {
		loop := fmt.Sprintf("loop%d", nv)
		if nv == 4 {
			v.label("four")
		}
		for c := range nv {
			v.p("VMOVUPS %d(DI), %s", c*v.width, v.r(c))
			v.p("VMOVUPS %d(SI), %s", c*v.width, v.r(4+c))
			v.p("VMOVUPS %d(BX), %s", c*v.width, v.r(8+c))
		}
		v.label(loop)
		for c := range nv {
			off := c * v.width
			v.p("VMOVUPS %d(AX), %s", off, v.r(12+c))
			v.sub(8+c, 12+c, 12+c)
			if grad {
				v.p("VFMADD231PS %d(DX), %s, %s", off, v.r(12+c), v.r(4+c))
				v.p("VADDPS %d(DX), %s, %s", off, v.r(c), v.r(c))
			} else {
				v.p("VFMADD231PS %s, %s, %s", v.r(12+c), v.r(12+c), v.r(4+c))
				v.add(12+c, c, c)
			}
		}
		v.p("ADDQ R8, AX")
		if grad {
			v.p("ADDQ R8, DX")
		}
		v.p("DECQ CX")
		v.p("JNE %s", loop)
		for c := range nv {
			v.p("VMOVUPS %s, %d(DI)", v.r(c), c*v.width)
			v.p("VMOVUPS %s, %d(SI)", v.r(4+c), c*v.width)
		}
		v.p("VZEROUPPER")
		v.p("RET")
	}
}

// flip writes func flip8AVX2(dst *float32, ldd int, src *float32, lds, n int): n times 8 columns of 8 rows lds bytes apart become
// rows ldd bytes apart.
func (v vm) flip() {
	v.text("flip8AVX2", 0, 40, "func flip8AVX2(dst *float32, ldd int, src *float32, lds, n int)")
	v.p("MOVQ dst+0(FP), DI")
	v.p("MOVQ ldd+8(FP), R8")
	v.p("MOVQ src+16(FP), SI")
	v.p("MOVQ lds+24(FP), R9")
	v.p("MOVQ n+32(FP), CX")
	v.p("LEAQ (R8)(R8*2), R10")
	v.p("LEAQ (R9)(R9*2), R11")
	at := func(base, twice, one, three string, i int) string {
		return [...]string{"(" + base + ")", "(" + base + ")(" + one + "*1)", "(" + base + ")(" + one + "*2)", "(" + base + ")(" + three + "*1)",
			"(" + twice + ")", "(" + twice + ")(" + one + "*1)", "(" + twice + ")(" + one + "*2)", "(" + twice + ")(" + three + "*1)"}[i]
	}
	v.label("loop")
	v.p("LEAQ (SI)(R9*4), AX")
	v.p("LEAQ (DI)(R8*4), BX")
	for i := range 8 {
		v.p("VMOVUPS %s, %s", at("SI", "AX", "R9", "R11", i), v.r(i))
	}
	for i := 0; i < 8; i += 2 {
		v.p("VUNPCKLPS %s, %s, %s", v.r(i+1), v.r(i), v.r(8+i))
		v.p("VUNPCKHPS %s, %s, %s", v.r(i+1), v.r(i), v.r(9+i))
	}
	for i := 0; i < 8; i += 4 {
		for j := range 2 {
			v.p("VSHUFPS $0x44, %s, %s, %s", v.r(8+i+2+j), v.r(8+i+j), v.r(i+2*j))
			v.p("VSHUFPS $0xEE, %s, %s, %s", v.r(8+i+2+j), v.r(8+i+j), v.r(i+2*j+1))
		}
	}
	for i := range 4 {
		v.p("VPERM2F128 $0x20, %s, %s, %s", v.r(4+i), v.r(i), v.r(8+i))
		v.p("VPERM2F128 $0x31, %s, %s, %s", v.r(4+i), v.r(i), v.r(12+i))
	}
	for i := range 8 {
		v.p("VMOVUPS %s, %s", v.r(8+i), at("DI", "BX", "R8", "R10", i))
	}
	v.p("ADDQ $32, SI")
	v.p("LEAQ (DI)(R8*8), DI")
	v.p("DECQ CX")
	v.p("JNE loop")
	v.p("VZEROUPPER")
	v.p("RET")
}

// goGrad writes the declarations and wrappers.
func goGrad() []byte {
	var b bytes.Buffer
	w := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	w("// Code generated by _asm; DO NOT EDIT.\n\n//go:build amd64 && !noasm\n\npackage kern\n")
	w("\n//go:noescape\nfunc flip8AVX2(dst *float32, ldd int, src *float32, lds, n int)\n")
	for _, s := range []isa{avx2, avx512} {
		limit, tail := "c", ""
		head := ""
		if s.name == "AVX2" {
			limit, head = "whole", "\twhole := c &^ 7\n"
			tail = "\tif whole < c {\n\t\tmaxGradGo(dx[whole:], dxStride, npix, c-whole, x[whole:], top[whole:], rest[whole:], stride)\n\t}\n"
		}
		w(`
//go:noescape
func maxGrad%[1]s(npix int, dx *float32, dxStride int, x, top, rest *float32, stride, mask int)

func uMaxGrad%[1]s(dx []float32, dxStride, npix, c int, x, top, rest []float32, stride int) {
	if npix == 0 || c == 0 {
		return
	}
	_, _, _, _ = dx[(npix-1)*dxStride+c-1], x[(npix-1)*dxStride+c-1], top[(npix-1)*stride+c-1], rest[(npix-1)*stride+c-1]
%[2]s	for j := 0; j < %[3]s; j += %[4]d {
		n := min(%[4]d, %[3]s-j)
		maxGrad%[1]s(npix, &dx[j], dxStride*4, &x[j], &top[j], &rest[j], stride*4, 1<<n-1)
	}
%[5]s}
`, s.name, head, limit, s.lanes(), tail)
		for _, k := range []struct{ name, twin, param, arg, length, tail string }{
			{"momX", "momentsGo", "", "nil", "", ""},
			{"momG", "gradMomentsGo", ", dy", "&dy[j]", ", dy[(rows-1)*len(s)+c-1]", ", dy[j:]"},
		} {
			blank := ", _"
			if k.param == "" {
				blank = ""
			}
			w(`
//go:noescape
func %[1]s%[2]s(rows, nv int, s, q *float32, stride int, x, m, dy *float32)

func u%[1]s%[2]s(s, q []float32, rows int, x, m%[3]s []float32) {
	c := len(s)
	if rows == 0 || c == 0 {
		return
	}
	_, _, _%[8]s = q[c-1], m[c-1], x[(rows-1)*len(s)+c-1]%[5]s
	j := 0
	for ; j+%[7]d <= c; j += %[7]d {
		%[1]s%[2]s(rows, 4, &s[j], &q[j], c*4, &x[j], &m[j], %[4]s)
	}
	for ; j+%[6]d <= c; j += %[6]d {
		%[1]s%[2]s(rows, 1, &s[j], &q[j], c*4, &x[j], &m[j], %[4]s)
	}
	if j < c {
		%[9]s(s[j:], q[j:], rows, c, x[j:], m[j:]%[10]s)
	}
}
`, k.name, s.name, k.param, k.arg, k.length, s.lanes(), 4*s.lanes(), blank, k.twin, k.tail)
		}
	}
	src, err := format.Source(b.Bytes())
	if err != nil {
		panic(fmt.Sprintf("%v\n%s", err, b.Bytes()))
	}
	return src
}
