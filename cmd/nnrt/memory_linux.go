package main

import "golang.org/x/sys/unix"

// machineMemory is the bytes of main memory, 0 where that is not known.
func machineMemory() int64 {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}
