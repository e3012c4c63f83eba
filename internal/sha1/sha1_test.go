package sha1

import (
	stdlib "crypto/sha1"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every length around the ends of blocks, against the standard library.
func TestSum(t *testing.T) {
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i*i>>3 + i)
		require.Equal(t, stdlib.Sum(data[:i]), Sum(data[:i]), "%d bytes", i)
	}
}
