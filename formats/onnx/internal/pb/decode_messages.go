package pb

func (m *ModelProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.int64("ir_version", &m.IRVersion)
	case 2:
		return f.str("producer_name", &m.ProducerName)
	case 3:
		return f.str("producer_version", &m.ProducerVersion)
	case 4:
		return f.str("domain", &m.Domain)
	case 5:
		return f.int64("model_version", &m.ModelVersion)
	case 6:
		return f.str("doc_string", &m.DocString)
	case 7:
		return one(f, "graph", &m.Graph)
	case 8:
		return many(f, "opset_import", &m.OpsetImport)
	case 14:
		return many(f, "metadata_props", &m.MetadataProps)
	case 20:
		return many(f, "training_info", &m.TrainingInfo)
	case 25:
		return many(f, "functions", &m.Functions)
	case 26:
		return many(f, "configuration", &m.Configuration)
	}
	return nil
}

func (m *OperatorSetIdProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("domain", &m.Domain)
	case 2:
		return f.int64("version", &m.Version)
	}
	return nil
}

func (m *StringStringEntryProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("key", &m.Key)
	case 2:
		return f.str("value", &m.Value)
	}
	return nil
}

func (m *TrainingInfoProto) decode(f *field) error {
	switch f.num {
	case 1:
		return one(f, "initialization", &m.Initialization)
	case 2:
		return one(f, "algorithm", &m.Algorithm)
	case 3:
		return many(f, "initialization_binding", &m.InitializationBinding)
	case 4:
		return many(f, "update_binding", &m.UpdateBinding)
	}
	return nil
}

func (m *DeviceConfigurationProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 2:
		return f.int32("num_devices", &m.NumDevices)
	case 3:
		return f.strs("device", &m.Device)
	}
	return nil
}

func (m *GraphProto) decode(f *field) error {
	switch f.num {
	case 1:
		return many(f, "node", &m.Node)
	case 2:
		return f.str("name", &m.Name)
	case 5:
		return many(f, "initializer", &m.Initializer)
	case 10:
		return f.str("doc_string", &m.DocString)
	case 11:
		return many(f, "input", &m.Input)
	case 12:
		return many(f, "output", &m.Output)
	case 13:
		return many(f, "value_info", &m.ValueInfo)
	case 14:
		return many(f, "quantization_annotation", &m.QuantizationAnnotation)
	case 15:
		return many(f, "sparse_initializer", &m.SparseInitializer)
	case 16:
		return many(f, "metadata_props", &m.MetadataProps)
	}
	return nil
}

func (m *TensorAnnotation) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("tensor_name", &m.TensorName)
	case 2:
		return many(f, "quant_parameter_tensor_names", &m.QuantParameterTensorNames)
	}
	return nil
}

func (m *NodeProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.strs("input", &m.Input)
	case 2:
		return f.strs("output", &m.Output)
	case 3:
		return f.str("name", &m.Name)
	case 4:
		return f.str("op_type", &m.OpType)
	case 5:
		return many(f, "attribute", &m.Attribute)
	case 6:
		return f.str("doc_string", &m.DocString)
	case 7:
		return f.str("domain", &m.Domain)
	case 8:
		return f.str("overload", &m.Overload)
	case 9:
		return many(f, "metadata_props", &m.MetadataProps)
	case 10:
		return many(f, "device_configurations", &m.DeviceConfigurations)
	}
	return nil
}

func (m *NodeDeviceConfigurationProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("configuration_id", &m.ConfigurationID)
	case 2:
		return many(f, "sharding_spec", &m.ShardingSpec)
	case 3:
		m.PipelineStage = new(int32)
		return f.int32("pipeline_stage", m.PipelineStage)
	}
	return nil
}

func (m *ShardingSpecProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("tensor_name", &m.TensorName)
	case 2:
		return varints(f, "device", &m.Device)
	case 3:
		return many(f, "index_to_device_group_map", &m.IndexToDeviceGroupMap)
	case 4:
		return many(f, "sharded_dim", &m.ShardedDim)
	}
	return nil
}

func (m *IntIntListEntryProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.int64("key", &m.Key)
	case 2:
		return varints(f, "value", &m.Value)
	}
	return nil
}

func (m *ShardedDimProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.int64("axis", &m.Axis)
	case 2:
		return many(f, "simple_sharding", &m.SimpleSharding)
	}
	return nil
}

func (m *SimpleShardedDimProto) decode(f *field) error {
	switch f.num {
	case 1, 2:
		return m.Dim.decode(f)
	case 3:
		return f.int64("num_shards", &m.NumShards)
	}
	return nil
}

// decode handles the two members of the oneof; the last one on the wire holds.
func (m *DimValue) decode(f *field) error {
	switch f.num {
	case 1:
		*m = DimValue{Kind: DimIsValue}
		return f.int64("dim_value", &m.Value)
	case 2:
		*m = DimValue{Kind: DimIsParam}
		return f.str("dim_param", &m.Param)
	}
	return nil
}

func (m *AttributeProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 2:
		m.seen(AttrFloat)
		return f.float("f", &m.F)
	case 3:
		m.seen(AttrInt)
		return f.int64("i", &m.I)
	case 4:
		m.seen(AttrString)
		return f.bytes("s", &m.S)
	case 5:
		return one(f, "t", &m.T)
	case 6:
		return one(f, "g", &m.G)
	case 7:
		return f.floats("floats", &m.Floats)
	case 8:
		return varints(f, "ints", &m.Ints)
	case 9:
		return f.byteses("strings", &m.Strings)
	case 10:
		return many(f, "tensors", &m.Tensors)
	case 11:
		return many(f, "graphs", &m.Graphs)
	case 13:
		return f.str("doc_string", &m.DocString)
	case 14:
		return one(f, "tp", &m.TP)
	case 15:
		return many(f, "type_protos", &m.TypeProtos)
	case 20:
		return enum(f, "type", &m.Type, attributeTypeNames[:])
	case 21:
		return f.str("ref_attr_name", &m.RefAttrName)
	case 22:
		return one(f, "sparse_tensor", &m.SparseTensor)
	case 23:
		return many(f, "sparse_tensors", &m.SparseTensors)
	}
	return nil
}

// seen notes the type that a scalar's presence implies; field 20 comes later on
// the wire and overrides it.
func (m *AttributeProto) seen(t AttributeType) {
	if m.Type == AttrUndefined {
		m.Type = t
	}
}

// impliedType is the type that the filled member implies.
func (m *AttributeProto) impliedType() AttributeType {
	for _, c := range []struct {
		filled bool
		t      AttributeType
	}{
		{m.T != nil, AttrTensor}, {m.G != nil, AttrGraph}, {m.SparseTensor != nil, AttrSparseTensor}, {m.TP != nil, AttrTypeProto},
		{m.Floats != nil, AttrFloats}, {m.Ints != nil, AttrInts}, {m.Strings != nil, AttrStrings}, {m.Tensors != nil, AttrTensors},
		{m.Graphs != nil, AttrGraphs}, {m.SparseTensors != nil, AttrSparseTensors}, {m.TypeProtos != nil, AttrTypeProtos},
	} {
		if c.filled {
			return c.t
		}
	}
	return AttrUndefined
}

func (m *ValueInfoProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 2:
		return one(f, "type", &m.Type)
	case 3:
		return f.str("doc_string", &m.DocString)
	case 4:
		return many(f, "metadata_props", &m.MetadataProps)
	}
	return nil
}

func (m *TensorProto) decode(f *field) error {
	switch f.num {
	case 1:
		return varints(f, "dims", &m.Dims)
	case 2:
		return f.dataType("data_type", &m.DataType)
	case 3:
		return one(f, "segment", &m.Segment)
	case 4:
		return f.floats("float_data", &m.FloatData)
	case 5:
		return varints(f, "int32_data", &m.Int32Data)
	case 6:
		return f.byteses("string_data", &m.StringData)
	case 7:
		return varints(f, "int64_data", &m.Int64Data)
	case 8:
		return f.str("name", &m.Name)
	case 9:
		return f.bytes("raw_data", &m.RawData)
	case 10:
		return f.doubles("double_data", &m.DoubleData)
	case 11:
		return varints(f, "uint64_data", &m.Uint64Data)
	case 12:
		return f.str("doc_string", &m.DocString)
	case 13:
		return many(f, "external_data", &m.ExternalData)
	case 14:
		return enum(f, "data_location", &m.DataLocation, dataLocationNames[:])
	case 16:
		return many(f, "metadata_props", &m.MetadataProps)
	}
	return nil
}

func (m *Segment) decode(f *field) error {
	switch f.num {
	case 1:
		return f.int64("begin", &m.Begin)
	case 2:
		return f.int64("end", &m.End)
	}
	return nil
}

func (m *SparseTensorProto) decode(f *field) error {
	switch f.num {
	case 1:
		return one(f, "values", &m.Values)
	case 2:
		return one(f, "indices", &m.Indices)
	case 3:
		return varints(f, "dims", &m.Dims)
	}
	return nil
}

func (m *TensorShapeProto) decode(f *field) error {
	if f.num == 1 {
		return many(f, "dim", &m.Dim)
	}
	return nil
}

func (m *Dimension) decode(f *field) error {
	if f.num == 3 {
		return f.str("denotation", &m.Denotation)
	}
	return m.DimValue.decode(f)
}

func (m *TypeProto) decode(f *field) error {
	switch f.num {
	case 1:
		return one(f, "tensor_type", &m.TensorType)
	case 4:
		return one(f, "sequence_type", &m.SequenceType)
	case 5:
		return one(f, "map_type", &m.MapType)
	case 6:
		return f.str("denotation", &m.Denotation)
	case 7:
		return one(f, "opaque_type", &m.OpaqueType)
	case 8:
		return one(f, "sparse_tensor_type", &m.SparseTensorType)
	case 9:
		return one(f, "optional_type", &m.OptionalType)
	}
	return nil
}

func (m *TensorType) decode(f *field) error {
	switch f.num {
	case 1:
		return f.dataType("elem_type", &m.ElemType)
	case 2:
		return one(f, "shape", &m.Shape)
	}
	return nil
}

func (m *SparseTensorType) decode(f *field) error {
	switch f.num {
	case 1:
		return f.dataType("elem_type", &m.ElemType)
	case 2:
		return one(f, "shape", &m.Shape)
	}
	return nil
}

func (m *SequenceType) decode(f *field) error {
	if f.num == 1 {
		return one(f, "elem_type", &m.ElemType)
	}
	return nil
}

func (m *OptionalType) decode(f *field) error {
	if f.num == 1 {
		return one(f, "elem_type", &m.ElemType)
	}
	return nil
}

func (m *MapType) decode(f *field) error {
	switch f.num {
	case 1:
		return f.dataType("key_type", &m.KeyType)
	case 2:
		return one(f, "value_type", &m.ValueType)
	}
	return nil
}

func (m *OpaqueType) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("domain", &m.Domain)
	case 2:
		return f.str("name", &m.Name)
	}
	return nil
}

func (m *FunctionProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 4:
		return f.strs("input", &m.Input)
	case 5:
		return f.strs("output", &m.Output)
	case 6:
		return f.strs("attribute", &m.Attribute)
	case 7:
		return many(f, "node", &m.Node)
	case 8:
		return f.str("doc_string", &m.DocString)
	case 9:
		return many(f, "opset_import", &m.OpsetImport)
	case 10:
		return f.str("domain", &m.Domain)
	case 11:
		return many(f, "attribute_proto", &m.AttributeProto)
	case 12:
		return many(f, "value_info", &m.ValueInfo)
	case 13:
		return f.str("overload", &m.Overload)
	case 14:
		return many(f, "metadata_props", &m.MetadataProps)
	}
	return nil
}

func (m *SequenceProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 2:
		return enum(f, "elem_type", &m.ElemType, elemKindNames[:])
	case 3:
		return many(f, "tensor_values", &m.TensorValues)
	case 4:
		return many(f, "sparse_tensor_values", &m.SparseTensorValues)
	case 5:
		return many(f, "sequence_values", &m.SequenceValues)
	case 6:
		return many(f, "map_values", &m.MapValues)
	case 7:
		return many(f, "optional_values", &m.OptionalValues)
	}
	return nil
}

func (m *MapProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 2:
		return f.dataType("key_type", &m.KeyType)
	case 3:
		return varints(f, "keys", &m.Keys)
	case 4:
		return f.byteses("string_keys", &m.StringKeys)
	case 5:
		return one(f, "values", &m.Values)
	}
	return nil
}

func (m *OptionalProto) decode(f *field) error {
	switch f.num {
	case 1:
		return f.str("name", &m.Name)
	case 2:
		return enum(f, "elem_type", &m.ElemType, elemKindNames[:])
	case 3:
		return one(f, "tensor_value", &m.TensorValue)
	case 4:
		return one(f, "sparse_tensor_value", &m.SparseTensorValue)
	case 5:
		return one(f, "sequence_value", &m.SequenceValue)
	case 6:
		return one(f, "map_value", &m.MapValue)
	case 7:
		return one(f, "optional_value", &m.OptionalValue)
	}
	return nil
}
