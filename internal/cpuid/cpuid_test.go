package cpuid

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	best, _ := Detect()
	for _, s := range []string{"", "auto", " AUTO "} {
		l, err := Parse(s)
		require.NoError(t, err)
		require.Equal(t, best, l)
	}
	l, err := Parse("generic")
	require.NoError(t, err)
	require.Equal(t, Generic, l)

	for l := Generic; l <= NEON; l++ {
		got, err := Parse(l.String())
		if Has(l) {
			require.NoError(t, err)
			require.Equal(t, l, got)
		} else {
			require.ErrorContains(t, err, l.String())
		}
	}
	_, err = Parse("sse9")
	require.ErrorContains(t, err, "sse9")
}

func TestFromEnv(t *testing.T) {
	t.Setenv(EnvVar, "nosuch")
	_, err := FromEnv()
	require.ErrorContains(t, err, EnvVar)
	t.Setenv(EnvVar, "generic")
	l, err := FromEnv()
	require.NoError(t, err)
	require.Equal(t, Generic, l)
}
