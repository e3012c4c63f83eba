package main

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"runtime/pprof"
	"sort"
	"strings"
	"time"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/internal/cpuid"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

type dev struct {
	*cpu.Device
	t    *devices.Table
	recs []*rec
}

func (d *dev) Kernels() *devices.Table { return d.t }

type rec struct {
	desc   string
	kernel string
	op     string
	flops  float64
	bytes  float64
	best   time.Duration
	impl   string
}

type step struct {
	devices.Step
	r *rec
}

var record bool

func (s *step) Run(a *devices.Args) error {
	t := time.Now()
	err := s.Step.Run(a)
	if e := time.Since(t); record && (s.r.best == 0 || e < s.r.best) {
		s.r.best = e
	}
	return err
}

func dimsOf(v interface{ Shape() ([]int, bool) }) []int { s, _ := v.Shape(); return s }

func main() {
	model := flag.String("m", "resnet50", "")
	batch := flag.Int("b", 1, "")
	threads := flag.Int("t", 1, "")
	runs := flag.Int("n", 9, "")
	span := flag.Duration("span", 0, "")
	top := flag.Int("top", 400, "")
	exact := flag.Bool("exact", false, "")
	loadprof := flag.String("loadprof", "", "")
	flag.Parse()
	load := time.Now()
	if *loadprof != "" {
		f, _ := os.Create(*loadprof)
		pprof.StartCPUProfile(f)
	}
	g, err := onnx.ReadFile(os.Getenv("NNRT_BENCH_MODELS")+"/"+*model+".onnx", onnx.Options{})
	if err != nil {
		panic(err)
	}
	tRead := time.Since(load)
	cd, err := cpu.New(cpu.Options{Threads: *threads, Exact: *exact})
	if err != nil {
		panic(err)
	}
	d := &dev{Device: cd}
	var ks []devices.Kernel
	for _, k := range cd.Kernels().All() {
		k := k
		prep := k.Prepare
		k.Prepare = func(r devices.Request) (devices.Step, error) {
			s, err := prep(r)
			if err != nil {
				return s, err
			}
			rc := &rec{op: r.Node.Op.Name(), kernel: k.Name}
			if st, ok := s.(fmt.Stringer); ok {
				rc.impl = st.String()
			}
			out := dimsOf(r.Out[0])
			x := dimsOf(r.In[0])
			prod := func(d []int) float64 {
				n := 1.0
				for _, v := range d {
					n *= float64(v)
				}
				return n
			}
			rc.bytes = 4 * (prod(x) + prod(out))
			rc.desc = fmt.Sprint(x, "->", out)
			switch op := r.Node.Op.(type) {
			case ops.FusedConv:
				w := dimsOf(r.In[1])
				kd, per, oc := ops.KernelDims(op.Kernel, w)
				rc.flops = 2 * prod(out) * float64(per) * prod(kd)
				rc.desc += fmt.Sprint(" k", kd, " s", op.Strides, " g", op.Group, " act", op.Epilogue.Act)
				if len(r.In) > 4 && r.In[4].DType != tensor.Invalid {
					rc.desc += " +res"
				}
				_ = oc
			case ops.ConvPair:
				w := dimsOf(r.In[1])
				_, per, oc := ops.KernelDims(op.First.Kernel, w)
				rc.flops = 2 * prod(x[:3]) * float64(per*oc)
				kd, _, _ := ops.KernelDims(op.Second.Kernel, dimsOf(r.In[4]))
				rc.flops += 2 * prod(out) * prod(kd)
				rc.desc += fmt.Sprint(" k", kd, " s", op.Second.Strides)
			case ops.FusedMatMul, ops.Gemm:
				rc.flops = 2 * prod(x) * float64(out[len(out)-1])
			case ops.MatMul:
				rc.flops = 2 * prod(out) * float64(x[len(x)-1])
			}
			d.recs = append(d.recs, rc)
			return &step{s, rc}, nil
		}
		ks = append(ks, k)
	}
	d.t = devices.NewTable(ks)
	p, err := runtime.Compile(g, d, runtime.Options{})
	if err != nil {
		panic(err)
	}
	tCompile := time.Since(load)
	s, err := p.NewSession()
	if err != nil {
		panic(err)
	}
	var in []tensor.Value
	for _, v := range g.Inputs {
		var sh []int
		for _, q := range v.Type.Dims {
			n, ok := q.Const()
			if !ok {
				n = *batch
			}
			sh = append(sh, n)
		}
		x := tensor.New(v.Type.DType, sh...)
		if x.DType() == tensor.Float32 {
			for i := range tensor.As[float32](x) {
				tensor.As[float32](x)[i] = float32(math.Sin(float64(i) * 1.7))
			}
		}
		in = append(in, x)
	}
	ctx := context.Background()
	out, err := s.RunValues(ctx, in)
	if err != nil {
		panic(err)
	}
	tFirst := time.Since(load)
	if *loadprof != "" {
		pprof.StopCPUProfile()
	}
	fmt.Printf("read %v compile %v first %v\n", tRead, tCompile-tRead, tFirst-tCompile)
	ls := map[string]cpuid.Level{"avx2": cpuid.AVX2, "avx512": cpuid.AVX512}[cd.Level()]
	k := kern.New(ls)
	peak := 0.0
	measure := func() {
		for range 20 {
			t := time.Now()
			f := k.Peak(20000)
			peak = max(peak, f/time.Since(t).Seconds()/1e9)
		}
	}
	measure()
	record = true
	best := time.Duration(0)
	var all []float64
	end := time.Now().Add(*span)
	for i := 0; i < *runs || time.Now().Before(end); i++ {
		t := time.Now()
		if err := s.RunInto(ctx, in, out); err != nil {
			panic(err)
		}
		e := time.Since(t)
		all = append(all, e.Seconds()*1e3)
		if best == 0 || e < best {
			best = e
		}
	}
	measure()
	sort.Float64s(all)
	if o, ok := out[0].(*tensor.Tensor); ok {
		h := fnv.New64()
		h.Write(o.Bytes())
		fmt.Printf("hash %x\n", h.Sum64())
	}
	sum, fl := time.Duration(0), 0.0
	byKind := map[string][2]float64{}
	for _, r := range d.recs {
		sum += r.best
		fl += r.flops
		key := r.kernel + " " + strings.SplitN(r.impl, " ", 2)[0]
		v := byKind[key]
		v[0] += r.best.Seconds()
		v[1] += r.flops
		byKind[key] = v
	}
	fmt.Printf("%s b%d t%d %s: best %.2f median %.2f sum-of-best %.2f ms, %.2f GFLOP, %.1f GFLOP/s (plain); peak %.1f -> %.2f of peak\n", *model, *batch, *threads, cd.Level(), best.Seconds()*1e3, all[len(all)/2], sum.Seconds()*1e3, fl/1e9, fl/best.Seconds()/1e9, peak, fl/best.Seconds()/1e9/peak)
	for k, v := range byKind {
		fmt.Printf("   %8.3f ms %5.1f %% %7.1f GFLOP/s %s\n", v[0]*1e3, 100*v[0]/sum.Seconds(), v[1]/v[0]/1e9, k)
	}
	sort.SliceStable(d.recs, func(i, j int) bool { return d.recs[i].best > d.recs[j].best })
	for _, r := range d.recs[:min(*top, len(d.recs))] {
		fmt.Printf("%8.3f ms %6.1f GF/s %6.1f GB/s  %-14s %s %s\n", r.best.Seconds()*1e3, r.flops/r.best.Seconds()/1e9, r.bytes/r.best.Seconds()/1e9, r.op, r.desc, r.impl)
	}
}
