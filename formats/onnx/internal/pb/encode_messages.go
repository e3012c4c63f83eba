package pb

// The methods here write fields in descending order of number: see writer.

func (m *ModelProto) encode(w *writer) {
	msgs(w, 26, m.Configuration)
	msgs(w, 25, m.Functions)
	msgs(w, 20, m.TrainingInfo)
	msgs(w, 14, m.MetadataProps)
	msgs(w, 8, m.OpsetImport)
	msg(w, 7, m.Graph)
	w.str(6, m.DocString)
	w.int(5, m.ModelVersion)
	w.str(4, m.Domain)
	w.str(3, m.ProducerVersion)
	w.str(2, m.ProducerName)
	w.int(1, m.IRVersion)
}

func (m *OperatorSetIdProto) encode(w *writer) {
	w.presentInt(2, m.Version)
	w.presentStr(1, m.Domain)
}

func (m *StringStringEntryProto) encode(w *writer) {
	w.presentStr(2, m.Value)
	w.presentStr(1, m.Key)
}

func (m *TrainingInfoProto) encode(w *writer) {
	msgs(w, 4, m.UpdateBinding)
	msgs(w, 3, m.InitializationBinding)
	msg(w, 2, m.Algorithm)
	msg(w, 1, m.Initialization)
}

func (m *DeviceConfigurationProto) encode(w *writer) {
	w.strs(3, m.Device)
	w.int(2, int64(m.NumDevices))
	w.str(1, m.Name)
}

func (m *GraphProto) encode(w *writer) {
	msgs(w, 16, m.MetadataProps)
	msgs(w, 15, m.SparseInitializer)
	msgs(w, 14, m.QuantizationAnnotation)
	msgs(w, 13, m.ValueInfo)
	msgs(w, 12, m.Output)
	msgs(w, 11, m.Input)
	w.str(10, m.DocString)
	msgs(w, 5, m.Initializer)
	w.str(2, m.Name)
	msgs(w, 1, m.Node)
}

func (m *TensorAnnotation) encode(w *writer) {
	msgs(w, 2, m.QuantParameterTensorNames)
	w.str(1, m.TensorName)
}

func (m *NodeProto) encode(w *writer) {
	msgs(w, 10, m.DeviceConfigurations)
	msgs(w, 9, m.MetadataProps)
	w.str(8, m.Overload)
	w.str(7, m.Domain)
	w.str(6, m.DocString)
	msgs(w, 5, m.Attribute)
	w.str(4, m.OpType)
	w.str(3, m.Name)
	w.strs(2, m.Output)
	w.strs(1, m.Input)
}

func (m *NodeDeviceConfigurationProto) encode(w *writer) {
	if m.PipelineStage != nil {
		w.presentInt(3, int64(*m.PipelineStage))
	}
	msgs(w, 2, m.ShardingSpec)
	w.str(1, m.ConfigurationID)
}

func (m *ShardingSpecProto) encode(w *writer) {
	msgs(w, 4, m.ShardedDim)
	msgs(w, 3, m.IndexToDeviceGroupMap)
	w.ints(2, m.Device)
	w.str(1, m.TensorName)
}

func (m *IntIntListEntryProto) encode(w *writer) {
	w.ints(2, m.Value)
	w.presentInt(1, m.Key)
}

func (m *ShardedDimProto) encode(w *writer) {
	msgs(w, 2, m.SimpleSharding)
	w.presentInt(1, m.Axis)
}

func (m *SimpleShardedDimProto) encode(w *writer) {
	w.presentInt(3, m.NumShards)
	m.Dim.encode(w)
}

func (m *DimValue) encode(w *writer) {
	switch m.Kind {
	case DimIsValue:
		w.presentInt(1, m.Value)
	case DimIsParam:
		w.presentStr(2, m.Param)
	}
}

// encode writes the scalar that Type names even when it is zero: readers tell
// absent from zero. A reference to a function's attribute has no value.
func (m *AttributeProto) encode(w *writer) {
	msgs(w, 23, m.SparseTensors)
	msg(w, 22, m.SparseTensor)
	w.str(21, m.RefAttrName)
	w.int(20, int64(m.Type))
	msgs(w, 15, m.TypeProtos)
	msg(w, 14, m.TP)
	w.str(13, m.DocString)
	msgs(w, 11, m.Graphs)
	msgs(w, 10, m.Tensors)
	w.byteses(9, m.Strings)
	w.ints(8, m.Ints)
	w.floats(7, m.Floats)
	msg(w, 6, m.G)
	msg(w, 5, m.T)
	value := m.RefAttrName == ""
	if len(m.S) > 0 || value && m.Type == AttrString {
		w.bytes(4, m.S)
	}
	if m.I != 0 || value && m.Type == AttrInt {
		w.presentInt(3, m.I)
	}
	if m.F != 0 || value && m.Type == AttrFloat {
		w.float(2, m.F)
	}
	w.str(1, m.Name)
}

func (m *ValueInfoProto) encode(w *writer) {
	msgs(w, 4, m.MetadataProps)
	w.str(3, m.DocString)
	msg(w, 2, m.Type)
	w.presentStr(1, m.Name)
}

func (m *TensorProto) encode(w *writer) {
	msgs(w, 16, m.MetadataProps)
	w.int(14, int64(m.DataLocation))
	msgs(w, 13, m.ExternalData)
	w.str(12, m.DocString)
	packedInts(w, 11, m.Uint64Data)
	w.packedDoubles(10, m.DoubleData)
	if m.RawData != nil {
		w.bytes(9, m.RawData)
	}
	w.str(8, m.Name)
	packedInts(w, 7, m.Int64Data)
	w.byteses(6, m.StringData)
	packedInts(w, 5, m.Int32Data)
	w.packedFloats(4, m.FloatData)
	msg(w, 3, m.Segment)
	w.int(2, int64(m.DataType))
	w.ints(1, m.Dims)
}

func (m *Segment) encode(w *writer) {
	w.presentInt(2, m.End)
	w.presentInt(1, m.Begin)
}

func (m *SparseTensorProto) encode(w *writer) {
	w.ints(3, m.Dims)
	msg(w, 2, m.Indices)
	msg(w, 1, m.Values)
}

func (m *TensorShapeProto) encode(w *writer) { msgs(w, 1, m.Dim) }

func (m *Dimension) encode(w *writer) {
	w.str(3, m.Denotation)
	m.DimValue.encode(w)
}

func (m *TypeProto) encode(w *writer) {
	msg(w, 9, m.OptionalType)
	msg(w, 8, m.SparseTensorType)
	msg(w, 7, m.OpaqueType)
	w.str(6, m.Denotation)
	msg(w, 5, m.MapType)
	msg(w, 4, m.SequenceType)
	msg(w, 1, m.TensorType)
}

func (m *TensorType) encode(w *writer) {
	msg(w, 2, m.Shape)
	w.int(1, int64(m.ElemType))
}

func (m *SparseTensorType) encode(w *writer) {
	msg(w, 2, m.Shape)
	w.int(1, int64(m.ElemType))
}

func (m *SequenceType) encode(w *writer) { msg(w, 1, m.ElemType) }

func (m *OptionalType) encode(w *writer) { msg(w, 1, m.ElemType) }

func (m *MapType) encode(w *writer) {
	msg(w, 2, m.ValueType)
	w.int(1, int64(m.KeyType))
}

func (m *OpaqueType) encode(w *writer) {
	w.str(2, m.Name)
	w.str(1, m.Domain)
}

func (m *FunctionProto) encode(w *writer) {
	msgs(w, 14, m.MetadataProps)
	w.str(13, m.Overload)
	msgs(w, 12, m.ValueInfo)
	msgs(w, 11, m.AttributeProto)
	w.str(10, m.Domain)
	msgs(w, 9, m.OpsetImport)
	w.str(8, m.DocString)
	msgs(w, 7, m.Node)
	w.strs(6, m.Attribute)
	w.strs(5, m.Output)
	w.strs(4, m.Input)
	w.str(1, m.Name)
}

func (m *SequenceProto) encode(w *writer) {
	msgs(w, 7, m.OptionalValues)
	msgs(w, 6, m.MapValues)
	msgs(w, 5, m.SequenceValues)
	msgs(w, 4, m.SparseTensorValues)
	msgs(w, 3, m.TensorValues)
	w.int(2, int64(m.ElemType))
	w.str(1, m.Name)
}

func (m *MapProto) encode(w *writer) {
	msg(w, 5, m.Values)
	w.byteses(4, m.StringKeys)
	w.ints(3, m.Keys)
	w.int(2, int64(m.KeyType))
	w.str(1, m.Name)
}

func (m *OptionalProto) encode(w *writer) {
	msg(w, 7, m.OptionalValue)
	msg(w, 6, m.MapValue)
	msg(w, 5, m.SequenceValue)
	msg(w, 4, m.SparseTensorValue)
	msg(w, 3, m.TensorValue)
	w.int(2, int64(m.ElemType))
	w.str(1, m.Name)
}
