//go:build !linux

package main

// machineMemory is the bytes of main memory, 0 where that is not known.
func machineMemory() int64 { return 0 }
