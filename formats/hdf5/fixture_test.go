package hdf5

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkRule compares numbers with (i*mul)%mod + add.
func checkRule(t *testing.T, got []float64, mul, mod, add int64) {
	t.Helper()
	for i, g := range got {
		if want := float64(int64(i)*mul%mod + add); g != want {
			t.Fatalf("element %d: %v, want %v", i, g, want)
		}
	}
}

// TestFixtures reads what libhdf5 stored in forms that few files use.
func TestFixtures(t *testing.T) {
	for name, want := range map[string]int{"nbit": 7, "scaleoffset": 32, "sohm_old": 4, "sohm_new": 4, "indexes": 8, "sizes4": 1} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenFile(filepath.Join("testdata", name+".h5"), Options{})
			require.NoError(t, err)
			defer f.Close()
			n := 0
			err = f.Root().Walk(func(v Visit) error {
				d, ok := v.Object.(*Dataset)
				if !ok {
					return nil
				}
				a, err := d.Attr("rule")
				if errors.Is(err, ErrNotFound) {
					return nil
				}
				require.NoError(t, err)
				rule := must(a.ReadInt64s())
				t.Run(v.Path, func(t *testing.T) {
					got, err := d.ReadFloat64s()
					require.NoError(t, err)
					require.Len(t, got, int(must2(d.Space().NumElems())))
					checkRule(t, got, rule[0], rule[1], rule[2])
				})
				n++
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, want, n)
		})
	}
}

func must2(n uint64, ok bool) uint64 {
	if !ok {
		panic("overflow")
	}
	return n
}

func openFixture(t testing.TB, name string) *File {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	f, err := OpenBytes(b, Options{})
	require.NoError(t, err)
	return f
}

func TestSharedMessages(t *testing.T) {
	for _, name := range []string{"sohm_old.h5", "sohm_new.h5"} {
		f := openFixture(t, name)
		for i := range 4 {
			for j := range 3 {
				a, err := must(f.Root().OpenDataset(fmt.Sprint("d", i))).Attr(fmt.Sprint("a", j))
				require.NoError(t, err)
				checkRule(t, must(a.ReadFloat64s()), 2, 7, 1)
			}
		}
	}
}

func TestDenseStorage(t *testing.T) {
	f := openFixture(t, "heaps.h5")
	links, err := must(f.Root().OpenGroup("links")).Members()
	require.NoError(t, err)
	require.Len(t, links, 200)
	for i, l := range links {
		require.Equal(t, fmt.Sprintf("link_%03d_%s", i, strings.Repeat("x", i%30)), l.Name)
		require.Equal(t, fmt.Sprintf("/target%d", i), l.Target)
		require.Equal(t, SoftLink, l.Kind)
	}
	g := must(f.Root().OpenGroup("attrs"))
	attrs, err := g.Attrs()
	require.NoError(t, err)
	require.Len(t, attrs, 61)
	for i, a := range attrs {
		got := must(a.ReadFloat64s())
		checkRule(t, got, 7, 250, 1)
		want := 5000
		if i < 60 {
			want = i % 40
		}
		require.Len(t, got, want)
	}
}

func TestRefused(t *testing.T) {
	f := openFixture(t, "refused.h5")
	for name, why := range map[string]string{"virtual": "virtual dataset", "external": "external files"} {
		d, err := f.Root().OpenDataset(name)
		require.NoError(t, err)
		_, err = d.ReadRaw()
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, why)
		require.ErrorContains(t, err, "/"+name)
		_, ok := d.Raw()
		require.False(t, ok)
		require.ErrorIs(t, d.ReadRawInto(make([]byte, 4*d.Dims()[0])), errors.ErrUnsupported)
	}
	_, err := f.Root().Open("elsewhere")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, `"other.h5"`)
	require.ErrorIs(t, checkFilters([]Filter{{ID: FilterSzip}}), errors.ErrUnsupported)
	require.ErrorContains(t, checkFilters([]Filter{{ID: FilterSzip}}), "szip")
	require.ErrorContains(t, checkFilters([]Filter{{ID: 307, Name: "bzip2"}}), "bzip2")
}
