package conformance

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// maxUnpacked bounds what an archive may unpack to.
const maxUnpacked = 4 << 30

func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

// openArchive unpacks a .tar.gz into dir, which it makes. Entries that would lie outside are an error.
func openArchive(name, dir string) (string, error) {
	if !isArchive(name) {
		return "", errs.Errorf("%s is neither a folder nor a .tar.gz", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", errs.Errorf("%s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	left := int64(maxUnpacked)
	for r := (&tarReader{r: z}); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir, nil
		}
		if err == nil && h.Regular {
			if left -= h.Size; left < 0 {
				return "", errs.Errorf("%s: unpacks to more than %d bytes", name, int64(maxUnpacked))
			}
			err = unpackFile(root, path.Clean(h.Name), r)
		}
		if err != nil {
			return "", errs.Errorf("%s: %w", name, err)
		}
	}
}

func unpackFile(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o755); err != nil {
		return err
	}
	f, err := root.Create(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
