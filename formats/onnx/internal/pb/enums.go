package pb

import "fmt"

// DataType is TensorProto.DataType.
type DataType int32

// The element types of ONNX.
const (
	Undefined DataType = iota
	Float
	Uint8
	Int8
	Uint16
	Int16
	Int32
	Int64
	String
	Bool
	Float16
	Double
	Uint32
	Uint64
	Complex64
	Complex128
	BFloat16
	Float8E4M3FN
	Float8E4M3FNUZ
	Float8E5M2
	Float8E5M2FNUZ
	Uint4
	Int4
	Float4E2M1
	Float8E8M0
	Uint2
	Int2
)

var dataTypeNames = [...]string{
	"UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16", "DOUBLE",
	"UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2",
	"FLOAT8E5M2FNUZ", "UINT4", "INT4", "FLOAT4E2M1", "FLOAT8E8M0", "UINT2", "INT2",
}

// String is the type's ONNX name.
func (t DataType) String() string { return enumName("DataType", int32(t), dataTypeNames[:]) }

// AttributeType is AttributeProto.AttributeType.
type AttributeType int32

// The kinds of attribute.
const (
	AttrUndefined     AttributeType = 0
	AttrFloat         AttributeType = 1
	AttrInt           AttributeType = 2
	AttrString        AttributeType = 3
	AttrTensor        AttributeType = 4
	AttrGraph         AttributeType = 5
	AttrFloats        AttributeType = 6
	AttrInts          AttributeType = 7
	AttrStrings       AttributeType = 8
	AttrTensors       AttributeType = 9
	AttrGraphs        AttributeType = 10
	AttrSparseTensor  AttributeType = 11
	AttrSparseTensors AttributeType = 12
	AttrTypeProto     AttributeType = 13
	AttrTypeProtos    AttributeType = 14
)

var attributeTypeNames = [...]string{
	"UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS", "TENSORS", "GRAPHS",
	"SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS",
}

// String is the kind's ONNX name.
func (t AttributeType) String() string {
	return enumName("AttributeType", int32(t), attributeTypeNames[:])
}

// DataLocation says whether a tensor's bytes are in the model file.
type DataLocation int32

// The places of a tensor's bytes.
const (
	LocationDefault  DataLocation = 0
	LocationExternal DataLocation = 1
)

var dataLocationNames = [...]string{"DEFAULT", "EXTERNAL"}

// String is the location's ONNX name.
func (l DataLocation) String() string {
	return enumName("DataLocation", int32(l), dataLocationNames[:])
}

// ElemKind is SequenceProto.DataType and OptionalProto.DataType.
type ElemKind int32

// What a sequence or an optional holds.
const (
	ElemUndefined ElemKind = iota
	ElemTensor
	ElemSparseTensor
	ElemSequence
	ElemMap
	ElemOptional
)

var elemKindNames = [...]string{"UNDEFINED", "TENSOR", "SPARSE_TENSOR", "SEQUENCE", "MAP", "OPTIONAL"}

// String is the kind's ONNX name.
func (k ElemKind) String() string { return enumName("ElemKind", int32(k), elemKindNames[:]) }

func enumName(kind string, v int32, names []string) string {
	if v >= 0 && int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}
