package fingerprint

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSum64 holds the values that FarmHash's own tests and its ports record, for every length's branch.
func TestSum64(t *testing.T) {
	for s, want := range map[string]uint64{
		"":                                      0x9ae16a3b2f90404f,
		"a":                                     0xb3454265b6df75e3,
		"abc":                                   0x24a5b3a074e7f369,
		"abcd":                                  0x1a5502de4a1f8101,
		"abcdefg":                               0x3c40c92b1ccb7355,
		"abcdefgh":                              0xfee9d22990c82909,
		"0123456789@0123":                       0x5361eae17c1ff6bc,
		"0123456789=012345":                     0x46a7416ed4861e3b,
		"size:  a.out:  bad magic":              0x80d73b843ba57db8,
		"Nepal premier won't resign.":           0x8eb3808d1ccfc779,
		"C is as portable as Stonehedge!!":      0xb944f8a16261e414,
		`2/?98ns)xbzEVL^:wCS$7l3@_g!zP^<D.-bd6`: 9728733090894310797,
		"F7479877-4690-4A44-AFC9-8FE987EA512F:some_other_id": 6862335115798125349,
		"The fugacity of a constituent in a mixture of gases at a given temperature is proportional to its mole fraction.  Lewis-Randall Rule": 0x98eff6958c5e91a,
	} {
		require.Equal(t, want, Sum64(s), "%q", s)
	}
}

// TestBuckets holds the buckets in TensorFlow's documentation.
func TestBuckets(t *testing.T) {
	for i, s := range []string{"Hello", "TensorFlow", "2.x"} {
		require.EqualValues(t, []uint64{0, 2, 2}[i], Sum64(s)%3, s)
	}
}

// TestKeyed holds the vectors of the SipHash paper: key 00 01 ... 0f, message 00 01 ... of each length.
func TestKeyed(t *testing.T) {
	key := [2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	b := make([]byte, 15)
	for i := range b {
		b[i] = byte(i)
	}
	require.EqualValues(t, uint64(0xa129ca6149be45e5), Keyed(key, string(b)))
	require.EqualValues(t, uint64(0x726fdb47dd0e0e31), Keyed(key, ""))
}
