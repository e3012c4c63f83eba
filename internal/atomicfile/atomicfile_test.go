package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	put := func(s string, fail error) error {
		return Write(name, func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return errors.Join(err, fail)
		})
	}
	require.NoError(t, put("one", nil))
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(name, 0o640))
	}
	require.ErrorContains(t, put("two", errors.New("no")), "no")
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "one", string(got))
	require.NoError(t, put("three", nil))
	got, err = os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "three", string(got))
	if st, err := os.Stat(name); runtime.GOOS != "windows" {
		require.NoError(t, err)
		require.EqualValues(t, 0o640, st.Mode().Perm())
	}
	list, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	require.Len(t, list, 1) // nothing temporary stays behind
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	_, err := Create(dir)
	require.ErrorContains(t, err, "not a regular file")
	_, err = Create(filepath.Join(dir, "none", "f"))
	require.ErrorIs(t, err, os.ErrNotExist)
	f, err := Create(filepath.Join(dir, "f"))
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("b"), 1)
	require.NoError(t, err)
	_, err = f.Write([]byte("a"))
	require.NoError(t, err)
	require.NoError(t, f.Commit())
	require.ErrorIs(t, f.Commit(), os.ErrClosed)
	require.NoError(t, f.Close())
	got, err := os.ReadFile(filepath.Join(dir, "f"))
	require.NoError(t, err)
	require.Equal(t, "ab", string(got))
}
