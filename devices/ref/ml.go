package ref

import (
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func mlKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(arrayFeatureExtractor),
		fn(func(op ops.Binarizer, c *Call) error {
			return mapFloat(c, func(x float64) float64 {
				if x > op.Threshold {
					return 1
				}
				return 0
			})
		}),
		fn(castMap),
		fn(categoryMapper),
		fn(dictVectorizer),
		fn(featureVectorizer),
		fn(imputer),
		fn(labelEncoder),
		fn(linearClassifier),
		fn(linearRegressor),
		fn(normalizer),
		fn(oneHotEncoder),
		fn(scaler),
		fn(svmClassifier),
		fn(svmRegressor),
		fn(zipMap),
	}
}

// matrix reads a [N,C] or [C] tensor of numbers as rows.
func matrix(t *tensor.Tensor) (v []float64, n, c int, err error) {
	v, err = t.Float64s()
	n, c = 1, t.Len()
	if t.Rank() == 2 {
		n, c = t.Dim(0), t.Dim(1)
	}
	return v, n, c, err
}

func arrayFeatureExtractor(_ ops.ArrayFeatureExtractor, c *Call) error {
	x := c.In(0)
	idx, err := c.In(1).Int64s()
	if err != nil {
		return err
	}
	width := 1
	if x.Rank() > 0 {
		width = x.Dim(-1)
	}
	rows := 0
	if width > 0 {
		rows = x.Len() / width
	}
	shape := append([]int{}, x.Shape()...)
	if len(shape) <= 1 {
		shape = []int{1, len(idx)}
	} else {
		shape[len(shape)-1] = len(idx)
	}
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	for k, i := range idx {
		if i < 0 || int(i) >= width {
			return errs.Errorf("index %d of %d columns", i, width)
		}
		for r := range rows {
			copyBlock(out, r*len(idx)+k, x, r*width+int(i), 1)
		}
	}
	return nil
}

func castMap(op ops.CastMap, c *Call) error {
	m, ok := c.Args.In[0].(*tensor.Map)
	if !ok {
		return errs.Errorf("the input is no map")
	}
	keys, err := m.Keys.Int64s()
	if err != nil {
		return err
	}
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return keys[order[a]] < keys[order[b]] })
	n := len(keys)
	if op.MapForm == "SPARSE" {
		n = op.MaxMap
	}
	vals, err := tensor.Cast(m.Values, c.Req.Out[0].DType, tensor.CastOptions{})
	if err != nil {
		return err
	}
	out, err := c.OutOf(0, vals.DType(), 1, n)
	if err != nil {
		return err
	}
	for k, i := range order {
		at := k
		if op.MapForm == "SPARSE" {
			at = int(keys[i])
			if keys[i] < 0 || at >= n {
				return errs.Errorf("key %d, max_map is %d", keys[i], n)
			}
		}
		copyBlock(out, at, vals, i, 1)
	}
	return nil
}

func categoryMapper(op ops.CategoryMapper, c *Call) error {
	in, out := c.In(0), c.Out(0)
	if in.DType() == tensor.String {
		to := map[string]int64{}
		for i, s := range op.CatsStrings {
			to[s] = op.CatsInt64s[i]
		}
		for i, s := range in.Strings() {
			v, ok := to[s]
			if !ok {
				v = op.DefaultInt64
			}
			tensor.As[int64](out)[i] = v
		}
		return nil
	}
	to := map[int64]string{}
	for i, v := range op.CatsInt64s {
		to[v] = op.CatsStrings[i]
	}
	for i, v := range tensor.As[int64](in) {
		s, ok := to[v]
		if !ok {
			s = op.DefaultString
		}
		out.Strings()[i] = s
	}
	return nil
}

// keyOf spells element i so that equal elements, and all NaNs, spell alike.
func keyOf(t *tensor.Tensor) (func(i int) string, error) {
	if t.DType() == tensor.String {
		return func(i int) string { return t.Strings()[i] }, nil
	}
	if t.DType().IsInt() {
		v, err := t.Int64s()
		return func(i int) string { return strconv.FormatInt(v[i], 10) }, err
	}
	v, err := t.Float64s()
	return func(i int) string { return strconv.FormatFloat(v[i]+0, 'g', -1, 64) }, err
}

func dictVectorizer(op ops.DictVectorizer, c *Call) error {
	m, ok := c.Args.In[0].(*tensor.Map)
	if !ok {
		return errs.Errorf("the input is no map")
	}
	at := map[string]int{}
	for i, s := range op.StringVocabulary {
		at[s] = i
	}
	for i, v := range op.Int64Vocabulary {
		at[strconv.FormatInt(v, 10)] = i
	}
	key, err := keyOf(m.Keys)
	if err != nil {
		return err
	}
	out, err := c.OutOf(0, m.Values.DType(), 1, len(op.StringVocabulary)+len(op.Int64Vocabulary))
	if err != nil {
		return err
	}
	clear(out.Bytes())
	for i := range m.Keys.Len() {
		if k, ok := at[key(i)]; ok {
			copyBlock(out, k, m.Values, i, 1)
		}
	}
	return nil
}

func featureVectorizer(op ops.FeatureVectorizer, c *Call) error {
	out := c.Out(0)
	width, at := out.Dim(1), 0
	y := tensor.As[float32](out)
	clear(y)
	for i := range c.NIn() {
		v, n, cols, err := matrix(c.In(i))
		if err != nil {
			return err
		}
		if n != out.Dim(0) {
			return errs.Errorf("input %d has %d rows, the first %d", i, n, out.Dim(0))
		}
		w := cols
		if len(op.Inputdimensions) > 0 {
			w = op.Inputdimensions[i]
		}
		for r := range n {
			for k := range min(w, cols) {
				y[r*width+at+k] = float32(v[r*cols+k])
			}
		}
		at += w
	}
	return nil
}

func imputer(op ops.Imputer, c *Call) error {
	in, out := c.In(0), c.Out(0)
	width := 1
	if in.Rank() > 0 {
		width = max(in.Dim(-1), 1)
	}
	if in.DType().IsInt() {
		v, err := in.Int64s()
		if err != nil {
			return err
		}
		for i, x := range v {
			if x == op.ReplacedValueInt64 {
				v[i] = op.ImputedValueInt64s[i%width%len(op.ImputedValueInt64s)]
			}
		}
		return setInts(out, v)
	}
	v, err := in.Float64s()
	if err != nil {
		return err
	}
	old := op.ReplacedValueFloat
	for i, x := range v {
		if x == old || math.IsNaN(x) && math.IsNaN(old) {
			v[i] = op.ImputedValueFloats[i%width%len(op.ImputedValueFloats)]
		}
	}
	return out.SetFloat64s(v)
}

// listTensor is the one list that is set, as a tensor.
func listTensor(f []float64, i []int64, s []string, t *tensor.Tensor) (*tensor.Tensor, error) {
	switch {
	case t != nil:
		return t, nil
	case len(s) > 0:
		return tensor.FromStrings(s, len(s))
	case len(i) > 0:
		return tensor.Of(i), nil
	}
	out := tensor.New(tensor.Float32, len(f))
	return out, out.SetFloat64s(f)
}

func labelEncoder(op ops.LabelEncoder, c *Call) error {
	keys, err := listTensor(op.KeysFloats, op.KeysInt64s, op.KeysStrings, op.KeysTensor)
	if err != nil {
		return err
	}
	vals, err := listTensor(op.ValuesFloats, op.ValuesInt64s, op.ValuesStrings, op.ValuesTensor)
	if err != nil {
		return err
	}
	def := op.DefaultTensor
	if def == nil {
		switch {
		case vals.DType() == tensor.String:
			def, err = tensor.FromStrings([]string{op.DefaultString}, 1)
		case vals.DType() == tensor.Int64:
			def = tensor.Of([]int64{op.DefaultInt64})
		case vals.DType() == tensor.Float32:
			def = tensor.Of([]float32{float32(op.DefaultFloat)})
		case vals.DType().IsInt():
			def = tensor.New(vals.DType(), 1)
			err = setInts(def, []int64{-1})
		default:
			def = tensor.New(vals.DType(), 1)
			err = def.SetFloat64s([]float64{math.Copysign(0, -1)})
		}
		if err != nil {
			return err
		}
	}
	if def.DType() != vals.DType() || def.Len() != 1 {
		return errs.Errorf("the default is %v%v for values of %v", def.DType(), def.Shape(), vals.DType())
	}
	key, err := keyOf(keys)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i := range keys.Len() {
		at[key(i)] = i
	}
	in, out := c.In(0), c.Out(0)
	if key, err = keyOf(in); err != nil {
		return err
	}
	for i := range in.Len() {
		if k, ok := at[key(i)]; ok {
			copyBlock(out, i, vals, k, 1)
		} else {
			copyBlock(out, i, def, 0, 1)
		}
	}
	return nil
}

func normalizer(op ops.Normalizer, c *Call) error {
	v, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	for r := range n {
		row, d := v[r*cols:][:cols], 0.0
		for i, x := range row {
			switch op.Norm {
			case "MAX":
				if i == 0 || x > d {
					d = x
				}
			case "L1":
				d += math.Abs(x)
			default:
				d += x * x
			}
		}
		if op.Norm == "L2" {
			d = math.Sqrt(d)
		}
		if d == 0 {
			continue
		}
		for i := range row {
			row[i] /= d
		}
	}
	return c.Out(0).SetFloat64s(v)
}

func oneHotEncoder(op ops.OneHotEncoder, c *Call) error {
	in := c.In(0)
	n := len(op.CatsInt64s) + len(op.CatsStrings)
	y := tensor.As[float32](c.Out(0))
	clear(y)
	var find func(i int) int
	if in.DType() == tensor.String {
		find = func(i int) int { return slices.Index(op.CatsStrings, in.Strings()[i]) }
	} else {
		v, err := in.Float64s()
		if err != nil {
			return err
		}
		find = func(i int) int { return slices.Index(op.CatsInt64s, int64(v[i])) }
	}
	for i := range in.Len() {
		k := find(i)
		if k >= 0 {
			y[i*n+k] = 1
		} else if !op.Zeros {
			return errs.Errorf("element %d is of no known category", i)
		}
	}
	return nil
}

func scaler(op ops.Scaler, c *Call) error {
	v, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	width := 1
	if c.In(0).Rank() > 0 {
		width = max(c.In(0).Dim(-1), 1)
	}
	pick := func(s []float64, i int, none float64) float64 {
		if len(s) == 0 {
			return none
		}
		return s[i%width%len(s)]
	}
	for i, x := range v {
		v[i] = (x - pick(op.Offset, i, 0)) * pick(op.Scale, i, 1)
	}
	return c.Out(0).SetFloat64s(v)
}

func zipMap(op ops.ZipMap, c *Call) error {
	keys, err := listTensor(nil, op.ClasslabelsInt64s, op.ClasslabelsStrings, nil)
	if err != nil {
		return err
	}
	x := c.In(0)
	n, cols := 1, x.Len()
	if x.Rank() == 2 {
		n, cols = x.Dim(0), x.Dim(1)
	}
	if cols != keys.Len() {
		return errs.Errorf("%d labels for %v", keys.Len(), x.Shape())
	}
	out := &tensor.Sequence{DType: x.DType()}
	for r := range n {
		row, err := x.View(r*cols, cols)
		if err != nil {
			return err
		}
		out.Elems = append(out.Elems, &tensor.Map{Keys: keys, Values: row.Clone()})
	}
	return c.Set(0, out)
}
