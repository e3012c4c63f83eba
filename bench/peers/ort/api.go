// Package ort calls ONNX Runtime's C interface without cgo: the functions are found in the shared library's table by
// their places in it, which that interface promises to keep (onnxruntime_c_api.h, struct OrtApi).
package ort

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"github.com/ebitengine/purego"
)

// apiVersion is the version of the table that is asked for: any library of that age or younger gives it.
const apiVersion = 22

// fn is a function's place in OrtApi.
type fn int

const (
	getErrorMessage                  fn = 2
	createEnv                        fn = 3
	createSession                    fn = 7
	createSessionFromArray           fn = 8
	runSession                       fn = 9
	createSessionOptions             fn = 10
	setSessionLogSeverityLevel       fn = 22
	setSessionGraphOptimizationLevel fn = 23
	setIntraOpNumThreads             fn = 24
	setInterOpNumThreads             fn = 25
	sessionGetInputCount             fn = 30
	sessionGetOutputCount            fn = 31
	sessionGetOverridableCount       fn = 32
	sessionGetInputName              fn = 36
	sessionGetOutputName             fn = 37
	sessionGetOverridableName        fn = 38
	createTensorAsOrtValue           fn = 48
	createTensorWithDataAsOrtValue   fn = 49
	getTensorMutableData             fn = 51
	fillStringTensor                 fn = 52
	getStringTensorDataLength        fn = 53
	getStringTensorContent           fn = 54
	getTensorElementType             fn = 60
	getDimensionsCount               fn = 61
	getDimensions                    fn = 62
	getTensorShapeElementCount       fn = 64
	getTensorTypeAndShape            fn = 65
	getValueType                     fn = 67
	createCPUMemoryInfo              fn = 69
	allocatorFree                    fn = 76
	getAllocatorWithDefaultOptions   fn = 78
	getValue                         fn = 80
	getValueCount                    fn = 81
	createValue                      fn = 82
	releaseStatus                    fn = 93
	releaseSession                   fn = 95
	releaseValue                     fn = 96
	releaseTensorTypeAndShapeInfo    fn = 99
	releaseSessionOptions            fn = 100
	addSessionConfigEntry            fn = 130
	hasValue                         fn = 192
	apiLength                           = 193
)

// handle is an object of the library: memory that Go knows nothing of.
type handle uintptr

// Runtime is a loaded library with its environment. It is safe for concurrent use.
type Runtime struct {
	table     *[apiLength]uintptr
	env       handle
	memory    handle
	allocator handle
}

// EnvLibrary is the variable that names the library's file for Open.
const EnvLibrary = "NNRT_ORT"

// Open loads the library in the file that path names, or $NNRT_ORT where it is empty.
func Open(path string) (*Runtime, error) {
	if path == "" {
		path = os.Getenv(EnvLibrary)
	}
	if path == "" {
		return nil, fmt.Errorf("ort: %s doesn't name libonnxruntime.so.1", EnvLibrary)
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("ort: %w", err)
	}
	var getBase func() uintptr
	base, err := purego.Dlsym(lib, "OrtGetApiBase")
	if err != nil {
		return nil, fmt.Errorf("ort: %s: %w", path, err)
	}
	purego.RegisterFunc(&getBase, base)
	var getAPI func(version uint32) *[apiLength]uintptr
	purego.RegisterFunc(&getAPI, **(**uintptr)(unsafe.Pointer(ref(getBase()))))
	r := &Runtime{table: getAPI(apiVersion)}
	if r.table == nil {
		return nil, fmt.Errorf("ort: %s has no interface of version %d", path, apiVersion)
	}
	const logError = 3
	id := cString("nnrt")
	if err := r.call(createEnv, logError, uintptr(unsafe.Pointer(id)), uintptr(unsafe.Pointer(&r.env))); err != nil {
		return nil, err
	}
	if err := r.call(createCPUMemoryInfo, 0, 0, uintptr(unsafe.Pointer(&r.memory))); err != nil {
		return nil, err
	}
	return r, r.call(getAllocatorWithDefaultOptions, uintptr(unsafe.Pointer(&r.allocator)))
}

// ref holds an address of the library's so that it can be read as a pointer.
func ref(p uintptr) *uintptr { return &p }

// cString is s with a zero behind it.
func cString(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}

// Error is what the library says.
type Error struct{ Message string }

// Error implements error.
func (e *Error) Error() string { return "onnxruntime: " + e.Message }

// call calls a function that returns a status.
//
//go:uintptrescapes
func (r *Runtime) call(f fn, args ...uintptr) error {
	status, _, _ := purego.SyscallN(r.table[f], args...)
	if status == 0 {
		return nil
	}
	msg, _, _ := purego.SyscallN(r.table[getErrorMessage], status)
	err := &Error{goString(msg)}
	purego.SyscallN(r.table[releaseStatus], status)
	return err
}

// release frees an object.
func (r *Runtime) release(f fn, h handle) {
	if h != 0 {
		purego.SyscallN(r.table[f], uintptr(h))
	}
}

// goString copies a string that ends with a zero.
func goString(p uintptr) string {
	base := *(*unsafe.Pointer)(unsafe.Pointer(ref(p)))
	n := 0
	for *(*byte)(unsafe.Add(base, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(base), n))
}

// SessionOptions steers a session.
type SessionOptions struct {
	// Threads of one run; 0 means 1.
	Threads int
	// Unoptimized turns graph optimizations off: each operator runs as it stands in the model.
	Unoptimized bool
}

// Session is a loaded model.
type Session struct {
	r         *Runtime
	h         handle
	in, out   []*byte
	defaulted []*byte // inputs that have a default
	model     []byte
}

// NewSession loads a model in memory.
func (r *Runtime) NewSession(model []byte, opts SessionOptions) (*Session, error) {
	return r.session(&Session{r: r, model: model}, opts, func(s *Session, o handle) error {
		return r.call(createSessionFromArray, uintptr(r.env), uintptr(unsafe.Pointer(unsafe.SliceData(model))), uintptr(len(model)),
			uintptr(o), uintptr(unsafe.Pointer(&s.h)))
	})
}

// OpenSession loads a model from a file.
func (r *Runtime) OpenSession(path string, opts SessionOptions) (*Session, error) {
	p := cString(path)
	return r.session(&Session{r: r}, opts, func(s *Session, o handle) error {
		return r.call(createSession, uintptr(r.env), uintptr(unsafe.Pointer(p)), uintptr(o), uintptr(unsafe.Pointer(&s.h)))
	})
}

func (r *Runtime) session(s *Session, opts SessionOptions, create func(*Session, handle) error) (*Session, error) {
	if err := r.withOptions(opts, func(o handle) error { return create(s, o) }); err != nil {
		return nil, err
	}
	var err error
	if s.in, err = s.names(sessionGetInputCount, sessionGetInputName); err != nil {
		return nil, err
	}
	if s.defaulted, err = s.names(sessionGetOverridableCount, sessionGetOverridableName); err != nil {
		return nil, err
	}
	s.out, err = s.names(sessionGetOutputCount, sessionGetOutputName)
	return s, err
}

// names asks for the names of the inputs or outputs.
func (s *Session) names(count, name fn) ([]*byte, error) {
	var n uint64
	if err := s.r.call(count, uintptr(s.h), uintptr(unsafe.Pointer(&n))); err != nil {
		return nil, err
	}
	var list []*byte
	for i := range n {
		var p uintptr
		if err := s.r.call(name, uintptr(s.h), uintptr(i), uintptr(s.r.allocator), uintptr(unsafe.Pointer(&p))); err != nil {
			return nil, err
		}
		list = append(list, cString(goString(p)))
		if err := s.r.call(allocatorFree, uintptr(s.r.allocator), p); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (r *Runtime) withOptions(opts SessionOptions, use func(handle) error) error {
	var o handle
	if err := r.call(createSessionOptions, uintptr(unsafe.Pointer(&o))); err != nil {
		return err
	}
	defer r.release(releaseSessionOptions, o)
	const logFatal, none, all = 4, 0, 99
	level := uintptr(all)
	if opts.Unoptimized {
		level = none
	}
	for _, c := range []struct {
		f fn
		v uintptr
	}{{setSessionLogSeverityLevel, logFatal}, {setSessionGraphOptimizationLevel, level},
		{setIntraOpNumThreads, uintptr(max(1, opts.Threads))}, {setInterOpNumThreads, 1}} {
		if err := r.call(c.f, uintptr(o), c.v); err != nil {
			return err
		}
	}
	return use(o)
}

// Close frees the session.
func (s *Session) Close() {
	s.r.release(releaseSession, s.h)
	s.h = 0
}

// Alias is another Go value for the same session, for a cleanup that runs once s itself is unreachable.
func (s *Session) Alias() *Session { return &Session{r: s.r, h: s.h, model: s.model} }

// Run runs the session on values, which stay the caller's, and returns new ones. Behind the values of the inputs
// there may be some for the first of those that have a default.
func (s *Session) Run(in []*Value) ([]*Value, error) {
	if len(in) < len(s.in) || len(in) > len(s.in)+len(s.defaulted) {
		return nil, fmt.Errorf("ort: %d values for %d inputs and %d with a default", len(in), len(s.in), len(s.defaulted))
	}
	args, outs := make([]handle, len(in)+1), make([]handle, len(s.out)+1)
	for i, v := range in {
		args[i] = v.h
	}
	names, wanted := append(slices.Concat(s.in, s.defaulted), nil), append(s.out[:len(s.out):len(s.out)], nil)
	err := s.r.call(runSession, uintptr(s.h), 0, uintptr(unsafe.Pointer(&names[0])), uintptr(unsafe.Pointer(&args[0])), uintptr(len(in)),
		uintptr(unsafe.Pointer(&wanted[0])), uintptr(len(s.out)), uintptr(unsafe.Pointer(&outs[0])))
	runtime.KeepAlive(names)
	runtime.KeepAlive(wanted)
	runtime.KeepAlive(in)
	if err != nil {
		return nil, err
	}
	list := make([]*Value, len(s.out))
	for i := range list {
		list[i] = &Value{r: s.r, h: outs[i]}
	}
	return list, nil
}

// RunInto is Run into values that a Run of the same inputs' shapes has given: nothing is allocated.
func (s *Session) RunInto(args, outs []*Value) error {
	var in, out [16]handle
	if len(args) != len(s.in) || len(outs) != len(s.out) || len(args) > len(in) || len(outs) > len(out) {
		return fmt.Errorf("ort: %d and %d values for %d inputs and %d outputs", len(args), len(outs), len(s.in), len(s.out))
	}
	for i, v := range args {
		in[i] = v.h
	}
	for i, v := range outs {
		out[i] = v.h
	}
	return s.r.call(runSession, uintptr(s.h), 0, uintptr(unsafe.Pointer(unsafe.SliceData(s.in))), uintptr(unsafe.Pointer(&in[0])), uintptr(len(args)),
		uintptr(unsafe.Pointer(unsafe.SliceData(s.out))), uintptr(len(outs)), uintptr(unsafe.Pointer(&out[0])))
}
