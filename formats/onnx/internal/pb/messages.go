// Package pb holds the messages of onnx-ml.proto and onnx-data.proto as plain
// structs, with a decoder that aliases its input and a deterministic encoder
// that does not copy large tensors.
//
// Field names are the proto's in Go spelling. An absent scalar is its zero
// value; an absent message is nil. Where presence matters the field says so.
package pb

// ModelProto is a whole .onnx file.
type ModelProto struct {
	IRVersion       int64
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	DocString       string
	Graph           *GraphProto
	OpsetImport     []*OperatorSetIdProto
	MetadataProps   []*StringStringEntryProto
	TrainingInfo    []*TrainingInfoProto
	Functions       []*FunctionProto
	Configuration   []*DeviceConfigurationProto
}

// OperatorSetIdProto names a domain ("" is ai.onnx) and its opset version.
type OperatorSetIdProto struct {
	Domain  string
	Version int64
}

// StringStringEntryProto is one entry of a string map.
type StringStringEntryProto struct{ Key, Value string }

// TrainingInfoProto describes initialization and one training step.
type TrainingInfoProto struct {
	Initialization        *GraphProto
	Algorithm             *GraphProto
	InitializationBinding []*StringStringEntryProto
	UpdateBinding         []*StringStringEntryProto
}

// DeviceConfigurationProto is a multi-device configuration.
type DeviceConfigurationProto struct {
	Name       string
	NumDevices int32
	Device     []string
}

// GraphProto is a graph or subgraph.
type GraphProto struct {
	Node                   []*NodeProto
	Name                   string
	Initializer            []*TensorProto
	DocString              string
	Input, Output          []*ValueInfoProto
	ValueInfo              []*ValueInfoProto
	QuantizationAnnotation []*TensorAnnotation
	SparseInitializer      []*SparseTensorProto
	MetadataProps          []*StringStringEntryProto
}

// TensorAnnotation is a quantization annotation of a named tensor.
type TensorAnnotation struct {
	TensorName                string
	QuantParameterTensorNames []*StringStringEntryProto
}

// NodeProto is one node; an empty name in Input is an omitted optional input.
type NodeProto struct {
	Input, Output        []string
	Name                 string
	OpType               string
	Attribute            []*AttributeProto
	DocString            string
	Domain               string
	Overload             string
	MetadataProps        []*StringStringEntryProto
	DeviceConfigurations []*NodeDeviceConfigurationProto
}

// NodeDeviceConfigurationProto places a node on devices.
type NodeDeviceConfigurationProto struct {
	ConfigurationID string
	ShardingSpec    []*ShardingSpecProto
	PipelineStage   *int32 // nil: absent
}

// ShardingSpecProto says how a tensor is cut over devices.
type ShardingSpecProto struct {
	TensorName            string
	Device                []int64
	IndexToDeviceGroupMap []*IntIntListEntryProto
	ShardedDim            []*ShardedDimProto
}

// IntIntListEntryProto is one entry of a map from int to a list of ints.
type IntIntListEntryProto struct {
	Key   int64
	Value []int64
}

// ShardedDimProto says how one axis is cut.
type ShardedDimProto struct {
	Axis           int64
	SimpleSharding []*SimpleShardedDimProto
}

// SimpleShardedDimProto is one axis cut into NumShards.
type SimpleShardedDimProto struct {
	Dim       DimValue
	NumShards int64
}

// AttributeProto is a named attribute. Type says which field holds the value;
// the decoder fills it in for files of IR version 1, which lack it.
type AttributeProto struct {
	Name          string
	F             float32
	I             int64
	S             []byte // aliases the input
	T             *TensorProto
	G             *GraphProto
	Floats        []float32
	Ints          []int64
	Strings       [][]byte // alias the input
	Tensors       []*TensorProto
	Graphs        []*GraphProto
	DocString     string
	TP            *TypeProto
	TypeProtos    []*TypeProto
	Type          AttributeType
	RefAttrName   string
	SparseTensor  *SparseTensorProto
	SparseTensors []*SparseTensorProto
}

// ValueInfoProto names a value and its type.
type ValueInfoProto struct {
	Name          string
	Type          *TypeProto
	DocString     string
	MetadataProps []*StringStringEntryProto
}

// TensorProto is a tensor. At most one of the data fields should hold elements.
type TensorProto struct {
	Dims          []int64
	DataType      DataType
	Segment       *Segment
	FloatData     []float32
	Int32Data     []int32
	StringData    [][]byte // alias the input
	Int64Data     []int64
	Name          string
	RawData       []byte // aliases the input; nil when absent, which an empty one is not
	DoubleData    []float64
	Uint64Data    []uint64
	DocString     string
	ExternalData  []*StringStringEntryProto
	DataLocation  DataLocation
	MetadataProps []*StringStringEntryProto
}

// Segment is the part of a larger tensor that a TensorProto holds.
type Segment struct{ Begin, End int64 }

// SparseTensorProto is a tensor in coordinate form.
type SparseTensorProto struct {
	Values, Indices *TensorProto
	Dims            []int64
}

// TensorShapeProto is a shape; its Dim is empty for a scalar.
type TensorShapeProto struct{ Dim []*Dimension }

// DimKind says which member of a dimension is set.
type DimKind uint8

// The kinds of dimension.
const (
	DimUnknown DimKind = iota
	DimIsValue
	DimIsParam
)

// DimValue is a number or a symbol.
type DimValue struct {
	Kind  DimKind
	Value int64  // for DimIsValue
	Param string // for DimIsParam
}

// Dimension is one dimension of a TensorShapeProto.
type Dimension struct {
	DimValue
	Denotation string
}

// TypeProto is a value's type; at most one member is set.
type TypeProto struct {
	TensorType       *TensorType
	SequenceType     *SequenceType
	MapType          *MapType
	Denotation       string
	OpaqueType       *OpaqueType
	SparseTensorType *SparseTensorType
	OptionalType     *OptionalType
}

// TensorType is TypeProto.Tensor; Shape is nil when the rank is unknown.
type TensorType struct {
	ElemType DataType
	Shape    *TensorShapeProto
}

// SequenceType is TypeProto.Sequence.
type SequenceType struct{ ElemType *TypeProto }

// MapType is TypeProto.Map.
type MapType struct {
	KeyType   DataType
	ValueType *TypeProto
}

// OptionalType is TypeProto.Optional.
type OptionalType struct{ ElemType *TypeProto }

// SparseTensorType is TypeProto.SparseTensor.
type SparseTensorType struct {
	ElemType DataType
	Shape    *TensorShapeProto
}

// OpaqueType is TypeProto.Opaque.
type OpaqueType struct{ Domain, Name string }

// FunctionProto is a model-local function.
type FunctionProto struct {
	Name           string
	Input, Output  []string
	Attribute      []string     // names of attributes without a default
	Node           []*NodeProto //
	DocString      string       //
	OpsetImport    []*OperatorSetIdProto
	Domain         string
	AttributeProto []*AttributeProto // attributes with a default
	ValueInfo      []*ValueInfoProto
	Overload       string
	MetadataProps  []*StringStringEntryProto
}

// SequenceProto is a sequence value; ElemType says which list holds it.
type SequenceProto struct {
	Name               string
	ElemType           ElemKind
	TensorValues       []*TensorProto
	SparseTensorValues []*SparseTensorProto
	SequenceValues     []*SequenceProto
	MapValues          []*MapProto
	OptionalValues     []*OptionalProto
}

// MapProto is a map value: Keys or StringKeys against the elements of Values.
type MapProto struct {
	Name       string
	KeyType    DataType
	Keys       []int64
	StringKeys [][]byte // alias the input
	Values     *SequenceProto
}

// OptionalProto is an optional value: none when the member ElemType names is nil.
type OptionalProto struct {
	Name              string
	ElemType          ElemKind
	TensorValue       *TensorProto
	SparseTensorValue *SparseTensorProto
	SequenceValue     *SequenceProto
	MapValue          *MapProto
	OptionalValue     *OptionalProto
}

// Attr is n's attribute of that name, or nil.
func (n *NodeProto) Attr(name string) *AttributeProto {
	for _, a := range n.Attribute {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// External is the value of a key of t's external_data, and whether it is there.
func (t *TensorProto) External(key string) (string, bool) {
	for _, e := range t.ExternalData {
		if e.Key == key {
			return e.Value, true
		}
	}
	return "", false
}
