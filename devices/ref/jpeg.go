package ref

import (
	"encoding/binary"
	"errors"
)

// The JPEG decoder follows ITU-T T.81: baseline, extended and progressive Huffman coding of 8-bit samples.
// The standard library's decoder rounds its inverse transform differently from the one that nearly all
// other software has, and ImageDecoder's results are compared with that to the last bit.

var errJPEG = errors.New("broken or unusual JPEG")

// jpegComponent is one plane: its sampling factors, and coefficients in blocks of 64, in natural order.
type jpegComponent struct {
	id     byte
	h, v   int
	quant  int
	bw, bh int // blocks across and down, padded to whole MCUs
	w, ht  int // samples
	coef   []int16
	dc, ac int // Huffman tables of the scan
	pred   int // DC prediction
}

type jpegImage struct {
	data        []byte
	w, h        int
	hmax, vmax  int
	comps       []jpegComponent
	quant       [4][64]int32
	huff        [2][4]*huffman // DC and AC
	restart     int
	progressive bool
	jfif        bool
	adobe       int // transform, -1: no such marker
}

// zigzag is the natural place of each coefficient in coding order.
var zigzag = [64]int{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// readJPEG decodes everything but the transform.
func readJPEG(data []byte) (*jpegImage, error) {
	j := &jpegImage{data: data, adobe: -1}
	pos := 2
	for {
		for pos < len(data) && data[pos] != 0xff {
			pos++
		}
		for pos < len(data) && data[pos] == 0xff {
			pos++
		}
		if pos >= len(data) {
			return nil, errJPEG
		}
		marker := data[pos]
		pos++
		if marker == 0xd9 { // end of image
			break
		}
		if marker == 0 || marker == 1 || marker >= 0xd0 && marker <= 0xd8 {
			continue
		}
		if pos+2 > len(data) {
			return nil, errJPEG
		}
		n := int(binary.BigEndian.Uint16(data[pos:]))
		if n < 2 || pos+n > len(data) {
			return nil, errJPEG
		}
		body := data[pos+2 : pos+n]
		pos += n
		err := error(nil)
		if marker == 0xda {
			pos, err = j.scan(body, pos)
		} else {
			err = j.segment(marker, body)
		}
		if err != nil {
			return nil, err
		}
	}
	if j.comps == nil {
		return nil, errJPEG
	}
	return j, nil
}

func (j *jpegImage) segment(marker byte, body []byte) error {
	switch marker {
	case 0xc0, 0xc1, 0xc2:
		j.progressive = marker == 0xc2
		return j.frame(body)
	case 0xc4:
		return j.tables(body)
	case 0xdb:
		return j.quantizers(body)
	case 0xdd:
		if len(body) < 2 {
			return errJPEG
		}
		j.restart = int(binary.BigEndian.Uint16(body))
	case 0xe0:
		j.jfif = j.jfif || len(body) >= 5 && string(body[:5]) == "JFIF\x00"
	case 0xee:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			j.adobe = int(body[11])
		}
	case 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf: // lossless, hierarchical, arithmetic
		return errJPEG
	}
	return nil
}

func (j *jpegImage) frame(body []byte) error {
	if j.comps != nil || len(body) < 6 || body[0] != 8 {
		return errJPEG
	}
	j.h, j.w = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	n := int(body[5])
	if n != 1 && n != 3 || len(body) < 6+3*n || j.w == 0 || j.h == 0 {
		return errJPEG
	}
	if err := checkSize(j.w, j.h); err != nil {
		return err
	}
	comps := make([]jpegComponent, n)
	for i := range comps {
		b := body[6+3*i:]
		c := jpegComponent{id: b[0], h: int(b[1] >> 4), v: int(b[1] & 15), quant: int(b[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return errJPEG
		}
		if n == 1 {
			c.h, c.v = 1, 1
		}
		j.hmax, j.vmax = max(j.hmax, c.h), max(j.vmax, c.v)
		comps[i] = c
	}
	mw, mh := (j.w+8*j.hmax-1)/(8*j.hmax), (j.h+8*j.vmax-1)/(8*j.vmax)
	blocks := 0
	for i := range comps {
		c := &comps[i]
		if j.hmax%c.h != 0 || j.vmax%c.v != 0 {
			return errJPEG
		}
		c.bw, c.bh = mw*c.h, mh*c.v
		c.w, c.ht = (j.w*c.h+j.hmax-1)/j.hmax, (j.h*c.v+j.vmax-1)/j.vmax
		blocks += c.bw * c.bh
	}
	// No block takes less than a bit, which bounds what a small file can make us allocate.
	if blocks > 8*len(j.data) {
		return errJPEG
	}
	for i := range comps {
		comps[i].coef = make([]int16, 64*comps[i].bw*comps[i].bh)
	}
	j.comps = comps
	return nil
}

func (j *jpegImage) quantizers(body []byte) error {
	for len(body) > 0 {
		wide, id := body[0]>>4, body[0]&15
		size := 64
		if wide != 0 {
			size = 128
		}
		if id > 3 || len(body) < 1+size {
			return errJPEG
		}
		for i := range 64 {
			v := int32(body[1+i])
			if wide != 0 {
				v = int32(binary.BigEndian.Uint16(body[1+2*i:]))
			}
			j.quant[id][zigzag[i]] = v
		}
		body = body[1+size:]
	}
	return nil
}

// huffman is a canonical Huffman code: for each length the first code and the place of its value.
type huffman struct {
	first, last, at [17]int
	values          []byte
}

func (j *jpegImage) tables(body []byte) error {
	for len(body) > 0 {
		if len(body) < 17 || body[0]>>4 > 1 || body[0]&15 > 3 {
			return errJPEG
		}
		h := &huffman{}
		code, n := 0, 0
		for l := 1; l <= 16; l++ {
			count := int(body[l])
			h.first[l], h.last[l], h.at[l] = code, code+count-1, n
			code += count
			n += count
			if code > 1<<l {
				return errJPEG
			}
			code <<= 1
		}
		if len(body) < 17+n {
			return errJPEG
		}
		h.values = body[17 : 17+n]
		j.huff[body[0]>>4][body[0]&15] = h
		body = body[17+n:]
	}
	return nil
}

// pixels transforms, upsamples and converts.
func (j *jpegImage) pixels() pixels {
	ps := make([]plane, len(j.comps))
	for i := range j.comps {
		ps[i] = j.comps[i].plane(&j.quant[j.comps[i].quant])
	}
	p := pixels{w: j.w, h: j.h, rgb: make([]uint8, 0, 3*j.w*j.h)}
	for y := range j.h {
		for x := range j.w {
			var v [3]int
			for i := range ps {
				v[i] = upsample(ps[i], x, y, j.hmax/j.comps[i].h, j.vmax/j.comps[i].v)
			}
			switch {
			case len(ps) == 1:
				p.rgb = append(p.rgb, uint8(v[0]), uint8(v[0]), uint8(v[0]))
			case j.isRGB():
				p.rgb = append(p.rgb, uint8(v[0]), uint8(v[1]), uint8(v[2]))
			default:
				p.rgb = appendYCbCr(p.rgb, v[0], v[1]-128, v[2]-128)
			}
		}
	}
	return p
}

// isRGB reports whether the planes are red, green, blue, by the rules that libjpeg made common.
func (j *jpegImage) isRGB() bool {
	switch {
	case j.jfif:
		return false
	case j.adobe >= 0:
		return j.adobe == 0
	}
	return j.comps[0].id == 'R' && j.comps[1].id == 'G' && j.comps[2].id == 'B'
}

// appendYCbCr converts in 16-bit fixed point (ITU-T T.871); b and r are around zero.
func appendYCbCr(rgb []uint8, y, b, r int) []uint8 {
	const half = 1 << 15
	return append(rgb,
		clamp8(y+(91881*r+half)>>16),
		clamp8(y+(-22554*b-46802*r+half)>>16),
		clamp8(y+(116130*b+half)>>16))
}

// plane is the component's samples.
func (c *jpegComponent) plane(quant *[64]int32) plane {
	p := plane{w: c.w, h: c.ht, stride: 8 * c.bw, pix: make([]uint8, 64*c.bw*c.bh)}
	var block [64]int32
	for by := range c.bh {
		for bx := range c.bw {
			for i, v := range c.coef[64*(by*c.bw+bx):][:64] {
				block[i] = int32(v) * quant[i]
			}
			inverseDCT(&block)
			for y := range 8 {
				row := p.pix[(8*by+y)*p.stride+8*bx:]
				for x := range 8 {
					row[x] = clamp8(int(block[8*y+x]) + 128)
				}
			}
		}
	}
	return p
}

// inverseDCT is the inverse transform by Loeffler, Ligtenberg and Moschytz, with 13-bit constants and two
// more bits between the passes.
func inverseDCT(b *[64]int32) {
	for x := range 8 {
		idct8(b, x, 8, 11)
	}
	for y := range 8 {
		idct8(b, 8*y, 1, 18)
	}
}

// idct8 transforms eight elements step apart, and drops shift bits with rounding.
func idct8(b *[64]int32, at, step int, shift uint) {
	in := func(i int) int32 { return b[at+i*step] }
	z1 := (in(2) + in(6)) * 4433
	e2, e3 := z1-in(6)*15137, z1+in(2)*6270
	e0, e1 := (in(0)+in(4))<<13, (in(0)-in(4))<<13
	t0, t3, t1, t2 := e0+e3, e0-e3, e1+e2, e1-e2

	o0, o1, o2, o3 := in(7), in(5), in(3), in(1)
	z5 := (o0 + o2 + o1 + o3) * 9633
	y1, y2 := (o0+o3)*-7373, (o1+o2)*-20995
	y3, y4 := (o0+o2)*-16069+z5, (o1+o3)*-3196+z5
	o0 = o0*2446 + y1 + y3
	o1 = o1*16819 + y2 + y4
	o2 = o2*25172 + y2 + y3
	o3 = o3*12299 + y1 + y4

	half := int32(1) << (shift - 1)
	for i, v := range [8]int32{t0 + o3, t1 + o2, t2 + o1, t3 + o0, t3 - o0, t2 - o1, t1 - o2, t0 - o3} {
		b[at+i*step] = (v + half) >> shift
	}
}
