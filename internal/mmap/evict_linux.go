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

// smallPages keeps the system from bringing in two megabytes where a few bytes are read: a model's tables are read here and
// there, and what has been read counts as the process's memory.
func smallPages(b []byte) { _ = syscall.Madvise(b, syscall.MADV_NOHUGEPAGE) }

// Huge asks the system to back b, memory that has not been touched yet, with large pages, which are far fewer to fault in
// and to look up. Memory around b may become part of them.
func Huge(b []byte) {
	const huge = 2 << 20
	if len(b) < huge/2 {
		return
	}
	// Numbers, not pointers: around b there may be memory that the garbage collector takes for a mistake to point to.
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	lo, hi := at&^(huge-1), (at+uintptr(len(b))+huge-1)&^(huge-1)
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, lo, hi-lo, syscall.MADV_HUGEPAGE)
}
