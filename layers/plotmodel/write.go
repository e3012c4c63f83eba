package plotmodel

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/layers"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// DOT writes the model in Graphviz' language.
func DOT(w io.Writer, m *layers.Model, opts Options) error {
	if err := m.Build(); err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph %s {\n  rankdir=TB;\n  node [shape=box, fontname=\"Helvetica\"];\n", quote(m.Name))
	for i, p := range panels(m, opts) {
		id := map[*box]string{}
		indent := "  "
		if i > 0 {
			fmt.Fprintf(b, "  subgraph cluster_%d {\n    label=%s;\n", i, quote(p.title))
			indent = "    "
		}
		for k, x := range p.boxes {
			id[x] = fmt.Sprintf("n%d_%d", i, k)
			fmt.Fprintf(b, "%s%s [label=%s];\n", indent, id[x], quote(strings.Join(x.lines, "\n")))
		}
		for _, e := range p.edges {
			fmt.Fprintf(b, "%s%s -> %s;\n", indent, id[e[0]], id[e[len(e)-1]])
		}
		if i > 0 {
			fmt.Fprintln(b, "  }")
		}
	}
	fmt.Fprintln(b, "}")
	return b.Flush()
}

func quote(s string) string {
	return strings.ReplaceAll(strconv.Quote(s), `\\n`, `\n`)
}

func bounds(ps []*panel) (w, h float64) {
	for _, p := range ps {
		w, h = max(w, p.offset+p.w), max(h, p.h)
	}
	return w, h
}

// fill is the colour of a box by what its layer is: inputs, inner models, all others.
func fill(l layers.Layer) color.RGBA {
	switch l.(type) {
	case *layers.InputLayer:
		return color.RGBA{0xe3, 0xf2, 0xe1, 0xff}
	case *layers.Model:
		return color.RGBA{0xfd, 0xf0, 0xd5, 0xff}
	}
	return color.RGBA{0xe8, 0xee, 0xf7, 0xff}
}

// SVG writes the model as a picture.
func SVG(w io.Writer, m *layers.Model, opts Options) error {
	if err := m.Build(); err != nil {
		return err
	}
	ps := panels(m, opts)
	width, height := bounds(ps)
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="monospace" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintln(b, `<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>`)
	fmt.Fprintln(b, `<rect width="100%" height="100%" fill="white"/>`)
	for _, p := range ps {
		fmt.Fprintf(b, `<g transform="translate(%.1f 0)"><text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", p.offset, gapX, lineHeight, escape(p.title))
		for _, e := range p.edges {
			var d strings.Builder
			for i, q := range points(e) {
				fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], q[0], q[1])
			}
			fmt.Fprintf(b, `<path d="%s" fill="none" stroke="#555" marker-end="url(#a)"/>`+"\n", d.String())
		}
		for _, x := range p.boxes {
			c := fill(x.layer)
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="3" fill="#%02x%02x%02x" stroke="#334"/>`, x.x-x.w/2, x.y-x.h/2, x.w, x.h, c.R, c.G, c.B)
			for i, s := range x.lines {
				fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x.x, x.y-x.h/2+margin/2+float64((i+1)*lineHeight)-4, escape(s))
			}
			fmt.Fprintln(b)
		}
		fmt.Fprintln(b, "</g>")
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

// points is the corners of a line: from the bottom of the first box over the bends to the top of the last.
func points(e []*box) [][2]float64 {
	first, last := e[0], e[len(e)-1]
	out := [][2]float64{{first.x, first.y + first.h/2}}
	for _, b := range e[1 : len(e)-1] {
		out = append(out, [2]float64{b.x, b.y - b.h/2}, [2]float64{b.x, b.y + b.h/2})
	}
	return append(out, [2]float64{last.x, last.y - last.h/2})
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// maxPixels bounds a PNG's size.
const maxPixels = 200 << 20

// PNG writes the model as a picture.
func PNG(w io.Writer, m *layers.Model, opts Options) error {
	if err := m.Build(); err != nil {
		return err
	}
	ps := panels(m, opts)
	width, height := bounds(ps)
	if width*height > maxPixels {
		return errors.New("plotmodel: the picture is too large for PNG; use SVG")
	}
	img := image.NewRGBA(image.Rect(0, 0, int(width)+1, int(height)+1))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	ink, grey := color.RGBA{0x33, 0x33, 0x44, 0xff}, color.RGBA{0x55, 0x55, 0x55, 0xff}
	for _, p := range ps {
		at := func(x float64) int { return int(p.offset + x) }
		write(img, at(gapX), lineHeight, p.title, ink)
		for _, e := range p.edges {
			q := points(e)
			for i := 1; i < len(q); i++ {
				line(img, p.offset+q[i-1][0], q[i-1][1], p.offset+q[i][0], q[i][1], grey)
			}
			tip := q[len(q)-1]
			for d := -3; d <= 3; d++ {
				line(img, p.offset+tip[0], tip[1], p.offset+tip[0]+float64(d), tip[1]-7, grey)
			}
		}
		for _, x := range p.boxes {
			r := image.Rect(at(x.x-x.w/2), int(x.y-x.h/2), at(x.x+x.w/2), int(x.y+x.h/2))
			draw.Draw(img, r, image.NewUniform(ink), image.Point{}, draw.Src)
			draw.Draw(img, r.Inset(1), image.NewUniform(fill(x.layer)), image.Point{}, draw.Src)
			for i, s := range x.lines {
				write(img, at(x.x)-len([]rune(s))*charWidth/2, r.Min.Y+margin/2+(i+1)*lineHeight-4, s, ink)
			}
		}
	}
	return png.Encode(w, img)
}

func write(img *image.RGBA, x, y int, s string, c color.Color) {
	d := font.Drawer{Dst: img, Src: image.NewUniform(c), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

func line(img *image.RGBA, x0, y0, x1, y1 float64, c color.RGBA) {
	n := int(max(abs(x1-x0), abs(y1-y0))) + 1
	for i := range n + 1 {
		t := float64(i) / float64(n)
		img.SetRGBA(int(x0+(x1-x0)*t), int(y0+(y1-y0)*t), c)
	}
}

func abs(v float64) float64 { return max(v, -v) }
