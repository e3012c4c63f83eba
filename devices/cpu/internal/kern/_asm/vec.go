package main

import (
	"fmt"
	"math"
	"sort"
)

// consts collects the constants of the vector kernels; each takes 32 bytes so that AVX2 can
// use it as a memory operand, and AVX-512 broadcasts its first element.
type consts struct {
	bits  map[uint32]bool
	masks bool // a table of masks is used: eight lanes of ones, then eight of zeros
}

var pool = consts{bits: map[uint32]bool{}}

func (c *consts) ref(bits uint32) string {
	c.bits[bits] = true
	return fmt.Sprintf("c%08x<>(SB)", bits)
}

func (c *consts) emit(a *asm) {
	if c.masks {
		a.buf.WriteString("\n")
		for i := range 4 {
			fmt.Fprintf(&a.buf, "DATA masks<>+%d(SB)/8, $-1\n", i*8)
		}
		for i := range 4 {
			fmt.Fprintf(&a.buf, "DATA masks<>+%d(SB)/8, $0\n", 32+i*8)
		}
		a.buf.WriteString("GLOBL masks<>(SB), RODATA|NOPTR, $64\n")
		c.masks = false
	}
	var keys []uint32
	for b := range c.bits {
		keys = append(keys, b)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	for _, b := range keys {
		a.buf.WriteString("\n")
		for i := range 4 {
			fmt.Fprintf(&a.buf, "DATA c%08x<>+%d(SB)/8, $0x%08x%08x\n", b, i*8, b, b)
		}
		fmt.Fprintf(&a.buf, "GLOBL c%08x<>(SB), RODATA|NOPTR, $32\n", b)
	}
}

// A vm emits vector instructions for one ISA. Operands are registers by number or constants.
type vm struct {
	*asm
	isa
}

type operand any

// f is a float constant operand.
type f float64

// u is a bit-pattern constant operand.
type u uint32

// op emits a three-operand instruction in the assembler's order: dst = y NAME x where x may be a constant.
func (v vm) op(name string, x operand, y, dst int) {
	switch c := x.(type) {
	case int:
		v.p("%s %s, %s, %s", name, v.r(c), v.r(y), v.r(dst))
	case f:
		v.cop(name, math.Float32bits(float32(c)), y, dst)
	case u:
		v.cop(name, uint32(c), y, dst)
	default:
		panic("operand")
	}
}

func (v vm) cop(name string, bits uint32, y, dst int) {
	suffix := ""
	if v.name == "AVX512" {
		suffix = ".BCST"
	}
	v.p("%s%s %s, %s, %s", name, suffix, pool.ref(bits), v.r(y), v.r(dst))
}

func (v vm) add(x operand, y, dst int)  { v.op("VADDPS", x, y, dst) }
func (v vm) mul(x operand, y, dst int)  { v.op("VMULPS", x, y, dst) }
func (v vm) sub(x operand, y, dst int)  { v.op("VSUBPS", x, y, dst) } // dst = y - x
func (v vm) div(x operand, y, dst int)  { v.op("VDIVPS", x, y, dst) } // dst = y / x
func (v vm) and(x operand, y, dst int)  { v.op("VANDPS", x, y, dst) }
func (v vm) or(x operand, y, dst int)   { v.op("VORPS", x, y, dst) }
func (v vm) xor(x operand, y, dst int)  { v.op("VXORPS", x, y, dst) }
func (v vm) minx(x operand, y, dst int) { v.op("VMINPS", x, y, dst) } // x if either is NaN
func (v vm) maxx(x operand, y, dst int) { v.op("VMAXPS", x, y, dst) } // x if either is NaN

// fma: acc = acc*y + x.
func (v vm) fma(x operand, y, acc int) { v.op("VFMADD213PS", x, y, acc) }

// fnma: acc = -(y*x) + acc.
func (v vm) fnma(x operand, y, acc int) { v.op("VFNMADD231PS", x, y, acc) }

func (v vm) mov(x, dst int) { v.p("VMOVAPS %s, %s", v.r(x), v.r(dst)) }

// set loads a constant.
func (v vm) set(c operand, dst int) {
	var bits uint32
	switch c := c.(type) {
	case f:
		bits = math.Float32bits(float32(c))
	case u:
		bits = uint32(c)
	}
	v.p("VBROADCASTSS %s, %s", pool.ref(bits), v.r(dst))
}

// round rounds to the nearest integer, ties to even.
func (v vm) round(x, dst int) {
	if v.name == "AVX512" {
		v.p("VRNDSCALEPS $0, %s, %s", v.r(x), v.r(dst))
	} else {
		v.p("VROUNDPS $8, %s, %s", v.r(x), v.r(dst))
	}
}

// pickNeg: dst = x where sign bit of s is set, else y.
func (v vm) pickNeg(s, x, y, dst int) {
	if v.name == "AVX512" {
		v.p("VPMOVD2M %s, K3", v.r(s))
		v.p("VBLENDMPS %s, %s, K3, %s", v.r(x), v.r(y), v.r(dst))
	} else {
		v.p("VBLENDVPS %s, %s, %s, %s", v.r(s), v.r(x), v.r(y), v.r(dst))
	}
}

// poly: acc = Horner's scheme of coefs (highest last) at x.
func (v vm) poly(coefs []float64, x, acc int) {
	n := len(coefs)
	v.set(f(coefs[n-1]), acc)
	for i := n - 2; i >= 0; i-- {
		v.fma(f(coefs[i]), x, acc)
	}
}

// The coefficients are near-minimax fits of these functions, made by weighted least squares.
var (
	expCoefs    = []float64{0.4999999341226133, 0.1666652010554403, 0.04166839425909168, 0.008368780622437781, 0.001381446475594808}
	tanhCoefs   = []float64{-0.3333326287983624, 0.13330899709409624, -0.053692964535654274, 0.020483306568530243, -0.005528624636069135}
	erfCoefs    = []float64{1.128379165532446, -0.3761262426748049, 0.11283565144620755, -0.026852880594059943, 0.005186383456569323, -0.0007991616311937632, 7.78769392376992e-05}
	lnErfcCoefs = []float64{0.0001885072132701282, -1.1295804865363324, -0.6332160695844, -0.10842243299506023, 0.025210539574174486, -0.004205355164987437, 0.0004414861534184998, -2.1698700712395755e-05}
	logCoefs    = []float64{0.3333331037301778, -0.24999986546713585, 0.2000223154552517, -0.16669257617677177, 0.14218555767549756, -0.12384154432286452, 0.1187358623944702, -0.1179131031396729, 0.06915805004886331}
)

// exp: register x = e^x, clobbering t, t+1, t+2.
func (v vm) exp(x, t int) {
	n, q := t, t+1
	v.set(f(89), n)
	v.minx(x, n, x)
	v.set(f(-104), n)
	v.maxx(x, n, x)
	v.mul(f(math.Log2E), x, n)
	v.round(n, n)
	// Cody and Waite: the high part of ln 2 has zeros at the end, so its product with n is exact.
	v.fnma(f(0.693359375), n, x)
	v.fnma(f(math.Ln2-0.693359375), n, x)
	v.poly(expCoefs, x, q)
	v.mul(x, x, t+2)
	v.fma(x, t+2, q)  // q = q*x² + x
	v.add(f(1), q, x) // e^r
	if v.name == "AVX512" {
		v.p("VSCALEFPS %s, %s, %s", v.r(n), v.r(x), v.r(x))
		return
	}
	// 2^n in two factors, so that results near the ends of the range are right.
	v.p("VCVTPS2DQ %s, %s", v.r(n), v.r(n))
	v.p("VPSRAD $1, %s, %s", v.r(n), v.r(q))
	v.p("VPSUBD %s, %s, %s", v.r(q), v.r(n), v.r(n))
	for _, r := range []int{q, n} {
		v.p("VPSLLD $23, %s, %s", v.r(r), v.r(r))
		v.p("VPADDD %s, %s, %s", pool.ref(0x3f800000), v.r(r), v.r(r))
		v.mul(r, x, x)
	}
}

// expNormal: register x = e^x, clobbering t, t+1, t+2 and s, for results that are normal numbers: beyond, the nearest of those.
// Adding 1.5·2^23 rounds to an integer, which then sits in the low bits: shifted, it adds to the exponent.
func (v vm) expNormal(x, t, s int) {
	n := t
	v.set(f(88.3), n)
	v.minx(x, n, x)
	v.set(f(-87.3), n)
	v.maxx(x, n, x)
	v.reduceArg(x, t)
	v.expPoly(x, t+1, t+2, s)
	v.p("VPSLLD $23, %s, %s", v.r(n), v.r(n))
	v.p("VPADDD %s, %s, %s", v.r(n), v.r(x), v.r(x))
}

// reduceArg: register x -= ln2·n for the nearest integer n to x/ln2, which t holds with 1.5·2^23 added; t+2 is n.
func (v vm) reduceArg(x, t int) {
	const magic = 12582912
	v.set(f(magic), t+2)
	v.set(f(math.Log2E), t)
	v.fma(t+2, x, t) // log2e·x + magic
	v.sub(t+2, t, t+2)
	v.fnma(f(0.693359375), t+2, x)
	v.fnma(f(math.Ln2-0.693359375), t+2, x)
}

// expPoly: register x = e^x for small x, clobbering a, b and s: 1 + x + x²·P, whose terms are summed in pairs, as the time
// from one result to the next counts.
func (v vm) expPoly(x, a, b, s int) {
	c := expCoefs
	v.mul(x, x, s)
	v.set(f(c[1]), a)
	v.fma(f(c[0]), x, a)
	v.set(f(c[3]), b)
	v.fma(f(c[2]), x, b)
	v.fmaAcc(f(c[4]), s, b)
	v.add(f(1), x, x)
	v.fmaAcc(b, s, a)
	v.fmaAcc(a, s, x)
}

// sigmoid: register x = 1/(1+e^-x), clobbering t..t+2 and 12.
func (v vm) sigmoid(x, t int) {
	v.xor(u(0x80000000), x, x)
	v.expNormal(x, t, 12)
	v.add(f(1), x, x)
	v.set(f(1), t)
	v.div(x, t, x)
}

// gate: register x = y·sigmoid(x), clobbering 1 to 5 and 7. It is y over 1 + e^-x in as few steps, one after the other, as may be: how
// many numbers are under way at once is what bounds its speed. The sign is in the constants.
func (v vm) gate(y, x int) {
	const magic = 12582912
	if v.name == "AVX512" {
		// Scaling goes to infinity by itself.
		v.set(f(-200), 1)
		v.maxx(x, 1, x)
		v.set(f(104), 1)
		v.minx(x, 1, x)
	} else {
		// What lies above the range of the exponents is lost in the sum below, but for what is far above: 1 - 88.25 - x.
		v.set(f(-88.25), 7)
		v.minx(x, 7, 5)
		v.maxx(x, 7, x)
		v.set(f(-87.25), 7)
		v.sub(5, 7, 7)
		v.set(f(87.25), 5)
		v.minx(x, 5, x)
	}
	v.set(f(magic), 3)
	v.set(f(-math.Log2E), 1)
	v.fma(3, x, 1) // -log2e·x + magic
	v.sub(3, 1, 3)
	// One step will do here: float32(ln 2) is very near.
	v.fmaAcc(f(math.Ln2), 3, x)
	c := expCoefs
	v.mul(x, x, 4)
	v.set(f(-c[1]), 2)
	v.fma(f(c[0]), x, 2)
	v.set(f(-c[3]), 5)
	v.fma(f(c[2]), x, 5)
	v.fmaAcc(f(c[4]), 4, 5)
	v.fmaAcc(5, 4, 2)
	v.set(f(1), 5)
	v.sub(x, 5, x)
	v.fmaAcc(2, 4, x)
	if v.name == "AVX512" {
		v.p("VSCALEFPS %s, %s, %s", v.r(3), v.r(x), v.r(x))
		v.add(5, x, x)
	} else {
		v.p("VPSLLD $23, %s, %s", v.r(1), v.r(1))
		v.p("VPADDD %s, %s, %s", v.r(1), v.r(x), v.r(x))
		v.add(7, x, x)
	}
	v.div(x, y, x)
}

// tanh: register x = tanh x, clobbering t..t+6.
func (v vm) tanh(x, t int) {
	v.mov(x, t+3)
	v.mul(x, x, t+4) // x²
	v.poly(tanhCoefs, t+4, t+5)
	v.mul(t+4, t+5, t+5)
	v.fma(x, x, t+5) // small: x + x·x²·P
	v.and(u(0x7fffffff), x, x)
	v.add(x, x, x)
	v.expNormal(x, t, t+6)
	v.add(f(1), x, x)
	v.set(f(-2), t)
	v.div(x, t, x)
	v.add(f(1), x, x) // 1 - 2/(e^2|x|+1)
	v.and(u(0x80000000), t+3, t+6)
	v.or(t+6, x, x)
	v.and(u(0x7fffffff), t+3, t+4)
	v.sub(f(0.625), t+4, t+4) // negative where the small form holds
	v.pickNeg(t+4, t+5, x, x)
}

// erfc: register x = |x|; returns q = erfc(|x|) in t+5 for the large form, clobbering t..t+5.
func (v vm) lnErfcExp(x, t int) {
	v.set(f(4), t)
	v.minx(x, t, t+4)
	v.poly(lnErfcCoefs, t+4, t+5)
	v.expNormal(t+5, t, t+4)
}

// erf: register x = erf x, clobbering t..t+6.
func (v vm) erf(x, t int) {
	v.mov(x, t+3)
	v.and(u(0x7fffffff), x, x)
	v.lnErfcExp(x, t)
	v.set(f(1), t)
	v.sub(t+5, t, t+5) // large: 1 - erfc
	v.and(u(0x80000000), t+3, t)
	v.or(t, t+5, t+5)
	v.mul(t+3, t+3, t+4)
	v.poly(erfCoefs, t+4, t+6)
	v.mul(t+3, t+6, t+6)
	v.sub(f(1), x, x) // negative where the small form holds
	v.pickNeg(x, t+6, t+5, x)
}

// log: register x = ln x, clobbering t..t+5.
func (v vm) log(x, t int) {
	v.mov(x, t+3)
	// Denormals are scaled by 2^23 first.
	v.sub(f(1.1754943508222875e-38), x, t)
	v.mul(f(1<<23), x, t+1)
	v.pickNeg(t, t+1, x, x)
	v.set(f(23), t+1)
	v.set(f(0), t+2)
	v.pickNeg(t, t+1, t+2, t+4) // what to take off the exponent
	// m = x * 2^-e in [sqrt(1/2), sqrt(2))
	v.iop("VPSUBD", 0x3f3504f3, x, t)
	v.p("VPSRAD $23, %s, %s", v.r(t), v.r(t+1))
	v.iop("VPAND", 0x007fffff, t, t)
	v.iop("VPADDD", 0x3f3504f3, t, t)
	v.p("VCVTDQ2PS %s, %s", v.r(t+1), v.r(t+1))
	v.sub(t+4, t+1, t+1) // e
	v.sub(f(1), t, t)    // m - 1
	v.poly(logCoefs, t, t+2)
	v.mul(t, t, t+4)
	v.fma(f(-0.5), t, t+2)                      // P·f - 1/2
	v.mul(t+4, t+2, t+2)                        // f²(P·f - 1/2)
	v.fmaAcc(f(math.Ln2-0.693359375), t+1, t+2) // + e·ln2lo
	v.add(t, t+2, t+2)
	v.fmaAcc(f(0.693359375), t+1, t+2)
	// Zero is -Inf, negative numbers NaN; Inf and NaN stay.
	v.cmpBlend(t+3, 1, u(0), u(0x7fc00000), t+2)
	v.cmpBlend(t+3, 0, u(0), u(0xff800000), t+2)
	v.cmpBlendReg(t+3, 0, u(0x7f800000), t+3, t+2)
	v.cmpBlendReg(t+3, 3, u(0), t+3, t+2)
	v.mov(t+2, x)
}

// fmaAcc: acc += y*x.
func (v vm) fmaAcc(x operand, y, acc int) { v.op("VFMADD231PS", x, y, acc) }

// iop emits an integer instruction with a constant.
func (v vm) iop(name string, bits uint32, y, dst int) {
	if v.name == "AVX512" {
		if name == "VPAND" {
			name = "VPANDD"
		}
		name += ".BCST"
	}
	v.p("%s %s, %s, %s", name, pool.ref(bits), v.r(y), v.r(dst))
}

// cmpBlend: dst = val where "s pred c" holds (pred 0 ==, 1 <, 3 unordered), with constants c and val.
func (v vm) cmpBlend(s, pred int, c, val u, dst int) {
	tmp := v.nregs - 4
	v.set(val, tmp)
	v.cmpBlendReg(s, pred, c, tmp, dst)
}

func (v vm) cmpBlendReg(s, pred int, c u, val, dst int) {
	if v.name == "AVX512" {
		v.p("VCMPPS.BCST $%d, %s, %s, K3", pred, pool.ref(uint32(c)), v.r(s))
		v.p("VBLENDMPS %s, %s, K3, %s", v.r(val), v.r(dst), v.r(dst))
		return
	}
	tmp := v.nregs - 3
	v.p("VCMPPS $%d, %s, %s, %s", pred, pool.ref(uint32(c)), v.r(s), v.r(tmp))
	v.p("VBLENDVPS %s, %s, %s, %s", v.r(tmp), v.r(val), v.r(dst), v.r(dst))
}

// unary lists the functions dst[i] = f(x[i], a, b); the parameters a and b are in the last two registers.
var unary = []struct {
	name string
	body func(v vm, x, a, b int)
}{
	{"Exp", func(v vm, x, a, b int) { v.exp(x, 1) }},
	{"Log", func(v vm, x, a, b int) { v.log(x, 1) }},
	{"Sigmoid", func(v vm, x, a, b int) { v.sigmoid(x, 1) }},
	{"Silu", func(v vm, x, a, b int) { v.mov(x, 6); v.gate(6, x) }},
	{"Tanh", func(v vm, x, a, b int) { v.tanh(x, 1) }},
	{"Erf", func(v vm, x, a, b int) { v.erf(x, 1) }},
	{"Gelu", func(v vm, x, a, b int) {
		v.mov(x, 8)
		v.mul(f(math.Sqrt2/2), x, x)
		v.erf(x, 1)
		v.add(f(1), x, x)
		v.mul(f(0.5), x, x)
		v.mul(8, x, x)
	}},
	{"GeluTanh", func(v vm, x, a, b int) {
		// x·sigmoid(2·sqrt(2/π)·(x + 0.044715·x³))
		v.mov(x, 6)
		v.mul(x, x, 7)
		v.mul(f(0.044715*2*math.Sqrt(2/math.Pi)), 7, 7)
		v.add(f(2*math.Sqrt(2/math.Pi)), 7, 7)
		v.mul(7, x, x)
		v.gate(6, x)
	}},
	{"Sqrt", func(v vm, x, a, b int) { v.p("VSQRTPS %s, %s", v.r(x), v.r(x)) }},
	{"Rsqrt", func(v vm, x, a, b int) {
		v.p("VSQRTPS %s, %s", v.r(x), v.r(x))
		v.set(f(1), 1)
		v.div(x, 1, x)
	}},
	{"Reciprocal", func(v vm, x, a, b int) { v.set(f(1), 1); v.div(x, 1, x) }},
	{"Neg", func(v vm, x, a, b int) { v.xor(u(0x80000000), x, x) }},
	{"Abs", func(v vm, x, a, b int) { v.and(u(0x7fffffff), x, x) }},
	{"Clip", func(v vm, x, a, b int) { v.maxx(x, a, x); v.minx(x, b, x) }},
	{"LeakyRelu", func(v vm, x, a, b int) { v.mul(a, x, 1); v.pickNeg(x, 1, x, x) }},
	{"HardSigmoid", func(v vm, x, a, b int) {
		// clamp(a·x + b, 0, 1)
		v.fma(b, a, x)
		v.set(f(0), 1)
		v.maxx(x, 1, x)
		v.set(f(1), 1)
		v.minx(x, 1, x)
	}},
	{"HardSwish", func(v vm, x, a, b int) {
		v.mov(x, 2)
		v.mul(f(1.0/6), x, x)
		v.add(f(0.5), x, x)
		v.set(f(0), 1)
		v.maxx(x, 1, x)
		v.set(f(1), 1)
		v.minx(x, 1, x)
		v.mul(2, x, x)
	}},
	{"ScaleShift", func(v vm, x, a, b int) { v.fma(b, a, x) }},
	{"SubFrom", func(v vm, x, a, b int) { v.sub(x, a, x) }},
	{"DivFrom", func(v vm, x, a, b int) { v.div(x, a, x) }},
	{"DivBy", func(v vm, x, a, b int) { v.div(a, x, x) }},
	{"AddS", func(v vm, x, a, b int) { v.add(a, x, x) }},
	{"MulS", func(v vm, x, a, b int) { v.mul(a, x, x) }},
}

// binary lists the functions dst[i] = f(x[i], y[i]) with x in register 0 and y in register 1.
var binary = []struct {
	name string
	body func(v vm)
}{
	{"Add", func(v vm) { v.add(1, 0, 0) }},
	{"Sub", func(v vm) { v.sub(1, 0, 0) }},
	{"Mul", func(v vm) { v.mul(1, 0, 0) }},
	{"Div", func(v vm) { v.div(1, 0, 0) }},
	{"Max", func(v vm) { v.mov(0, 2); v.maxx(1, 0, 0); keepNaN(v) }},
	{"Min", func(v vm) { v.mov(0, 2); v.minx(1, 0, 0); keepNaN(v) }},
}

// keepNaN puts register 2 into register 0 where it is NaN.
func keepNaN(v vm) {
	if v.name == "AVX512" {
		v.p("VCMPPS $3, %s, %s, K3", v.r(2), v.r(2))
		v.p("VMOVAPS %s, K3, %s", v.r(2), v.r(0))
		return
	}
	v.p("VCMPPS $3, %s, %s, %s", v.r(2), v.r(2), v.r(3))
	v.p("VBLENDVPS %s, %s, %s, %s", v.r(3), v.r(2), v.r(0), v.r(0))
}

func genVec(a *asm) {
	for _, s := range []isa{avx2, avx512} {
		v := vm{a, s}
		for _, f := range unary {
			v.unary(f.name, f.body)
		}
		for _, f := range binary {
			v.streams(f.name, 2, false, func() { f.body(v) })
		}
		// dst = x·y + z
		v.streams("MulAdd", 3, false, func() { v.fma(2, 1, 0) })
		// dst = clamp(x·y + z, a, b)
		v.streams("MulAddClip", 3, true, func() {
			v.fma(2, 1, 0)
			v.maxx(0, v.nregs-1, 0)
			v.minx(0, v.nregs-2, 0)
		})
		// dst = clamp(x + y, a, b)
		v.streams("AddClip", 2, true, func() {
			v.add(1, 0, 0)
			v.maxx(0, v.nregs-1, 0)
			v.minx(0, v.nregs-2, 0)
		})
		// dst = (x - a)·b·y + z
		v.streams("Normalize", 3, true, func() {
			v.sub(v.nregs-1, 0, 0)
			v.mul(v.nregs-2, 0, 0)
			v.fma(2, 1, 0)
		})
		// dst += x·a
		v.streams("Axpy", 2, true, func() { v.fmaAcc(v.nregs-1, 1, 0) })
		v.reduce("Sum", 1, func(k int) { v.add(8+k, k, k) })
		v.reduce("SumSq", 1, func(k int) { v.fmaAcc(8+k, 8+k, k) })
		v.reduce("SumSqDev", 1, func(k int) { v.sub(v.nregs-1, 8+k, 8+k); v.fmaAcc(8+k, 8+k, k) })
		v.reduce("Dot", 2, func(k int) { v.fmaAcc(12+k, 8+k, k) })
		v.reduce("MaxOf", 1, func(k int) { v.maxx(8+k, k, k) })
		v.expSum()
	}
	pool.emit(a)
}

// streams writes func <name><ISA>(dst, x, y[, z] *float32, n int[, a, b float32]). For Axpy dst is x as well.
func (v vm) streams(name string, in int, params bool, body func()) {
	args := []string{"x", "y", "z"}[:in]
	size := (in + 2) * 8
	sig := "dst"
	for _, s := range args {
		sig += ", " + s
	}
	sig += " *float32, n int"
	if params {
		size += 8
		sig += ", a, b float32"
	}
	fn := "v" + name + v.isa.name
	v.text(fn, 0, size, "func "+fn+"("+sig+")")
	v.p("MOVQ dst+0(FP), DI")
	regs := []string{"SI", "DX", "BX"}[:in]
	for i, s := range args {
		v.p("MOVQ %s+%d(FP), %s", s, 8+8*i, regs[i])
	}
	v.p("MOVQ n+%d(FP), CX", 8+8*in)
	if params {
		v.p("VBROADCASTSS a+%d(FP), %s", 16+8*in, v.r(v.nregs-1))
		v.p("VBROADCASTSS b+%d(FP), %s", 20+8*in, v.r(v.nregs-2))
	}
	v.each(regs, body)
}

// each writes the loop of a function: registers 0, 1, ... are loaded from what the pointers regs point to, and register 0
// is stored to DI after body, for all CX elements. The last few are masked.
func (v vm) each(regs []string, body func()) {
	v.p("XORQ AX, AX")
	v.p("SUBQ $%d, CX", v.lanes())
	v.p("JLT tail")
	v.label("loop")
	for i, r := range regs {
		v.p("VMOVUPS (%s)(AX*4), %s", r, v.r(i))
	}
	body()
	v.p("VMOVUPS %s, (DI)(AX*4)", v.r(0))
	v.p("ADDQ $%d, AX", v.lanes())
	v.p("CMPQ AX, CX")
	v.p("JLE loop")
	v.label("tail")
	v.p("ADDQ $%d, CX", v.lanes())
	v.p("SUBQ AX, CX")
	v.p("JEQ done")
	if v.name == "AVX512" {
		v.p("MOVL $1, R8")
		v.p("SHLL CX, R8")
		v.p("DECL R8")
		v.p("KMOVW R8, K1")
	} else {
		pool.masks = true
		v.p("LEAQ masks<>+32(SB), R8")
		v.p("SHLQ $2, CX")
		v.p("SUBQ CX, R8")
	}
	for i, r := range regs {
		if v.name == "AVX512" {
			v.p("VMOVUPS.Z (%s)(AX*4), K1, %s", r, v.r(i))
		} else {
			v.p("VMOVUPS (R8), %s", v.r(i))
			v.p("VMASKMOVPS (%s)(AX*4), %s, %s", r, v.r(i), v.r(i))
		}
	}
	body()
	if v.name == "AVX512" {
		v.p("VMOVUPS Z0, K1, (DI)(AX*4)")
	} else {
		v.p("VMOVUPS (R8), Y1")
		v.p("VMASKMOVPS Y0, Y1, (DI)(AX*4)")
	}
	v.label("done")
	v.p("VZEROUPPER")
	v.p("RET")
}

// unary writes func v<name><ISA>(dst, x *float32, n int, a, b float32).
func (v vm) unary(name string, body func(v vm, x, a, b int)) {
	fn := "v" + name + v.isa.name
	v.text(fn, 0, 32, "func "+fn+"(dst, x *float32, n int, a, b float32)")
	v.p("MOVQ dst+0(FP), DI")
	v.p("MOVQ x+8(FP), SI")
	v.p("MOVQ n+16(FP), CX")
	v.p("VBROADCASTSS a+24(FP), %s", v.r(v.nregs-1))
	v.p("VBROADCASTSS b+28(FP), %s", v.r(v.nregs-2))
	v.each([]string{"SI"}, func() { body(v, 0, v.nregs-1, v.nregs-2) })
}

// reduce writes func v<name><ISA>(out, x[, y] *float32, n int, a float32): out holds one partial result per lane,
// which is where it starts too. n is a multiple of the lanes. Registers 0 to 3 accumulate, 8 to 11 and 12 to 15 hold operands;
// AVX2 keeps the parameter in register 15 and has no kernel with both.
func (v vm) reduce(name string, in int, body func(k int)) {
	fn := "v" + name + v.isa.name
	sig := "out, x *float32, n int, a float32"
	if in == 2 {
		sig = "out, x, y *float32, n int"
	}
	size := 28
	if in == 2 {
		size = 32
	}
	v.text(fn, 0, size, "func "+fn+"("+sig+")")
	v.p("MOVQ out+0(FP), DI")
	v.p("MOVQ x+8(FP), SI")
	if in == 2 {
		v.p("MOVQ y+16(FP), DX")
		v.p("MOVQ n+24(FP), CX")
	} else {
		v.p("MOVQ n+16(FP), CX")
		v.p("VBROADCASTSS a+24(FP), %s", v.r(v.nregs-1))
	}
	v.p("VMOVUPS (DI), %s", v.r(0))
	for k := 1; k < 4; k++ {
		if name == "MaxOf" {
			v.mov(0, k)
		} else {
			v.p("VXORPS %s, %s, %s", v.r(k), v.r(k), v.r(k))
		}
	}
	step := func(k, off int) {
		v.p("VMOVUPS %d(SI), %s", off, v.r(8+k))
		if in == 2 {
			v.p("VMOVUPS %d(DX), %s", off, v.r(12+k))
		}
		body(k)
	}
	v.p("SUBQ $%d, CX", 4*v.lanes())
	v.p("JLT tail")
	v.label("loop")
	for k := range 4 {
		step(k, k*v.width)
	}
	v.p("ADDQ $%d, SI", 4*v.width)
	if in == 2 {
		v.p("ADDQ $%d, DX", 4*v.width)
	}
	v.p("SUBQ $%d, CX", 4*v.lanes())
	v.p("JGE loop")
	v.label("tail")
	v.p("ADDQ $%d, CX", 4*v.lanes())
	v.p("JLE done")
	v.label("tailloop")
	step(0, 0)
	v.p("ADDQ $%d, SI", v.width)
	if in == 2 {
		v.p("ADDQ $%d, DX", v.width)
	}
	v.p("SUBQ $%d, CX", v.lanes())
	v.p("JG tailloop")
	v.label("done")
	for _, k := range [][2]int{{0, 1}, {2, 3}, {0, 2}} {
		if name == "MaxOf" {
			v.maxx(k[1], k[0], k[0])
		} else {
			v.add(k[1], k[0], k[0])
		}
	}
	v.p("VMOVUPS %s, (DI)", v.r(0))
	v.p("VZEROUPPER")
	v.p("RET")
}

// expSum writes func vExpSum<ISA>(dst, x *float32, n int, a float32, out *float32): dst = e^(x-a), out += dst lane by lane.
func (v vm) expSum() {
	fn := "vExpSum" + v.isa.name
	v.text(fn, 0, 40, "func "+fn+"(dst, x *float32, n int, a float32, out *float32)")
	v.p("MOVQ dst+0(FP), DI")
	v.p("MOVQ x+8(FP), SI")
	v.p("MOVQ n+16(FP), CX")
	v.p("VBROADCASTSS a+24(FP), %s", v.r(v.nregs-1))
	v.p("MOVQ out+32(FP), DX")
	v.p("VMOVUPS (DX), %s", v.r(8))
	v.p("XORQ AX, AX")
	v.label("loop")
	v.p("VMOVUPS (SI)(AX*4), %s", v.r(0))
	v.sub(v.nregs-1, 0, 0)
	v.exp(0, 1)
	v.add(0, 8, 8)
	v.p("VMOVUPS %s, (DI)(AX*4)", v.r(0))
	v.p("ADDQ $%d, AX", v.lanes())
	v.p("CMPQ AX, CX")
	v.p("JLT loop")
	v.p("VMOVUPS %s, (DX)", v.r(8))
	v.p("VZEROUPPER")
	v.p("RET")
}
