package ref

import "image"

// plane is one component of an image at its own resolution.
type plane struct {
	w, h, stride int
	pix          []uint8
}

// at reads with the border repeated.
func (p plane) at(x, y int) int {
	return int(p.pix[min(max(y, 0), p.h-1)*p.stride+min(max(x, 0), p.w-1)])
}

func clamp8(v int) uint8 { return uint8(min(max(v, 0), 255)) }

// upsample is a chroma sample for pixel x, y, where chroma is h times coarser across and v times down: by
// linear interpolation where it is halved, with the alternating rounding that the specification of
// ImageDecoder asks for, and else by repetition.
func upsample(p plane, x, y, h, v int) int {
	if h > 2 || v > 2 || p.w <= 2 && h == 2 { // too small or too coarse to interpolate
		return p.at(x/h, y/v)
	}
	switch {
	case h == 2 && v == 1:
		cx := x / 2
		if x%2 == 0 {
			if cx == 0 {
				return p.at(0, y)
			}
			return (3*p.at(cx, y) + p.at(cx-1, y) + 1) >> 2
		}
		if cx == p.w-1 {
			return p.at(cx, y)
		}
		return (3*p.at(cx, y) + p.at(cx+1, y) + 2) >> 2
	case h == 1 && v == 2:
		cy := y / 2
		if y%2 == 0 {
			return (3*p.at(x, cy) + p.at(x, cy-1) + 1) >> 2
		}
		return (3*p.at(x, cy) + p.at(x, cy+1) + 2) >> 2
	case h == 2 && v == 2:
		cx, cy := x/2, y/2
		other := cy - 1 + 2*(y%2)
		column := func(i int) int { return 3*p.at(i, cy) + p.at(i, other) }
		if x%2 == 0 {
			return (3*column(cx) + column(cx-1) + 8) >> 4
		}
		return (3*column(cx) + column(cx+1) + 7) >> 4
	}
	return p.at(x, y)
}

// fromVP8 converts a lossy WebP's planes: chroma is interpolated with weights 9, 3, 3, 1 and converted in
// fixed point from the limited range of VP8 (RFC 6386, section 9.2).
func fromVP8(m *image.YCbCr) pixels {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	y := plane{w, h, m.YStride, m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y):]}
	off := m.COffset(m.Rect.Min.X, m.Rect.Min.Y)
	cb, cr := plane{(w + 1) / 2, (h + 1) / 2, m.CStride, m.Cb[off:]}, plane{(w + 1) / 2, (h + 1) / 2, m.CStride, m.Cr[off:]}
	p := pixels{w: y.w, h: y.h, rgb: make([]uint8, 0, 3*y.w*y.h)}
	for j := range y.h {
		for i := range y.w {
			l, u, v := y.at(i, j)*19077>>8, vp8Chroma(cb, i, j), vp8Chroma(cr, i, j)
			p.rgb = append(p.rgb,
				clamp8((l+v*26149>>8-14234)>>6),
				clamp8((l-u*6419>>8-v*13320>>8+8708)>>6),
				clamp8((l+u*33050>>8-17685)>>6))
		}
	}
	return p
}

// vp8Chroma is a chroma sample for pixel x, y, rounded in two steps: first the diagonals, then the mean with
// the nearest sample.
func vp8Chroma(p plane, x, y int) int {
	cx, cy := x/2, y/2
	ox, oy := cx-1+2*(x%2), cy-1+2*(y%2)
	near, side, over, far := p.at(cx, cy), p.at(ox, cy), p.at(cx, oy), p.at(ox, oy)
	diagonal := (near + side + over + far + 8 + 2*(side+over)) >> 3
	return (diagonal + near) >> 1
}
