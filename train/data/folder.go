package data

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/pixels"
	"github.com/nnrt/nnrt/tensor"
)

// FolderOptions steers Folder.
type FolderOptions struct {
	Height, Width, Channels int     // of the tensors; Channels 0 means 3
	Scale, Offset           float32 // bytes x become x*Scale + Offset; a zero Scale means 1
	ChannelsFirst           bool
	// OneHot makes targets one-hot rows; otherwise they are class numbers [N,1].
	OneHot bool
	// Unlabeled takes the pictures in the folder itself, in the order of their names, without targets.
	Unlabeled bool
}

// Pictures is a dataset of pictures in folders, a folder a class, decoded as they are needed by as many
// goroutines as GOMAXPROCS.
type Pictures struct {
	Classes []string // the folders' names, in order
	Files   []string
	Labels  []int
	opts    FolderOptions
}

// Folder lists the pictures below root, one folder a class, as Keras' image_dataset_from_directory.
func Folder(root string, o FolderOptions) (*Pictures, error) {
	if o.Height <= 0 || o.Width <= 0 || o.Height*o.Width > 1<<26 {
		return nil, errs.Errorf("data: pictures of %d x %d", o.Width, o.Height)
	}
	if o.Channels == 0 {
		o.Channels = 3
	}
	if o.Channels != 1 && o.Channels != 3 {
		return nil, errs.Errorf("data: pictures of %d channels: 1 or 3", o.Channels)
	}
	p := &Pictures{opts: o}
	if o.Unlabeled {
		files, err := os.ReadDir(root)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !f.IsDir() && isPicture(f.Name()) {
				p.Files = append(p.Files, filepath.Join(root, f.Name()))
			}
		}
	} else if err := eachClass(root, func(class string) {
		p.Classes = append(p.Classes, class)
	}, func(path string) error {
		if isPicture(path) {
			p.Files, p.Labels = append(p.Files, path), append(p.Labels, len(p.Classes)-1)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if len(p.Files) == 0 {
		if o.Unlabeled {
			return nil, errs.Errorf("data: no pictures in %s: %w", root, ErrEmpty)
		}
		return nil, errs.Errorf("data: no pictures in folders below %s, which are to be one a class: %w", root, ErrEmpty)
	}
	return p, nil
}

func isPicture(name string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}, strings.ToLower(filepath.Ext(name)))
}

// Len implements Dataset.
func (p *Pictures) Len() int { return len(p.Files) }

// Split divides the pictures in two at random, the second having part of them.
func (p *Pictures) Split(part float64, seed uint64) (a, b *Pictures) {
	perm := Order{Shuffle: true, Seed: seed}.Perm(len(p.Files))
	n := len(perm) - int(part*float64(len(perm)))
	pick := func(idx []int) *Pictures {
		q := &Pictures{Classes: p.Classes, opts: p.opts}
		for _, i := range idx {
			q.Files = append(q.Files, p.Files[i])
			if !p.opts.Unlabeled {
				q.Labels = append(q.Labels, p.Labels[i])
			}
		}
		return q
	}
	return pick(perm[:n]), pick(perm[n:])
}

// Batches implements Dataset.
func (p *Pictures) Batches(o Order) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		perm := o.Perm(len(p.Files))
		for at, k := 0, 0; at < len(perm); at, k = at+o.size(), k+1 {
			idx := perm[at:min(at+o.size(), len(perm))]
			if k < o.Skip || o.DropLast && len(idx) < o.size() {
				continue
			}
			b, err := p.load(idx)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// load decodes pictures side by side.
func (p *Pictures) load(idx []int) (Batch, error) {
	o := p.opts
	shape := []int{len(idx), o.Height, o.Width, o.Channels}
	if o.ChannelsFirst {
		shape = []int{len(idx), o.Channels, o.Height, o.Width}
	}
	x := tensor.New(tensor.Float32, shape...)
	var y []*tensor.Tensor
	if !o.Unlabeled {
		y = []*tensor.Tensor{p.targets(idx)}
	}
	errs := make([]error, len(idx))
	var wg sync.WaitGroup
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	size := o.Height * o.Width * o.Channels
	for k, i := range idx {
		wg.Add(1)
		limit <- struct{}{}
		go func() {
			defer wg.Done()
			errs[k] = decodePicture(p.Files[i], tensor.As[float32](x)[k*size:][:size], o)
			<-limit
		}()
	}
	wg.Wait()
	return Batch{X: []*tensor.Tensor{x}, Y: y}, errors.Join(errs...)
}

func (p *Pictures) targets(idx []int) *tensor.Tensor {
	if !p.opts.OneHot {
		y := tensor.New(tensor.Float32, len(idx), 1)
		for k, i := range idx {
			tensor.As[float32](y)[k] = float32(p.Labels[i])
		}
		return y
	}
	y := tensor.New(tensor.Float32, len(idx), len(p.Classes))
	for k, i := range idx {
		tensor.As[float32](y)[k*len(p.Classes)+p.Labels[i]] = 1
	}
	return y
}

// PictureError is about a file that should have been a picture.
type PictureError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *PictureError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is the error itself.
func (e *PictureError) Unwrap() error { return e.Err }

// Notes says which classes have no picture.
func (p *Pictures) Notes() []string {
	var out []string
	for c, name := range p.Classes {
		if !slices.Contains(p.Labels, c) {
			out = append(out, fmt.Sprintf("the folder %q holds no pictures", name))
		}
	}
	if len(p.Classes) == 1 {
		out = append(out, fmt.Sprintf("all pictures are of one class, %q: the folder should hold a folder for each class", p.Classes[0]))
	}
	return out
}

// decodePicture reads one file into dst, scaled to the size asked for.
func decodePicture(path string, dst []float32, o FolderOptions) error {
	img, err := pixels.Open(path)
	if err != nil {
		return &PictureError{Path: path, Err: err}
	}
	pixels.Layout{Height: o.Height, Width: o.Width, Channels: o.Channels, ChannelsFirst: o.ChannelsFirst, Scale: o.Scale,
		Offset: o.Offset}.Paint(dst, img)
	return nil
}

// FolderFor is Folder with the size, channels and layout that a model's input of type t takes.
func FolderFor(root string, t graph.Type, o FolderOptions) (*Pictures, error) {
	if t.Rank() != 4 {
		return nil, errs.Errorf("data: pictures don't fit an input of %v", t)
	}
	size := func(i int) int { n, _ := t.Dims[i].Const(); return n }
	o.Height, o.Width, o.Channels = size(1), size(2), size(3)
	if c := size(1); (c == 1 || c == 3) && o.Channels != 1 && o.Channels != 3 {
		o.Height, o.Width, o.Channels, o.ChannelsFirst = size(2), size(3), c, true
	}
	if o.Height == 0 || o.Width == 0 {
		o.Height, o.Width = 224, 224
	}
	return Folder(root, o)
}
