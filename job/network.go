package job

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/pretrained"
)

// Network is the size of a network by name.
type Network struct {
	Size  int     // height and width of its pictures; 0: its own
	Alpha float64 // width; 0: that of the weights' file
}

// Open loads a model: a file, or a network of the catalogue by name, with the file of its weights.
func (n Network) Open(model, weights string) (*nnrt.Source, error) {
	_, err := os.Stat(model)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || filepath.Ext(model) != "" {
		src, err := nnrt.ImportSource(model, nnrt.ImportOptions{Weights: weights})
		if err != nil {
			return nil, FileError{model, err}
		}
		return src, nil
	}
	var net pretrained.Net
	var names []string
	for _, c := range pretrained.Catalogue() {
		names = append(names, c.Name)
		if strings.EqualFold(c.Name, strings.NewReplacer("-", "", "_", "").Replace(model)) {
			net = c
		}
	}
	if net.Build == nil {
		return nil, usagef("%s is neither a file nor a network; there are %s", model, strings.Join(names, ", "))
	}
	if weights == "" {
		return nil, usagef("nnrt downloads nothing: name the file of %s's weights; Keras has them at %s", net.Name, net.Weights[0].URL)
	}
	return n.load(net, weights)
}

// load builds a network and loads its weights: with its classifier where the file has it, else without.
func (n Network) load(net pretrained.Net, weights string) (*nnrt.Source, error) {
	o := pretrained.Options{Height: n.Size, Width: n.Size, Alpha: n.Alpha}
	noTop, known := false, false
	for _, w := range net.Weights {
		if filepath.Base(w.URL) == filepath.Base(weights) {
			noTop, known = w.NoTop, true
			if o.Alpha == 0 {
				o.Alpha = w.Alpha
			}
		}
	}
	tries := []bool{noTop}
	if !known {
		tries = []bool{true, false}
	}
	var errs []error
	for _, o.NoTop = range tries {
		if o.Pooling = ""; o.NoTop {
			o.Pooling = "avg"
		}
		m, err := pretrained.Open(net.Name, weights, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g, err := m.Graph(layers.Options{})
		if err != nil {
			return nil, err
		}
		return &nnrt.Source{Format: formats.KerasZip, Graph: g, Keras: &keras.File{Model: m}}, nil
	}
	return nil, FileError{weights, errors.Join(errs...)}
}

// preprocessing finds out how the model wants its pictures, where nothing was said about it.
func (o *Options) preprocessing(src *nnrt.Source) {
	if d := o.Data; d.Preprocess != "" || d.Scale != 0 && d.Scale != 1 || d.Offset != 0 {
		return
	}
	if st, err := os.Stat(o.Data.Path); err != nil || !st.IsDir() {
		return
	}
	mode, why := guess(src)
	if o.Data.Preprocess = string(mode); mode == "" {
		o.logf("pictures are fed as numbers from 0 to 255; --preprocess, or --scale and --offset, say otherwise")
		return
	}
	o.logf("pictures are preprocessed as %s wants it: %s", why, mode)
}

// guess goes by the names of the model and of the models in it.
func guess(src *nnrt.Source) (pretrained.Mode, string) {
	l := src.Layers()
	if l == nil {
		if channelsFirst(src.Graph.Inputs[0].Type) {
			return pretrained.Torch, "a network with channels first usually"
		}
		return "", ""
	}
	if net, ok := networkOf(l, 0); ok {
		return net.Mode, net.Name
	}
	return "", ""
}

// signatures are layers that give a network away, the later ones in it first to be believed.
var signatures = map[string]string{
	"block_16_project": "MobileNetV2", "conv_pw_13": "MobileNet", "block5_conv3": "VGG16", "block5_conv4": "VGG19",
	"conv5_block3_add": "ResNet50", "conv5_block3_preact_bn": "ResNet50V2", "conv5_block16_concat": "DenseNet121", "fire9/concat": "SqueezeNet",
}

// networkOf is the network of the catalogue that a model, or one inside of it, is named after.
func networkOf(m *layers.Model, depth int) (pretrained.Net, bool) {
	name := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(m.Name))
	best, found := pretrained.Net{}, false
	for _, n := range pretrained.Catalogue() {
		if strings.HasPrefix(name, strings.ToLower(n.Name)) && len(n.Name) > len(best.Name) {
			best, found = n, true
		}
	}
	if found || depth > 16 {
		return best, found
	}
	for _, l := range m.Layers() {
		if name := signatures[l.Common().Name]; name != "" {
			if n, err := pretrained.Find(name); err == nil {
				best, found = n, true
			}
		}
		switch l := l.(type) {
		case *layers.Rescaling, *layers.Normalization:
			return pretrained.Net{Name: fmt.Sprintf("layer %q", l.Common().Name), Mode: pretrained.None}, true
		case *layers.Model:
			if n, ok := networkOf(l, depth+1); ok {
				return n, ok
			}
		}
	}
	return best, found
}
