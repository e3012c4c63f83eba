//go:build !linux

package mmap

// Evict tells the system that b, a part of the file, is not needed for now. Here the system finds out by itself.
func (m *File) Evict([]byte) {}

func smallPages([]byte) {}

// Huge asks for large pages where the system takes such advice. Here it does not.
func Huge([]byte) {}
