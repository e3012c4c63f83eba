package layers

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// MelSpectrogram is the spectra of overlapping frames of a signal (time last), weighed into bands of the mel
// scale: (..., NumMelBins, frames).
type MelSpectrogram struct {
	Base
	FftLength      int `def:"2048"`
	SequenceStride int `def:"512"`
	SequenceLength *int
	Window         any      `def:"\"hann\""`
	SamplingRate   int      `def:"16000"`
	NumMelBins     int      `def:"128"`
	MinFreq        *float64 `def:"20.0"`
	MaxFreq        *float64 // nil: half of the sampling rate
	NoDB           bool     `keras:"power_to_db,not"`
	TopDB          *float64 `keras:"top_db" def:"80.0"`
	MagExp         *float64 `def:"2.0"`
	MinPower       *float64 `def:"1e-10"`
	RefPower       *float64 `def:"1.0"`
}

// Call implements Layer.
func (l *MelSpectrogram) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	n := orOne(l.FftLength, 2048)
	length := orInt(l.SequenceLength, n)
	if length == 0 {
		length = n
	}
	bins, rate := orOne(l.NumMelBins, 128), orOne(l.SamplingRate, 16000)
	if c.rank(x) < 1 || !c.atMost("num_mel_bins", bins, 1<<14) || c.Err() != nil {
		return one(x)
	}
	o := &opArgs{Call: c, vals: map[string]any{
		"x": x, "sequence_length": length, "sequence_stride": orOne(l.SequenceStride, 512), "fft_length": n, "window": orAny(l.Window, "hann"),
	}}
	p := stftOp(o)
	if len(p) < 2 || c.Err() != nil {
		return one(x)
	}
	spec := c.Add(ops.Sqrt{}, c.add(c.mul(p[0], p[0]), c.mul(p[1], p[1])))
	spec = c.Add(ops.Pow{}, spec, c.num(spec, orFloat(l.MagExp, 2)))
	hi := orFloat(l.MaxFreq, float64(rate/2))
	if hi == 0 {
		hi = float64(rate / 2)
	}
	places := n/2 + 1
	y := c.Add(ops.MatMul{}, spec, c.constant(spec.Type.DType, melWeights(places, bins, float64(rate), orFloat(l.MinFreq, 20), hi), places, bins))
	if !l.NoDB {
		least := orFloat(l.MinPower, 1e-10)
		y = c.mulN(c.Add(ops.Log{}, c.Add(ops.Max{}, y, c.num(y, least))), 10/math.Ln10)
		y = c.addN(y, -10*math.Log10(max(math.Abs(orFloat(l.RefPower, 1)), least)))
		y = c.Add(ops.Max{}, y, c.addN(c.Add(ops.ReduceMax{}, y), -orFloat(l.TopDB, 80)))
	}
	perm := identityPerm(c.rank(y))
	r := len(perm)
	if r >= 2 {
		perm[r-1], perm[r-2] = r-2, r-1
	}
	return one(c.transpose(y, perm...))
}

// melWeights is the triangles of the mel bands over linear frequencies, (places, bins), as HTK has them: the
// first frequency is in none.
func melWeights(places, bins int, rate, lo, hi float64) []float64 {
	mel := func(hz float64) float64 { return 1127 * math.Log(1+hz/700) }
	from, step := mel(lo), (mel(hi)-mel(lo))/float64(bins+1)
	m := make([]float64, places*bins)
	for i := 1; i < places; i++ {
		f := mel(float64(i) * rate / 2 / float64(max(places-1, 1)))
		for j := range bins {
			left, mid, right := from+step*float64(j), from+step*float64(j+1), from+step*float64(j+2)
			m[i*bins+j] = max(0, min((f-left)/(mid-left), (right-f)/(right-mid)))
		}
	}
	return m
}
