package hdf5

import (
	"sync"
	"sync/atomic"
)

// readChunks fills dst, or fresh memory where it is nil, with the n bytes of a
// chunked dataset.
func (d *Dataset) readChunks(n uint64, dst []byte) ([]byte, error) {
	p, err := d.newPipeline()
	if err != nil {
		return nil, err
	}
	chunks, err := d.chunks(uint64(p.size))
	if err != nil {
		return nil, err
	}
	var stored, padded uint64
	total := uint64(1)
	for i, c := range d.layout.dims {
		total *= ceilDiv(d.space.Dims[i], c)
	}
	for _, c := range chunks {
		stored += c.size
		padded += uint64(p.size)
	}
	if err := d.checkStored(max(n, padded), stored); err != nil {
		return nil, err
	}
	if dst, err = d.alloc(n, dst); err != nil {
		return nil, err
	}
	if uint64(len(chunks)) < total {
		d.fillIn(dst)
	}
	r := &chunkReader{d: d, p: p, out: dst, chunks: chunks}
	return dst, r.run()
}

func (d *Dataset) newPipeline() (*pipeline, error) {
	n, ok := product(d.layout.dims)
	size, ok2 := mulSize(n, d.typ.Size)
	if limit := d.object.f.opts.MaxValueBytes; !ok || !ok2 || size > uint64(limit) || size > 1<<32-1 {
		return nil, &LimitError{What: "bytes of one chunk (MaxValueBytes)", Got: clampInt64(size), Limit: min(limit, 1<<32-1)}
	}
	return &pipeline{filters: d.filters, size: int(size), elem: d.typ.Size}, checkFilters(d.filters)
}

// chunkReader decodes chunks on several goroutines, each into its own part of
// out.
type chunkReader struct {
	d      *Dataset
	p      *pipeline
	out    []byte
	chunks []chunk
	next   atomic.Int64
}

func (r *chunkReader) run() error {
	workers := min(r.d.object.f.opts.Workers, len(r.chunks))
	// Small datasets, and those that need copying only, are not worth goroutines.
	if len(r.out) < 1<<18 || len(r.p.filters) == 0 {
		workers = min(workers, 1)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { errs[w] = r.work() })
	}
	if workers > 0 {
		errs[0] = r.work()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *chunkReader) work() error {
	f := r.d.object.f
	p := *r.p
	var stored []byte
	for {
		i := int(r.next.Add(1)) - 1
		if i >= len(r.chunks) {
			return nil
		}
		c := r.chunks[i]
		at, err := f.check(c.addr, c.size, "chunk")
		if err != nil {
			return err
		}
		var b []byte
		if f.data != nil {
			b = f.data[at : at+int64(c.size)]
		} else {
			if uint64(cap(stored)) < c.size {
				stored = make([]byte, c.size)
			}
			b = stored[:c.size]
			if err := f.readAt(b, at); err != nil {
				return err
			}
		}
		if !r.skipFilters(c) {
			if b, err = p.decode(b, c.mask); err != nil {
				r.next.Store(int64(len(r.chunks)))
				return formatWrap(at, err)
			}
		}
		if len(b) != p.size {
			return formatErr(at, "chunk of %d bytes, want %d", len(b), p.size)
		}
		r.scatter(c, b)
	}
}

// skipFilters reports a chunk at the dataset's edge that was stored as it is.
func (r *chunkReader) skipFilters(c chunk) bool {
	if !r.d.layout.rawEdges {
		return false
	}
	for i, n := range r.d.layout.dims {
		if (c.scaled[i]+1)*n > r.d.space.Dims[i] {
			return true
		}
	}
	return false
}

// scatter copies the part of a chunk that lies within the dataset, by runs
// along the last dimension.
func (r *chunkReader) scatter(c chunk, b []byte) {
	dims, cdims, elem := r.d.space.Dims, r.d.layout.dims, uint64(r.d.typ.Size)
	rank := len(dims)
	n := make([]uint64, rank)     // extent of the part
	pos := make([]uint64, rank)   // position within the chunk
	start := uint64(0)            // element offset of the chunk in the dataset
	skip := make([]uint64, rank)  // dataset elements per step of a dimension
	cskip := make([]uint64, rank) // chunk elements per step of a dimension
	s, cs := uint64(1), uint64(1)
	for i := rank - 1; i >= 0; i-- {
		skip[i], cskip[i] = s, cs
		s, cs = s*dims[i], cs*cdims[i]
		first := c.scaled[i] * cdims[i]
		n[i] = min(cdims[i], dims[i]-first)
		start += first * skip[i]
	}
	// Trailing dimensions that both sides share entirely merge into one run.
	last := rank - 1
	for last > 0 && n[last] == dims[last] && n[last] == cdims[last] {
		last--
	}
	run := n[last] * skip[last] * elem
	for {
		dst, src := start, uint64(0)
		for i := range last {
			dst += pos[i] * skip[i]
			src += pos[i] * cskip[i]
		}
		copy(r.out[dst*elem:dst*elem+run], b[src*elem:src*elem+run])
		i := last - 1
		for ; i >= 0; i-- {
			if pos[i]++; pos[i] < n[i] {
				break
			}
			pos[i] = 0
		}
		if i < 0 {
			return
		}
	}
}
