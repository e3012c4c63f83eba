//go:build unix

package pb

import (
	"io/fs"
	"syscall"
)

// hardLinks is how many names a file has; 1 where the system does not say.
func hardLinks(st fs.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink)
	}
	return 1
}
