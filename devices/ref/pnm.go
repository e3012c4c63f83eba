package ref

import (
	"errors"
)

// pnmReader walks a portable anymap (PBM, PGM, PPM; plain and raw).
type pnmReader struct {
	data []byte
	i    int
}

// number reads a decimal number behind white space and comments; digits limits its length, 0 for none.
func (r *pnmReader) number(digits int) (int, error) {
	for r.i < len(r.data) {
		switch c := r.data[r.i]; {
		case c == '#':
			for r.i < len(r.data) && r.data[r.i] != '\n' {
				r.i++
			}
		case c == ' ' || c >= '\t' && c <= '\r':
			r.i++
		default:
			v, start := 0, r.i
			for r.i < len(r.data) && r.data[r.i] >= '0' && r.data[r.i] <= '9' && (digits == 0 || r.i-start < digits) {
				if v = v*10 + int(r.data[r.i]-'0'); v > 1<<30 {
					return 0, errPNM
				}
				r.i++
			}
			if r.i == start {
				return 0, errPNM
			}
			return v, nil
		}
	}
	return 0, errPNM
}

var errPNM = errors.New("broken portable anymap")

func decodePNM(data []byte) (pixels, error) {
	kind := data[1] - '0'
	r := &pnmReader{data: data, i: 2}
	var head [3]int
	fields := 3
	if head[2] = 1; kind == 1 || kind == 4 {
		fields = 2
	}
	for i := range fields {
		var err error
		if head[i], err = r.number(0); err != nil {
			return pixels{}, err
		}
	}
	p := pixels{w: head[0], h: head[1]}
	if err := checkSize(p.w, p.h); err != nil {
		return pixels{}, err
	}
	if head[2] < 1 || head[2] > 65535 {
		return pixels{}, errPNM
	}
	channels := 1
	if kind == 3 || kind == 6 {
		channels = 3
	}
	if kind > 3 {
		r.i++ // one white space behind the header
	}
	// Every sample takes at least a bit, which bounds what is allocated by the file's size.
	if p.w*p.h*channels > 8*len(data) {
		return pixels{}, errPNM
	}
	p.rgb = make([]uint8, 0, 3*p.w*p.h)
	for y := range p.h {
		for x := range p.w {
			var px [3]uint8
			for c := range channels {
				v, err := r.sample(kind, y*((p.w+7)/8), x, head[2])
				if err != nil {
					return pixels{}, err
				}
				px[c] = v
			}
			if channels == 1 {
				px[1], px[2] = px[0], px[0]
			}
			p.rgb = append(p.rgb, px[:]...)
		}
	}
	return p, nil
}

// sample reads one sample and scales it to 8 bits. row is where the row's bits begin in a raw bitmap.
func (r *pnmReader) sample(kind byte, row, x, top int) (uint8, error) {
	v := 0
	switch {
	case kind == 1:
		b, err := r.number(1)
		return uint8(255 * (1 - min(b, 1))), err
	case kind < 4:
		var err error
		if v, err = r.number(0); err != nil {
			return 0, err
		}
	case kind == 4:
		at := r.i + row + x/8
		if at >= len(r.data) {
			return 0, errPNM
		}
		return uint8(255 * (1 - int(r.data[at]>>(7-x%8)&1))), nil
	default:
		bytes := 1
		if top > 255 {
			bytes = 2
		}
		if r.i+bytes > len(r.data) {
			return 0, errPNM
		}
		for range bytes {
			v = v<<8 | int(r.data[r.i])
			r.i++
		}
	}
	return uint8((min(v, top)*255 + top/2) / top), nil
}
