package guard_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/guard"
)

func TestCatch(t *testing.T) {
	if !guard.On {
		t.Skip("built with nnrtdebug: panics go through")
	}
	index := func(s []int, i int) (n int, err error) {
		defer guard.Catch(&err)
		return s[i], nil
	}
	_, err := index(nil, 3)
	require.ErrorIs(t, err, guard.ErrInternal)
	require.ErrorContains(t, err, "index out of range [3]")
	n, err := index([]int{7}, 0)
	require.NoError(t, err)
	require.Equal(t, 7, n)

	other := errors.New("other")
	wrapped := func() (err error) {
		defer guard.CatchAs(&err, func(e error) error { return errors.Join(other, e) })
		panic("x")
	}
	err = wrapped()
	require.ErrorIs(t, err, other)
	require.ErrorIs(t, err, guard.ErrInternal)

	again := func() (err error) { // a panic that crosses goroutines keeps its first stack
		defer guard.Catch(&err)
		panic(&guard.Panic{Value: "first", Stack: []byte("there")})
	}
	var p *guard.Panic
	require.ErrorAs(t, again(), &p)
	require.Equal(t, "there", string(p.Stack))
}
