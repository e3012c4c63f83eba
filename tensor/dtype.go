package tensor

import (
	"fmt"

	"github.com/nnrt/nnrt/internal/errs"
)

// DType is the element type of a tensor. The set is that of ONNX TensorProto.DataType
// (https://onnx.ai/onnx/intro/concepts.html#element-type); Keras uses a subset.
type DType uint8

// The element types. Types smaller than a byte (Int4, Uint4, Int2, Uint2, Float4E2M1) take one
// byte an element in memory, as sign-extended integers or as the raw code; only files pack them.
const (
	Invalid DType = iota
	Float32
	Float64
	Float16
	BFloat16
	Float8E4M3FN
	Float8E4M3FNUZ
	Float8E5M2
	Float8E5M2FNUZ
	Float8E8M0
	Float4E2M1
	Int8
	Int16
	Int32
	Int64
	Uint8
	Uint16
	Uint32
	Uint64
	Int4
	Uint4
	Int2
	Uint2
	Bool
	Complex64
	Complex128
	String
	numDTypes
)

type dtypeInfo struct {
	name string
	size int // bytes an element takes in memory; 0 for String
	bits int // bits an element takes in a packed file
}

var dtypes = [numDTypes]dtypeInfo{
	Invalid:        {"invalid", 0, 0},
	Float32:        {"float32", 4, 32},
	Float64:        {"float64", 8, 64},
	Float16:        {"float16", 2, 16},
	BFloat16:       {"bfloat16", 2, 16},
	Float8E4M3FN:   {"float8e4m3fn", 1, 8},
	Float8E4M3FNUZ: {"float8e4m3fnuz", 1, 8},
	Float8E5M2:     {"float8e5m2", 1, 8},
	Float8E5M2FNUZ: {"float8e5m2fnuz", 1, 8},
	Float8E8M0:     {"float8e8m0", 1, 8},
	Float4E2M1:     {"float4e2m1", 1, 4},
	Int8:           {"int8", 1, 8},
	Int16:          {"int16", 2, 16},
	Int32:          {"int32", 4, 32},
	Int64:          {"int64", 8, 64},
	Uint8:          {"uint8", 1, 8},
	Uint16:         {"uint16", 2, 16},
	Uint32:         {"uint32", 4, 32},
	Uint64:         {"uint64", 8, 64},
	Int4:           {"int4", 1, 4},
	Uint4:          {"uint4", 1, 4},
	Int2:           {"int2", 1, 2},
	Uint2:          {"uint2", 1, 2},
	Bool:           {"bool", 1, 8},
	Complex64:      {"complex64", 8, 64},
	Complex128:     {"complex128", 16, 128},
	String:         {"string", 0, 0},
}

// String is the type's name as numpy and Keras spell it.
func (d DType) String() string {
	if d < numDTypes {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Size is the number of bytes that an element takes in memory; 0 for String and Invalid.
//
//go:noinline
func (d DType) Size() int {
	if d < numDTypes {
		return dtypes[d].size
	}
	return 0
}

// Bits is the number of bits that an element takes in a file that packs small types.
func (d DType) Bits() int {
	if d < numDTypes {
		return dtypes[d].bits
	}
	return 0
}

// Valid reports whether d is one of the element types above.
//
//go:noinline
func (d DType) Valid() bool { return d > Invalid && d < numDTypes }

// IsFloat reports whether d is a real floating-point type, of any width.
//
//go:noinline
func (d DType) IsFloat() bool { return d >= Float32 && d <= Float4E2M1 }

// IsInt reports whether d is an integer type, signed or not (Bool is none).
//
//go:noinline
func (d DType) IsInt() bool { return d >= Int8 && d <= Uint2 }

// IsSigned reports whether d is a signed integer type.
func (d DType) IsSigned() bool {
	return d >= Int8 && d <= Int64 || d == Int4 || d == Int2
}

// IsUnsigned reports whether d is an unsigned integer type.
func (d DType) IsUnsigned() bool { return d.IsInt() && !d.IsSigned() }

// IsComplex reports whether d is a complex type.
func (d DType) IsComplex() bool { return d == Complex64 || d == Complex128 }

// ParseDType finds the element type with that name ("float32", "int64", ...; case matters).
func ParseDType(name string) (DType, error) {
	for d := Invalid + 1; d < numDTypes; d++ {
		if dtypes[d].name == name {
			return d, nil
		}
	}
	return Invalid, errs.Errorf("tensor: unknown element type %q", name)
}
