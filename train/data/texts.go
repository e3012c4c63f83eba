package data

import (
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Texts is what text_dataset_from_directory reads: texts with the numbers of their classes.
type Texts struct {
	Classes []string // the folders' names, in order
	Files   []string
	Texts   []string
	Labels  []int
}

// maxText bounds one file of TextFolder.
const maxText = 64 << 20

// TextFolder reads the .txt files (UTF-8) below root, one folder a class, as Keras' text_dataset_from_directory. A
// TextVectorizer or a Tokenizer makes numbers of the texts.
func TextFolder(root string) (*Texts, error) {
	t := &Texts{}
	err := eachClass(root, func(class string) {
		t.Classes = append(t.Classes, class)
	}, func(path string) error {
		if strings.ToLower(filepath.Ext(path)) != ".txt" {
			return nil
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		if st.Size() > maxText {
			return errs.Errorf("data: %s: a text of %d bytes is too large", path, st.Size())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !utf8.Valid(b) {
			return errs.Errorf("data: %s: this is no text in UTF-8", path)
		}
		t.Files, t.Texts, t.Labels = append(t.Files, path), append(t.Texts, string(b)), append(t.Labels, len(t.Classes)-1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(t.Texts) == 0 {
		return nil, errs.Errorf("data: no .txt files in folders below %s, which are to be one a class: %w", root, ErrEmpty)
	}
	return t, nil
}

// Targets is the class numbers as a column.
func (t *Texts) Targets() *tensor.Tensor {
	y := tensor.New(tensor.Float32, len(t.Labels), 1)
	for i, c := range t.Labels {
		tensor.As[float32](y)[i] = float32(c)
	}
	return y
}

// eachClass visits the folders below root in order, and the files in each.
func eachClass(root string, class func(name string), file func(path string) error) error {
	dirs, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		files, err := os.ReadDir(filepath.Join(root, d.Name()))
		if err != nil {
			return err
		}
		class(d.Name())
		for _, f := range files {
			if f.IsDir() {
				continue
			}
			if err := file(filepath.Join(root, d.Name(), f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
