package tensor

// Value is what an edge of a graph carries at run time: *Tensor, *Sequence, *Optional or *Map.
type Value interface{ isValue() }

func (*Tensor) isValue()   {}
func (*Sequence) isValue() {}
func (*Optional) isValue() {}
func (*Map) isValue()      {}

// Sequence is an ordered list of values of one kind (ONNX seq(T)).
type Sequence struct {
	DType DType // element type where the elements are tensors, also of an empty sequence
	Elems []Value
}

// Optional holds a value or nothing (ONNX optional(T)).
type Optional struct {
	Elem Value // nil when empty
}

// Map holds pairs with integer or string keys (ONNX map(K, V)); ZipMap and DictVectorizer use it.
type Map struct {
	Keys   *Tensor // rank 1, an integer type or String
	Values *Tensor // rank 1, the same length
}
