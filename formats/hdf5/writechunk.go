package hdf5

import (
	"bytes"
	"compress/zlib"
	"io"

	"github.com/nnrt/nnrt/internal/errs"
)

// dataset plans a dataset: its header and data.
func (p *planner) dataset(w *DatasetWriter) (placed, error) {
	d := &w.data
	t, err := encodeType(nil, d.Type)
	if err != nil {
		return placed{}, errs.Errorf("hdf5: %s: %w", w.path, err)
	}
	msgs := putMessage(nil, msgDataspace, 0, spaceBytes(d))
	msgs = putMessage(msgs, msgDatatype, 1, t)
	count := 4
	var layout []byte
	if w.storage.Chunks == nil {
		// Allocated late, fill values written if set: libhdf5's defaults.
		msgs = putMessage(msgs, msgFill, 1, []byte{2, 2, 2, 1, 0, 0, 0, 0})
		layout, err = p.contiguous(w)
	} else {
		msgs = putMessage(msgs, msgFill, 1, []byte{2, 3, 0, 1, 0, 0, 0, 0})
		if f := filterBytes(&w.storage, d.Type.Size); f != nil {
			msgs = putMessage(msgs, msgFilters, 1, f)
			count++
		}
		layout, err = p.chunked(w)
	}
	if err != nil {
		return placed{}, errs.Errorf("hdf5: %s: %w", w.path, err)
	}
	msgs = putMessage(msgs, msgLayout, 0, layout)
	b, err := p.headerBytes(&w.objectWriter, msgs, count)
	if err != nil {
		return placed{}, err
	}
	return placed{header: p.put(b)}, nil
}

func (p *planner) contiguous(w *DatasetWriter) ([]byte, error) {
	d := &w.data
	size, err := d.size()
	if err != nil {
		return nil, err
	}
	addr := undef
	switch {
	case size == 0:
	case d.Type.Class == ClassVLen:
		b, err := p.values(d)
		if err != nil {
			return nil, err
		}
		addr = p.put(b)
	default:
		addr = p.place(size, d.writeTo)
		s := &p.segments[len(p.segments)-1]
		s.path, s.streamed = w.path, true
	}
	return le64(le64([]byte{3, byte(Contiguous)}, addr), size), nil
}

// filterBytes encodes a filter pipeline message of version 1.
func filterBytes(s *Storage, elem int) []byte {
	var b []byte
	n := byte(0)
	add := func(id int, name string, flags int, params ...uint32) {
		b = le16(le16(le16(le16(b, id), 8*(len(name)/8+1)), flags), len(params))
		b = padded(b, name)
		for _, v := range params {
			b = le32(b, v)
		}
		b = pad8(b)
		n++
	}
	if s.Shuffle {
		add(FilterShuffle, "shuffle", 1, uint32(elem))
	}
	if s.Deflate > 0 {
		add(FilterDeflate, "deflate", 1, uint32(s.Deflate))
	}
	if s.Fletcher32 {
		add(FilterFletcher32, "fletcher32", 0)
	}
	if n == 0 {
		return nil
	}
	return append([]byte{1, n, 0, 0, 0, 0, 0, 0}, b...)
}

// chunked plans the chunks of a dataset and the B-tree over them.
func (p *planner) chunked(w *DatasetWriter) ([]byte, error) {
	d, s := &w.data, &w.storage
	rank, elem := len(d.Dims), uint64(d.Type.Size)
	layout := append([]byte{3, byte(Chunked)}, byte(rank+1))
	tree := undef
	if n, err := d.size(); err != nil {
		return nil, err
	} else if n > 0 {
		kids, first, err := p.chunks(w)
		if err != nil {
			return nil, err
		}
		tree = p.btree(1, chunkHalf, first, kids)
	}
	layout = le64(layout, tree)
	for _, c := range s.Chunks {
		layout = le32(layout, uint32(c))
	}
	return le32(layout, uint32(elem)), nil
}

// chunks places all chunks. A chunk B-tree's keys describe the child on their
// right; the last one lies beyond all chunks.
func (p *planner) chunks(w *DatasetWriter) (kids []treeChild, first []byte, err error) {
	d, s := &w.data, &w.storage
	rank, elem := len(d.Dims), uint64(d.Type.Size)
	n, _ := product(s.Chunks)
	e := &chunkEncoder{s: s, elem: int(elem), buf: make([]byte, n*elem)}
	pos := make([]uint64, rank)
	key := func(size int, last uint64) []byte {
		b := le32(le32(nil, uint32(size)), 0)
		for _, x := range pos {
			b = le64(b, x)
		}
		return le64(b, last)
	}
	var band []byte // the rows that the current chunks cut through
	for {
		if band == nil {
			if band, err = d.rows(pos[0], min(s.Chunks[0], d.Dims[0]-pos[0])); err != nil {
				return nil, nil, err
			}
		}
		e.gather(d.Dims, pos, band)
		b, err := e.encode()
		if err != nil {
			return nil, nil, err
		}
		k := key(len(b), 0)
		if first == nil {
			first = k
		} else {
			kids[len(kids)-1].key = k
		}
		kids = append(kids, treeChild{addr: p.put(b)})
		i := rank - 1
		for ; i >= 0; i-- {
			if pos[i] += s.Chunks[i]; pos[i] < d.Dims[i] {
				break
			}
			if i > 0 {
				pos[i] = 0
			}
		}
		if i == 0 {
			band = nil
		}
		if i < 0 {
			break
		}
	}
	kids[len(kids)-1].key = key(0, elem)
	return kids, first, nil
}

// chunkEncoder cuts chunks out of a dataset and sends them through the filters.
type chunkEncoder struct {
	s    *Storage
	elem int
	buf  []byte // one chunk
	zw   *zlib.Writer
}

// gather copies the chunk at pos into buf, with zeros beyond the dataset. band
// begins with the chunk's first row.
func (e *chunkEncoder) gather(dims, pos []uint64, band []byte) {
	clear(e.buf)
	rank, elem := len(dims), uint64(e.elem)
	at := make([]uint64, rank)
	run := min(e.s.Chunks[rank-1], dims[rank-1]-pos[rank-1]) * elem
	for {
		src, dst := uint64(0), uint64(0)
		for i := range rank {
			src = src*dims[i] + at[i]
			if i > 0 {
				src += pos[i]
			}
			dst = dst*e.s.Chunks[i] + at[i]
		}
		copy(e.buf[dst*elem:dst*elem+run], band[src*elem:])
		i := rank - 2
		for ; i >= 0; i-- {
			if at[i]++; at[i] < min(e.s.Chunks[i], dims[i]-pos[i]) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

// encode returns the filtered chunk, in memory of its own.
func (e *chunkEncoder) encode() ([]byte, error) {
	b := e.buf
	if e.s.Shuffle && e.elem > 1 {
		b = make([]byte, len(e.buf))
		n := len(b) / e.elem
		for j := range e.elem {
			for i := range n {
				b[j*n+i] = e.buf[i*e.elem+j]
			}
		}
	}
	if e.s.Deflate > 0 {
		var out bytes.Buffer
		if e.zw == nil {
			zw, err := zlib.NewWriterLevel(&out, e.s.Deflate)
			if err != nil {
				return nil, err
			}
			e.zw = zw
		} else {
			e.zw.Reset(&out)
		}
		if _, err := io.Copy(e.zw, bytes.NewReader(b)); err != nil {
			return nil, err
		}
		if err := e.zw.Close(); err != nil {
			return nil, err
		}
		b = out.Bytes()
	}
	if e.s.Fletcher32 {
		return le32(append([]byte(nil), b...), fletcher32(b)), nil
	}
	if &b[0] == &e.buf[0] {
		b = append([]byte(nil), b...)
	}
	return b, nil
}
