package mmap

import (
	"syscall"
	"unsafe"
)

// Evict tells the system that b, a part of the file, is not needed for now: its whole pages leave memory, and come back from
// the file when they are read again.
func (m *File) Evict(b []byte) {
	if !m.mapped || len(b) == 0 {
		return
	}
	const page = 1 << 12
	at := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(m.data))))
	lo, hi := (at+page-1)&^(page-1), (at+len(b))&^(page-1)
	if at < 0 || hi > len(m.data) || lo >= hi {
		return
	}
	_ = syscall.Madvise(m.data[lo:hi], syscall.MADV_DONTNEED)
}
