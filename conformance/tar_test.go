package conformance

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What archive/tar writes in each of its formats is read, long names and empty files included; archives cut anywhere are not
// read as whole ones.
func TestTarReader(t *testing.T) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		want := map[string]string{}
		add := func(name, content string) {
			require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: format}))
			_, err := io.WriteString(w, content)
			require.NoError(t, err)
			want[name] = content
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "d/", Mode: 0o755, Typeflag: tar.TypeDir, Format: format}))
		for i, size := range []int{0, 1, 511, 512, 513, 5000} {
			add(fmt.Sprintf("d/%d", i), strings.Repeat("x", size))
		}
		add(strings.Repeat("long/", 25)+"name", "far down")
		if format != tar.FormatUSTAR {
			add(strings.Repeat("very", 60)+"/n\u00e4me", "umlaut")
		}
		require.NoError(t, w.Close())
		got := map[string]string{}
		whole := b.Bytes()
		read := func(p []byte) error {
			r := &tarReader{r: bytes.NewReader(p)}
			for {
				h, err := r.Next()
				if err != nil {
					return err
				}
				c, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				if h.Regular {
					require.Len(t, c, int(h.Size))
					got[h.Name] = string(c)
				}
			}
		}
		require.Equal(t, io.EOF, read(whole))
		require.Equal(t, want, got, format)
		for _, cut := range []int{700, 3 * 512, 9*512 + 10} {
			require.NotEqual(t, io.EOF, read(whole[:cut]), cut)
		}
		bad := bytes.Clone(whole)
		bad[3] ^= 1
		require.ErrorContains(t, read(bad), "sum")
	}
}
