//go:build amd64 && !noasm

package kern

// withoutVNNI adds the AVX-512 product that processors without VNNI use.
func withoutVNNI(sets map[string]Int, has bool) map[string]Int {
	if has {
		g := intAVX512()
		g.tile = func(m, pairs int, a []int16, lda int, b []int16, c []int32, ldc int) {
			intTileAVX512(m, pairs, &a[0], lda*2, &b[0], &c[0], ldc*4)
		}
		sets["avx512 without vnni"] = g
	}
	return sets
}
