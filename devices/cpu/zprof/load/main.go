package main

import (
	"context"
	"fmt"
	"os"
	gr "runtime"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	var f *os.File
	if len(os.Args) > 3 {
		f, _ = os.Create(os.Args[3])
		pprof.StartCPUProfile(f)
	}
	var ts [5][]float64
	for range n {
		t := time.Now()
		lap := func(i int) { ts[i] = append(ts[i], time.Since(t).Seconds()*1e3); t = time.Now() }
		g, err := onnx.ReadFile(os.Getenv("NNRT_BENCH_MODELS")+"/"+os.Args[1]+".onnx", onnx.Options{})
		if err != nil {
			panic(err)
		}
		lap(0)
		d, _ := cpu.New(cpu.Options{Threads: 1})
		lap(1)
		p, err := runtime.Compile(g, d, runtime.Options{})
		if err != nil {
			panic(err)
		}
		lap(2)
		s, _ := p.NewSession()
		var in []tensor.Value
		for _, v := range g.Inputs {
			var sh []int
			for _, q := range v.Type.Dims {
				n, ok := q.Const()
				if !ok {
					n = 1
				}
				sh = append(sh, n)
			}
			in = append(in, tensor.New(v.Type.DType, sh...))
		}
		t = time.Now()
		out, err := s.RunValues(context.Background(), in)
		if err != nil {
			panic(err)
		}
		lap(3)
		if len(os.Args) > 4 {
			s.WritePlan(os.Stdout, in)
		}
		s.RunInto(context.Background(), in, out)
		lap(4)
	}
	var ms gr.MemStats
	gr.ReadMemStats(&ms)
	fmt.Printf("sys %d heapsys %d inuse %d alloc %d released %d gcs %d\n", ms.Sys>>20, ms.HeapSys>>20, ms.HeapInuse>>20, ms.HeapAlloc>>20, ms.HeapReleased>>20, ms.NumGC)
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "VmHWM") || strings.HasPrefix(l, "Rss") {
			fmt.Println(l)
		}
	}
	if f != nil {
		pprof.StopCPUProfile()
	}
	for i, name := range []string{"read", "device", "compile", "first", "second"} {
		sort.Float64s(ts[i])
		fmt.Printf("%s %.2f/%.2f  ", name, ts[i][0], ts[i][len(ts[i])/2])
	}
	fmt.Println(os.Args[1])
}
