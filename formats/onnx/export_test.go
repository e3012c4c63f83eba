package onnx

// TypeOf is typeOf, for tests of package onnx_test.
var TypeOf = typeOf
