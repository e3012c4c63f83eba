package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/hdf5"
)

// probe calls the command on a damaged file and holds it to the contract: exit code 0, 2 or 3, one line, in
// time, within memory.
func probe(t *testing.T, what string, size int, args ...string) int {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	type result struct {
		code int
		errs string
	}
	done := make(chan result, 1)
	start := time.Now()
	go func() {
		code, _, errs := call(append(args, "--threads", "1", "--memory", "33554432", "--quiet")...)
		done <- result{code, errs}
	}()
	var r result
	select {
	case r = <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nnrt %s: still running after 20 s", what, args[0])
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if r.code == 0 {
		return 0
	}
	switch lines := strings.Count(r.errs, "\n") - strings.Count(r.errs, "warning: "); {
	case r.code != 2 && r.code != 3:
		t.Errorf("%s: nnrt %s: exit code %d: %.300s", what, args[0], r.code, r.errs)
	case lines != 1:
		t.Errorf("%s: nnrt %s: %d lines: %.300s", what, args[0], lines, r.errs)
	case strings.Contains(r.errs, "internal error"):
		t.Errorf("%s: nnrt %s: a mistake was found: %.300s", what, args[0], r.errs)
	case took > 10*time.Second: // 2 s, on a machine that is busy
		t.Errorf("%s: nnrt %s: took %v", what, args[0], took)
	case after.TotalAlloc-before.TotalAlloc > uint64(192<<20+16*size):
		t.Errorf("%s: nnrt %s: allocated %d MB: %.300s", what, args[0], (after.TotalAlloc-before.TotalAlloc)>>20, r.errs)
	}
	return r.code
}

// damages are versions of a file: cut short, with bits flipped, with lengths of all ones written over it.
func damages(file []byte, flips int) map[string][]byte {
	out := map[string][]byte{"empty": {}}
	for i := 1; i < 16; i++ {
		out[fmt.Sprintf("cut at %d/16", i)] = file[:len(file)*i/16]
	}
	r := rand.New(rand.NewPCG(uint64(len(file)), seed))
	for i := range flips {
		b := bytes.Clone(file)
		at := r.IntN(len(b))
		if i%2 == 0 { // structure is denser in front
			at = r.IntN(min(len(b), 512))
		}
		b[at] ^= 1 << r.IntN(8)
		out[fmt.Sprintf("flip %d at %d", i, at)] = b
	}
	for i := range flips / 10 {
		b := bytes.Clone(file)
		at := r.IntN(max(len(b)-8, 1))
		huge := []uint64{^uint64(0), 1 << 63, 1<<40 + 1, 1<<32 - 1}[i%4]
		copy(b[at:], binary.LittleEndian.AppendUint64(nil, huge))
		out[fmt.Sprintf("huge %d at %d", i, at)] = b
	}
	return out
}

const seed = 5 // of the damages

func flips() int {
	if testing.Short() {
		return 40
	}
	return 200
}

func TestHostileModels(t *testing.T) {
	dir := fixtures(t)
	for _, name := range []string{"conv.onnx", "conv.h5", "conv.keras", "conv.json", "dense.onnx"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			i := 0
			for what, b := range damages(file, flips()) {
				path := write(t, filepath.Join(dir, "bad"+filepath.Ext(name)), b)
				probe(t, what, len(b), "run", path)
				if i++; i%4 == 0 {
					probe(t, what, len(b), "info", path)
					probe(t, what, len(b), "import", path, "-o", filepath.Join(dir, "out.onnx"), "--force")
				}
			}
		})
	}
}

func TestHostileInputs(t *testing.T) {
	dir := fixtures(t)
	for _, c := range [][2]string{{"conv.onnx", "x.npy"}, {"conv.onnx", "x.npz"}, {"conv.onnx", "x.png"}, {"dense.onnx", "ab.csv"},
		{"dense.onnx", "ab.json"}} {
		t.Run(c[1], func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join(dir, c[1]))
			require.NoError(t, err)
			for what, b := range damages(file, flips()) {
				path := write(t, filepath.Join(dir, "bad"+filepath.Ext(c[1])), b)
				probe(t, what, len(b), "run", filepath.Join(dir, c[0]), "-i", path)
			}
		})
	}
}

func TestHostileCases(t *testing.T) {
	dir := fixtures(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(want int, what string, args ...string) {
		t.Helper()
		require.Equal(t, want, probe(t, what, 0, args...), "%s: %v", what, args)
	}
	for _, ext := range []string{"", ".onnx", ".h5", ".keras"} {
		folder := at("folder" + ext)
		require.NoError(t, os.Mkdir(folder, 0o700))
		must(3, "a folder", "info", folder)
		must(3, "a folder", "run", folder)
	}
	must(3, "a folder", "run", at("dense.onnx"), "-i", at("folder"))
	must(3, "text", "info", write(t, at("text.onnx"), []byte("hello\n")))
	must(0, "no rows", "run", at("dense.onnx"), "--dim", "batch=0")
	must(0, "no rows", "run", at("conv.h5"), "--dim", "batch=0")

	bomb := write(t, at("bomb.keras"), zipBomb(t, "config.json"))
	must(3, "zip bomb", "info", bomb)
	must(3, "zip bomb", "run", at("conv.onnx"), "-i", write(t, at("bomb.npz"), zipBomb(t, "in.npy")))
	must(3, "deep JSON", "info", write(t, at("deep.json"), []byte(`{"class_name":`+strings.Repeat("[", 1<<20))))
	must(3, "deep JSON", "run", at("dense.onnx"), "-i", write(t, at("deepin.json"), []byte(strings.Repeat("[", 1<<20))))
	for _, shape := range []string{"(4294967296, 4294967296, 16)", "(1099511627776, 1)", "(-1, 2)", "(9223372036854775807, 2)"} {
		h := "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n"
		b := append([]byte("\x93NUMPY\x01\x00"), byte(len(h)), byte(len(h)>>8))
		must(3, shape, "run", at("dense.onnx"), "-i", write(t, at("huge.npy"), append(b, h...)))
	}

	f, err := os.Create(at("links.h5"))
	require.NoError(t, err)
	w := hdf5.NewWriter()
	require.NoError(t, w.Root().SoftLink("model_weights", "/layers"))
	require.NoError(t, w.Root().SoftLink("layers", "/model_weights"))
	_, err = w.WriteTo(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	must(3, "links in a circle", "info", at("links.h5"))
}
