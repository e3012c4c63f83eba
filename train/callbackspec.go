package train

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// monitorConfig is the parameters of Keras' callbacks that watch a number.
type monitorConfig struct {
	Monitor  string   `json:"monitor"`
	Mode     string   `json:"mode"`
	MinDelta *float64 `json:"min_delta"`
	Verbose  int      `json:"verbose"`
}

// freq is "epoch", "batch" or a number of batches.
type freq int

// UnmarshalJSON implements json.Unmarshaler.
func (f *freq) UnmarshalJSON(p []byte) error {
	switch string(p) {
	case `"epoch"`:
		*f = 0
		return nil
	case `"batch"`:
		*f = 1
		return nil
	}
	return json.Unmarshal(p, (*int)(f))
}

// callbackRows is the callbacks that can be made of a config, with Keras' names and defaults.
var callbackRows = []struct {
	class string
	make  func(config []byte) (Callback, error)
}{
	{"EarlyStopping", decodeEarlyStopping},
	{"ReduceLROnPlateau", decodeReduceLR},
	{"ModelCheckpoint", decodeModelCheckpoint},
	{"CSVLogger", func(p []byte) (Callback, error) {
		c := struct {
			Filename  string `json:"filename"`
			Separator string `json:"separator"`
			Append    bool   `json:"append"`
		}{}
		err := strictly(p, &c)
		if err == nil && c.Filename == "" {
			err = errs.Errorf("filename is missing")
		}
		return &CSVLogger{Path: c.Filename, Separator: c.Separator, Append: c.Append}, err
	}},
	{"TensorBoard", func(p []byte) (Callback, error) {
		c := struct {
			Dir       string `json:"log_dir"`
			Update    freq   `json:"update_freq"`
			Histogram int    `json:"histogram_freq"`
		}{Dir: "logs"}
		err := strictly(p, &c)
		return &TensorBoard{Dir: c.Dir, UpdateFreq: int(c.Update), HistogramFreq: c.Histogram}, err
	}},
	{"TerminateOnNaN", func(p []byte) (Callback, error) {
		c := struct {
			RaiseError bool `json:"raise_error"`
		}{}
		err := strictly(p, &c)
		return TerminateOnNaN{RaiseError: c.RaiseError}, err
	}},
	{"SwapEMAWeights", func(p []byte) (Callback, error) {
		c := struct {
			OnEpoch bool `json:"swap_on_epoch"`
		}{}
		err := strictly(p, &c)
		return &SwapEMAWeights{OnEpoch: c.OnEpoch}, err
	}},
}

// CallbackOf is the callback that a spec names: Keras' classes with their parameters.
func CallbackOf(spec string) (Callback, error) {
	name, cfg, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range callbackRows {
		if strings.EqualFold(r.class, strings.ReplaceAll(name, "_", "")) {
			c, err := r.make(cfg)
			if err != nil {
				return nil, errs.Errorf("train: %s: %w", r.class, err)
			}
			return c, nil
		}
		names = append(names, r.class)
	}
	return nil, errs.Errorf("train: unknown callback %q; there are %s", name, strings.Join(names, ", "))
}

// strictly decodes a config into out and refuses keys that out has not.
func strictly(p []byte, out any) error {
	if len(p) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	return d.Decode(out)
}

func decodeEarlyStopping(p []byte) (Callback, error) {
	c := struct {
		monitorConfig
		Patience       int      `json:"patience"`
		Baseline       *float64 `json:"baseline"`
		RestoreBest    bool     `json:"restore_best_weights"`
		StartFromEpoch int      `json:"start_from_epoch"`
	}{}
	err := strictly(p, &c)
	e := &EarlyStopping{Monitor: c.Monitor, Mode: c.Mode, Patience: c.Patience, Baseline: c.Baseline,
		RestoreBestWeights: c.RestoreBest, StartFromEpoch: c.StartFromEpoch}
	if c.MinDelta != nil {
		e.MinDelta = *c.MinDelta
	}
	return e, err
}

func decodeReduceLR(p []byte) (Callback, error) {
	c := struct {
		monitorConfig
		Factor   float64 `json:"factor"`
		Patience int     `json:"patience"`
		Cooldown int     `json:"cooldown"`
		MinLR    float64 `json:"min_lr"`
	}{Factor: 0.1, Patience: 10}
	err := strictly(p, &c)
	if err == nil && (c.Factor <= 0 || c.Factor >= 1) {
		err = errs.Errorf("a factor of %v is not between 0 and 1", c.Factor)
	}
	r := &ReduceLROnPlateau{Monitor: c.Monitor, Mode: c.Mode, Factor: c.Factor, Patience: max(c.Patience, 1), Cooldown: c.Cooldown, MinLR: c.MinLR}
	if c.MinDelta != nil {
		// The field's zero stands for the default.
		r.MinDelta = max(math.Abs(*c.MinDelta), math.SmallestNonzeroFloat64)
	}
	return r, err
}

func decodeModelCheckpoint(p []byte) (Callback, error) {
	c := struct {
		monitorConfig
		Path        string   `json:"filepath"`
		BestOnly    bool     `json:"save_best_only"`
		WeightsOnly bool     `json:"save_weights_only"`
		Freq        freq     `json:"save_freq"`
		Threshold   *float64 `json:"initial_value_threshold"`
	}{}
	err := strictly(p, &c)
	switch {
	case err != nil:
	case c.Path == "":
		err = errs.Errorf("filepath is missing")
	case c.MinDelta != nil:
		err = errs.Errorf("there is no parameter min_delta")
	}
	return &ModelCheckpoint{Path: c.Path, Monitor: c.Monitor, Mode: c.Mode, SaveBestOnly: c.BestOnly, Threshold: c.Threshold,
		SaveBatches: int(c.Freq)}, err
}
