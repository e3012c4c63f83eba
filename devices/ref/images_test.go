package ref

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"
)

// checker is an image of colored squares.
func checker(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			k := uint8(x/5*37 + y/5*91)
			m.Set(x, y, color.RGBA{k, 2 * k, 255 - k, 255})
		}
	}
	return m
}

// TestDecodeJPEG holds that own decoding stays within what rounding of the inverse transform allows of the
// standard library's, where chroma is not interpolated.
func TestDecodeJPEG(t *testing.T) {
	var file bytes.Buffer
	gray := image.NewGray(image.Rect(0, 0, 33, 18))
	for i := range gray.Pix {
		gray.Pix[i] = uint8(i * i / 7)
	}
	require.NoError(t, jpeg.Encode(&file, gray, &jpeg.Options{Quality: 80}))
	want, err := jpeg.Decode(bytes.NewReader(file.Bytes()))
	require.NoError(t, err)
	got, err := decodeImage(file.Bytes())
	require.NoError(t, err)
	require.Equal(t, []int{33, 18}, []int{got.w, got.h})
	for i := range 33 * 18 {
		w := want.(*image.Gray).GrayAt(i%33, i/33).Y
		require.InDelta(t, w, got.rgb[3*i], 1, "pixel %d", i)
		require.Equal(t, got.rgb[3*i], got.rgb[3*i+2])
	}
}

// TestDecodeImage holds what broken and foreign files give.
func TestDecodeImage(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, checker(7, 4)))
	got, err := decodeImage(file.Bytes())
	require.NoError(t, err)
	require.Equal(t, fromImage(checker(7, 4)), got)

	for name, data := range map[string]string{
		"nothing":   "",
		"text":      "no image",
		"cut":       file.String()[:40],
		"short pnm": "P6 2 2 255\n\x01",
	} {
		p, err := decodeImage([]byte(data))
		require.NoError(t, err, name)
		require.Zero(t, p.w*p.h, name)
	}
	p, err := decodeImage([]byte("P2 # plain\n3 1\n7\n0 3 7"))
	require.NoError(t, err)
	require.Equal(t, []uint8{0, 0, 0, 109, 109, 109, 255, 255, 255}, p.rgb)

	_, err = decodeImage([]byte("P5 99999999 99999999 255\n"))
	require.ErrorIs(t, err, errTooLarge)
}

// FuzzDecodeImage holds that no file makes the decoder panic.
func FuzzDecodeImage(f *testing.F) {
	for _, q := range []int{20, 90} {
		var file bytes.Buffer
		require.NoError(f, jpeg.Encode(&file, checker(20, 13), &jpeg.Options{Quality: q}))
		f.Add(file.Bytes())
	}
	f.Add([]byte("P4 9 2\n\x01\x02\x03\x04"))
	f.Add([]byte("P3 1 1 15 1 2 3"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodeImage(data)
		if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errJPEG2000) {
			t.Fatal(err)
		}
		if len(p.rgb) != 3*p.w*p.h {
			t.Fatalf("%d bytes for %d by %d", len(p.rgb), p.w, p.h)
		}
	})
}
