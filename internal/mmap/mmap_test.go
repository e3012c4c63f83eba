package mmap

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	want := bytes.Repeat([]byte("nnrt"), 5000)
	require.NoError(t, os.WriteFile(name, want, 0o600))
	m, err := Open(name)
	require.NoError(t, err)
	require.Equal(t, want, m.Bytes())
	if runtime.GOOS == "linux" {
		require.True(t, m.Mapped())
	}
	runtime.GC() // m is still in use below: its memory must be too
	require.Equal(t, byte('n'), m.Bytes()[4096])
	require.NoError(t, m.Close())
	require.Nil(t, m.Bytes())
	require.NoError(t, m.Close())
}

func TestOpenEmptyAndOdd(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	m, err := Open(name)
	require.NoError(t, err)
	require.Empty(t, m.Bytes())
	require.NotNil(t, m.Bytes())
	require.NoError(t, m.Close())
	_, err = Open(dir)
	require.ErrorContains(t, err, "not a regular file")
	_, err = Open(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestEvict(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	want := bytes.Repeat([]byte("nnrt"), 50000)
	require.NoError(t, os.WriteFile(name, want, 0o600))
	m, err := Open(name)
	require.NoError(t, err)
	m.Evict(m.Bytes())
	m.Evict(m.Bytes()[5000:100000])
	m.Evict(m.Bytes()[:3])
	m.Evict(nil)
	m.Evict([]byte("elsewhere"))
	require.Equal(t, want, m.Bytes())
	require.NoError(t, m.Close())
}

// TestHuge holds large pages to being advice: memory is as it was, and small or odd pieces are left alone.
func TestHuge(t *testing.T) {
	Huge(nil)
	Huge(make([]byte, 100))
	b := make([]byte, 5<<20)
	Huge(b[3:])
	for i := range b {
		b[i]++
	}
	require.Equal(t, bytes.Repeat([]byte{1}, len(b)), b)
}
