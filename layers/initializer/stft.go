package initializer

import (
	"encoding/json"
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// STFT is one side of a short-time Fourier transform as a convolution kernel (frame length, 1, bins).
type STFT struct {
	Side     string `json:"side"`    // real or imag
	Window   Choice `json:"window"`  // hann, hamming, blackman, boxcar; empty for none
	Scaling  Choice `json:"scaling"` // density, spectrum; empty for none
	Periodic bool   `json:"periodic"`
}

// Choice is a name that Keras also writes as null, for none.
type Choice string

// UnmarshalJSON reads a string or null.
func (c *Choice) UnmarshalJSON(p []byte) error {
	*c = ""
	return json.Unmarshal(p, (*string)(c))
}

// MarshalJSON writes none as null.
func (c Choice) MarshalJSON() ([]byte, error) {
	if c == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(c))
}

// windows holds the coefficients of the windows that are sums of cosines.
var windows = map[string][]float64{
	"hann": {0.5, 0.5}, "hanning": {0.5, 0.5}, "hamming": {0.54, 0.46}, "blackman": {0.42, 0.5, 0.08},
	"boxcar": {1}, "rectangular": {1}, "ones": {1}, "nuttall": {0.3635819, 0.4891775, 0.1365995, 0.0106411},
	"blackmanharris": {0.35875, 0.48829, 0.14128, 0.01168},
}

// Fill implements Initializer.
func (d STFT) Fill(t *tensor.Tensor, _ *philox.Stream) error {
	if t.Rank() != 3 {
		return errs.Errorf("initializer: STFT takes shape (frame, channels, bins), not %v", t.Shape())
	}
	if d.Side != "real" && d.Side != "imag" {
		return errs.Errorf("initializer: STFT side %q is neither real nor imag", d.Side)
	}
	frame, ch, bins := t.Dim(0), t.Dim(1), t.Dim(2)
	win, err := d.window(frame)
	if err != nil {
		return err
	}
	fft := float64(2 * (bins - 1))
	vs := make([]float64, 0, t.Len())
	for i := range frame {
		for range ch {
			for j := range bins {
				a := -2 * math.Pi * float64(i) * float64(j) / fft
				v := math.Cos(a)
				if d.Side == "imag" {
					v = math.Sin(a)
				}
				vs = append(vs, v*win[i])
			}
		}
	}
	return t.SetFloat64s(vs)
}

// window is the scaled window. scipy's get_window takes fftbins as its third argument, which Keras calls
// periodic.
func (d STFT) window(n int) ([]float64, error) {
	w := make([]float64, n)
	if d.Window == "" {
		for i := range w {
			w[i] = 1
		}
		return w, nil
	}
	c, ok := windows[string(d.Window)]
	if !ok {
		return nil, errs.Errorf("initializer: STFT window %q is not supported", d.Window)
	}
	period := float64(n - 1)
	if d.Periodic {
		period = float64(n)
	}
	var sum, sq float64
	for i := range w {
		sign := 1.0
		for k, a := range c {
			w[i] += sign * a * math.Cos(2*math.Pi*float64(k*i)/max(period, 1))
			sign = -sign
		}
		sum += math.Abs(w[i])
		sq += w[i] * w[i]
	}
	scale := 1.0
	switch d.Scaling {
	case "density":
		scale = math.Sqrt(sq)
	case "spectrum":
		scale = sum
	case "":
	default:
		return nil, errs.Errorf("initializer: STFT scaling %q is neither density nor spectrum", d.Scaling)
	}
	for i := range w {
		w[i] /= scale
	}
	return w, nil
}
