package main

import (
	"fmt"
	"image"
	_ "image/jpeg" // the photos' format
	"os"
	"path/filepath"

	"github.com/nnrt/nnrt/pretrained"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// classes are the folders of the photos, in the order of the outputs.
var classes = []string{"ants", "bees"}

// load reads the photos below a folder, size x size, preprocessed; limit bounds those of each class, 0 does not.
func load(dir string, size, limit int, mode pretrained.Mode) (data.Arrays, error) {
	var xs []*tensor.Tensor
	var ys []int32
	for c, class := range classes {
		files, err := filepath.Glob(filepath.Join(dir, class, "*.jpg"))
		if err != nil {
			return data.Arrays{}, err
		}
		if len(files) == 0 {
			return data.Arrays{}, fmt.Errorf("no photos in %s", filepath.Join(dir, class))
		}
		if limit > 0 {
			files = files[:min(limit, len(files))]
		}
		for _, name := range files {
			img, err := decode(name)
			if err != nil {
				return data.Arrays{}, err
			}
			x := pretrained.Pixels(img, size, size)
			if err := pretrained.Preprocess(x, mode); err != nil {
				return data.Arrays{}, err
			}
			xs, ys = append(xs, x), append(ys, int32(c))
		}
	}
	x, err := data.Concat(xs...)
	if err != nil {
		return data.Arrays{}, err
	}
	return data.New(x, tensor.Of(ys, len(ys))), nil
}

func decode(name string) (image.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return img, nil
}
