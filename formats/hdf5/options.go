package hdf5

import "runtime"

// Options bounds what reading a file may cost. The zero value selects the
// defaults.
type Options struct {
	// Keep is held for as long as the file or a dataset of it is in use: the
	// owner of the memory given to OpenBytes, such as a file mapping.
	Keep any

	// MaxValueBytes limits one dataset's or attribute's decoded value, in
	// bytes, before any of it is allocated.
	// Default: the smaller of 4 GiB and twice the file size plus 64 MiB.
	MaxValueBytes int64

	// MaxTotalBytes limits the sum of all values read from the file over its
	// life. Default: no limit.
	MaxTotalBytes int64

	// ExpandFloor and MaxExpand refuse a dataset that declares more than
	// ExpandFloor bytes and more than MaxExpand times the bytes stored for it.
	// Defaults: 64 MiB and 1000.
	ExpandFloor int64
	MaxExpand   int64

	// MaxAttrBytes limits one attribute's value as it is stored, in bytes.
	// Default: 64 MiB.
	MaxAttrBytes int64

	// MaxDepth limits how deep groups nest, and datatypes within datatypes.
	// Default: 64.
	MaxDepth int

	// MaxObjects limits how many links all opened groups may hold together.
	// Default: 1000000.
	MaxObjects int

	// Workers is the number of goroutines that decompress one dataset's chunks.
	// Default: GOMAXPROCS.
	Workers int

	// noChecksums skips the comparison of metadata checksums, so that fuzzing
	// reaches what they protect.
	noChecksums bool
}

// withDefaults replaces zero fields by the defaults for a file of size bytes.
func (o Options) withDefaults(size int64) Options {
	if o.MaxValueBytes <= 0 {
		o.MaxValueBytes = 4 << 30
		if size < 2<<30 {
			o.MaxValueBytes = min(o.MaxValueBytes, 2*size+64<<20)
		}
	}
	setDefault(&o.ExpandFloor, 64<<20)
	setDefault(&o.MaxExpand, 1000)
	setDefault(&o.MaxAttrBytes, 64<<20)
	setDefault(&o.MaxDepth, 64)
	setDefault(&o.MaxObjects, 1_000_000)
	setDefault(&o.Workers, runtime.GOMAXPROCS(0))
	return o
}

func setDefault[T int | int64](p *T, v T) {
	if *p <= 0 {
		*p = v
	}
}
