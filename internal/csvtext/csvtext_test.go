package csvtext_test

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/csvtext"
)

// What encoding/csv reads is read alike.
func TestLikeEncodingCSV(t *testing.T) {
	for _, s := range []string{"", "a", "a,b\n1,2\n", "a,b\r\n1,2", "\n\na,b\n\n1,2\n\n", `"a","b ""c"""` + "\n1,2\n", "\"a\nb\",c\n1,2\n", "a,\n,b\n", ",\n,\n",
		" a, b\n1, 2\n", `"",x` + "\n", "ä,ö\n1,2\n"} {
		r := csv.NewReader(strings.NewReader(s))
		r.TrimLeadingSpace = true
		want, err := r.ReadAll()
		require.NoError(t, err, "%q", s)
		got, err := csvtext.Read([]byte(s), csvtext.Options{})
		require.NoError(t, err, "%q", s)
		require.Equal(t, want, got, "%q", s)
	}
}

func TestSeparatorsAndComments(t *testing.T) {
	for _, s := range []string{"a;b\n1;2\n", "a\tb\n1\t2\n", "\ufeffa,b\n1,2\n", "# x\na,b\n1,2\n"} {
		got, err := csvtext.Read([]byte(s), csvtext.Options{Comment: '#'})
		require.NoError(t, err)
		if strings.HasPrefix(s, "#") {
			got = got[len(got)-2:]
		}
		require.Equal(t, [][]string{{"a", "b"}, {"1", "2"}}, got, "%q", s)
	}
	got, err := csvtext.Read([]byte("1,5;2\n"), csvtext.Options{Comma: ';'})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"1,5", "2"}}, got)
}

func TestRefused(t *testing.T) {
	for s, want := range map[string]string{"a,b\n1\n": "line 2", "a,\"b\n": "never closed", "a,\"b\"c\n": "follows", "a,b\"c\n": "inside", "\xff\xfe": "UTF-8",
		"\"x\ny\",b\n1\n": "line 3"} {
		_, err := csvtext.Read([]byte(s), csvtext.Options{})
		require.ErrorContains(t, err, want, "%q", s)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a,b\n\"1\"\"\",2\n")
	f.Fuzz(func(t *testing.T, s string) {
		rows, err := csvtext.Read([]byte(s), csvtext.Options{})
		for _, r := range rows {
			if err == nil && len(r) != len(rows[0]) {
				t.Fatalf("%q: rows of %d and %d fields", s, len(rows[0]), len(r))
			}
		}
	})
}
