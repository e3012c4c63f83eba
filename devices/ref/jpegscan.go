package ref

// jpegBits reads entropy-coded data up to the next marker; behind it come zeros.
type jpegBits struct {
	data []byte
	pos  int
	acc  uint32
	n    int
	over int // bits read beyond the data
}

func (r *jpegBits) bit() int {
	if r.n == 0 {
		r.acc = 0
		switch {
		case r.pos >= len(r.data):
			r.over++
		case r.data[r.pos] != 0xff:
			r.acc = uint32(r.data[r.pos])
			r.pos++
		case r.pos+1 < len(r.data) && r.data[r.pos+1] == 0:
			r.acc = 0xff
			r.pos += 2
		default:
			r.over++
		}
		r.n = 8
	}
	r.n--
	return int(r.acc >> r.n & 1)
}

func (r *jpegBits) bits(n int) int {
	v := 0
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// extended reads an n-bit number whose leading bit says its sign.
func (r *jpegBits) extended(n int) int {
	if n == 0 {
		return 0
	}
	v := r.bits(n)
	if v < 1<<(n-1) {
		v -= 1<<n - 1
	}
	return v
}

func (r *jpegBits) symbol(h *huffman) (int, error) {
	code := 0
	for l := 1; l <= 16; l++ {
		code = code<<1 | r.bit()
		if code <= h.last[l] {
			return int(h.values[h.at[l]+code-h.first[l]]), nil
		}
	}
	return 0, errJPEG
}

// align drops the rest of a byte and a restart marker.
func (r *jpegBits) align() {
	r.n = 0
	for r.pos+1 < len(r.data) {
		if r.data[r.pos] == 0xff && r.data[r.pos+1] >= 0xd0 && r.data[r.pos+1] <= 0xd7 {
			r.pos += 2
			return
		}
		if r.data[r.pos] == 0xff && r.data[r.pos+1] != 0 && r.data[r.pos+1] != 0xff {
			return // another marker
		}
		r.pos++
	}
}

// jpegScan is one scan: which coefficients, at which precision.
type jpegScan struct {
	r                  *jpegBits
	start, end         int // of the band, in coding order
	high, low          uint
	run                int // blocks that an end-of-band run still covers
	progressive, first bool
	dc, ac             *huffman
}

// scan decodes the scan whose header is body and whose data begins at pos; it returns where that ends.
func (j *jpegImage) scan(body []byte, pos int) (int, error) {
	if j.comps == nil || len(body) < 1 {
		return 0, errJPEG
	}
	n := int(body[0])
	if n < 1 || n > len(j.comps) || len(body) < 4+2*n {
		return 0, errJPEG
	}
	var in []*jpegComponent
	for i := range n {
		found := false
		for k := range j.comps {
			if c := &j.comps[k]; c.id == body[1+2*i] {
				c.dc, c.ac = int(body[2+2*i]>>4), int(body[2+2*i]&15)
				if c.dc > 3 || c.ac > 3 {
					return 0, errJPEG
				}
				in, found = append(in, c), true
				break
			}
		}
		if !found {
			return 0, errJPEG
		}
	}
	tail := body[1+2*n:]
	s := &jpegScan{r: &jpegBits{data: j.data, pos: pos}, start: int(tail[0]), end: int(tail[1]),
		high: uint(tail[2] >> 4), low: uint(tail[2] & 15), progressive: j.progressive}
	if !j.progressive {
		s.start, s.end, s.high, s.low = 0, 63, 0, 0
	}
	s.first = s.high == 0
	if s.start > s.end || s.end > 63 || s.low > 13 || j.progressive && s.start == 0 && s.end != 0 || s.start > 0 && n > 1 {
		return 0, errJPEG
	}
	if err := j.blocks(s, in); err != nil {
		return 0, err
	}
	return s.r.pos, nil
}

// blocks walks the scan's blocks in coding order.
func (j *jpegImage) blocks(s *jpegScan, in []*jpegComponent) error {
	for _, c := range in {
		c.pred = 0
	}
	mw, mh := j.comps[0].bw/j.comps[0].h, j.comps[0].bh/j.comps[0].v
	single := len(in) == 1
	if single { // no padding blocks in a scan of one component
		mw, mh = (in[0].w+7)/8, (in[0].ht+7)/8
	}
	for m := range mw * mh {
		if j.restart > 0 && m > 0 && m%j.restart == 0 {
			s.r.align()
			s.run = 0
			for _, c := range in {
				c.pred = 0
			}
		}
		for _, c := range in {
			h, v := c.h, c.v
			if single {
				h, v = 1, 1
			}
			s.dc, s.ac = j.huff[0][c.dc], j.huff[1][c.ac]
			if s.start == 0 && s.first && s.dc == nil || s.end > 0 && s.ac == nil {
				return errJPEG
			}
			for k := range h * v {
				x, y := m%mw*h+k%h, m/mw*v+k/h
				if err := s.block(c, c.coef[64*(y*c.bw+x):][:64]); err != nil {
					return err
				}
			}
		}
		if s.r.over > 1<<16 { // far behind the end of the data
			return errJPEG
		}
	}
	return nil
}

func (s *jpegScan) block(c *jpegComponent, b []int16) error {
	if s.start == 0 {
		if err := s.dcOf(c, b); err != nil {
			return err
		}
	}
	if s.end == 0 {
		return nil
	}
	if s.first {
		return s.acFirst(b)
	}
	return s.acRefine(b)
}

func (s *jpegScan) dcOf(c *jpegComponent, b []int16) error {
	if !s.first {
		b[0] |= int16(s.r.bit() << s.low)
		return nil
	}
	n, err := s.r.symbol(s.dc)
	if err != nil || n > 15 {
		return errJPEG
	}
	c.pred += s.r.extended(n)
	b[0] = int16(c.pred << s.low)
	return nil
}

func (s *jpegScan) acFirst(b []int16) error {
	if s.run > 0 {
		s.run--
		return nil
	}
	for k := max(1, s.start); k <= s.end; k++ {
		v, err := s.r.symbol(s.ac)
		if err != nil {
			return err
		}
		zeros, size := v>>4, v&15
		switch {
		case size > 0:
			if k += zeros; k > s.end {
				return errJPEG
			}
			b[zigzag[k]] = int16(s.r.extended(size) << s.low)
		case zeros == 15:
			k += 15
		default:
			if s.progressive {
				s.run = 1<<zeros + s.r.bits(zeros) - 1
			}
			return nil
		}
	}
	return nil
}

// acRefine adds one bit to the coefficients of a band: a correction bit for each that is not zero yet passed,
// and new ones of magnitude one.
func (s *jpegScan) acRefine(b []int16) error {
	k := s.start
	for s.run == 0 && k <= s.end {
		v, err := s.r.symbol(s.ac)
		if err != nil {
			return err
		}
		zeros, size := v>>4, v&15
		fresh := int16(0)
		switch {
		case size == 1:
			if fresh = int16(-1) << s.low; s.r.bit() == 1 {
				fresh = 1 << s.low
			}
		case size > 1:
			return errJPEG
		case zeros < 15:
			s.run = 1<<zeros + s.r.bits(zeros)
			continue
		}
		for ; k <= s.end; k++ {
			p := &b[zigzag[k]]
			if *p != 0 {
				s.refine(p)
				continue
			}
			if zeros == 0 {
				break
			}
			zeros--
		}
		if k > s.end && fresh != 0 {
			return errJPEG
		}
		if k <= s.end {
			if fresh != 0 {
				b[zigzag[k]] = fresh
			}
			k++
		}
	}
	if s.run > 0 {
		for ; k <= s.end; k++ {
			if p := &b[zigzag[k]]; *p != 0 {
				s.refine(p)
			}
		}
		s.run--
	}
	return nil
}

// refine reads a correction bit for a coefficient.
func (s *jpegScan) refine(p *int16) {
	if s.r.bit() == 0 {
		return
	}
	if *p > 0 {
		*p += 1 << s.low
	} else {
		*p -= 1 << s.low
	}
}
