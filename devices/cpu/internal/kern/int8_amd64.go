//go:build amd64 && !noasm

package kern

import "github.com/nnrt/nnrt/internal/cpuid"

//go:noescape
func intTileAVX2(m, pairs int, a *int16, lda int, b *int16, c *int32, ldc int)

//go:noescape
func intTileAVX512(m, pairs int, a *int16, lda int, b *int16, c *int32, ldc int)

//go:noescape
func intTileVNNI(m, pairs int, a *int16, lda int, b *int16, c *int32, ldc int)

func intAVX2() Int {
	return Int{MR: 6, NR: 16, rows: []int{6, 3, 1}, tile: func(m, pairs int, a []int16, lda int, b []int16, c []int32, ldc int) {
		_, _, _ = a[(m-1)*lda+2*pairs-1], b[pairs*32-1], c[(m-1)*ldc+15]
		intTileAVX2(m, pairs, &a[0], lda*2, &b[0], &c[0], ldc*4)
	}}
}

func intAVX512() Int {
	g := Int{MR: 8, NR: 32, rows: []int{8, 4, 2, 1}, tile: func(m, pairs int, a []int16, lda int, b []int16, c []int32, ldc int) {
		_, _, _ = a[(m-1)*lda+2*pairs-1], b[pairs*64-1], c[(m-1)*ldc+31]
		intTileAVX512(m, pairs, &a[0], lda*2, &b[0], &c[0], ldc*4)
	}}
	if _, f := cpuid.Detect(); f.VNNI {
		g.tile = func(m, pairs int, a []int16, lda int, b []int16, c []int32, ldc int) {
			_, _, _ = a[(m-1)*lda+2*pairs-1], b[pairs*64-1], c[(m-1)*ldc+31]
			intTileVNNI(m, pairs, &a[0], lda*2, &b[0], &c[0], ldc*4)
		}
	}
	return g
}
