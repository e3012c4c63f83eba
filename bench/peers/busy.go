package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/nnrt/nnrt/bench"
)

// busy measures what a neighbour that takes one processor costs either side: a process that only computes, bound to it.
func busy(args []string) error {
	fs := flag.NewFlagSet("busy", flag.ExitOnError)
	pick := pickFlags(fs)
	threads := fs.Int("threads", 2, "threads of a run")
	on := fs.Int("cpu", 0, "the neighbour's processor")
	m := measure{}
	fs.IntVar(&m.procs, "procs", 7, "processes of each side")
	fs.DurationVar(&m.span, "span", 1500*time.Millisecond, "time that one process measures for, in either state")
	quick := fs.Bool("quick", false, "3 processes of 200 ms")
	fs.Parse(args)
	if *quick {
		m.procs, m.span = quickly.procs, quickly.span
	}
	cases, err := pick()
	if err != nil {
		return err
	}
	spinner, err := startSpinner(*on)
	if err != nil {
		return err
	}
	defer spinner.end()
	fmt.Printf("threads: %-9d %2s %10s %10s %7s %10s %10s %7s\n", *threads, "b", "nnrt ms", "disturbed", "loss", "ort ms", "disturbed", "loss")
	for _, c := range cases {
		for _, b := range c.batches {
			t, err := disturbed(c, b, *threads, m, spinner)
			if err != nil {
				fmt.Printf("%-17s %3d %v\n", short(c.name), b, err)
				continue
			}
			fmt.Printf("%-17s %3d", short(c.name), b)
			for side := range sides {
				fmt.Printf(" %10.3f %10.3f %5.0f %%", t[side][0], t[side][1], 100*(1-t[side][0]/t[side][1]))
			}
			fmt.Println()
		}
	}
	return nil
}

// disturbed is each side's median time, alone and beside the neighbour.
func disturbed(c benchCase, batch, threads int, m measure, s *spinner) (out [2][2]float64, err error) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	var medians [2][2][]float64
	for range m.procs {
		p, err := startPair(c, batch, threads, false, dir)
		if err != nil {
			return out, err
		}
		var ms [2][2][]float64 // by state, then side
		for range 4 {
			for state := range 2 {
				if err := s.set(state == 1); err != nil {
					return out, err
				}
				if err := p.turns(m.span/4, m.span/15, &ms[state]); err != nil {
					p.stop()
					return out, err
				}
			}
		}
		if err := s.set(false); err != nil {
			return out, err
		}
		p.stop()
		for state := range ms {
			for side := range sides {
				medians[side][state] = append(medians[side][state], median(ms[state][side]))
			}
		}
	}
	for side := range sides {
		for state := range 2 {
			out[side][state] = median(medians[side][state])
		}
	}
	return out, nil
}

// spinner is the neighbour: stopped, or busy.
type spinner struct{ cmd *exec.Cmd }

func startSpinner(on int) (*spinner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &spinner{exec.Command(self, "spin", strconv.Itoa(on))}
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.set(false)
}

func (s *spinner) set(busy bool) error {
	sig := syscall.SIGSTOP
	if busy {
		sig = syscall.SIGCONT
	}
	err := s.cmd.Process.Signal(sig)
	time.Sleep(5 * time.Millisecond)
	return err
}

func (s *spinner) end() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// spin computes for ever on one processor.
func spin(args []string) error {
	if len(args) != 1 {
		return errors.New("spin CPU")
	}
	on, err := strconv.Atoi(args[0])
	if err != nil || on < 0 || on > 63 {
		return fmt.Errorf("no processor %q", args[0])
	}
	mask := uint64(1) << on
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(id), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask))); e != 0 {
			return e
		}
	}
	for x := 1.0; ; x = x*1.0000001 + 1e-9 {
		if x > 1e30 {
			x = 1
		}
	}
}

// tail compares how the times of many runs lie that several goroutines ask for at once, at batch 1.
func tail(args []string) error {
	fs := flag.NewFlagSet("tail", flag.ExitOnError)
	pick := pickFlags(fs)
	threads := fs.Int("threads", 2, "threads of a run")
	requests := fs.Int("requests", 10000, "runs in all")
	goroutines := fs.Int("goroutines", 8, "callers at once")
	most := fs.Duration("most", time.Minute, "time after which fewer runs have to do")
	fs.Parse(args)
	cases, err := pick()
	if err != nil {
		return err
	}
	fmt.Printf("%d callers, threads: %d\n%-17s %6s %9s %9s %6s %8s %7s %9s %9s %6s %8s\n", *goroutines, *threads, "batch 1", "runs",
		"nnrt ms", "p99", "p99/m", "runs/s", "allocs", "ort ms", "p99", "p99/m", "runs/s")
	for _, c := range cases {
		fmt.Printf("%-17s", short(c.name))
		for i, side := range sides {
			r, err := serveIn(serveJob{job: job{Side: side, Model: c.path, Threads: *threads}, Goroutines: *goroutines, Requests: *requests, Most: *most}, c)
			if err != nil {
				fmt.Printf(" %s: %v", side, err)
				break
			}
			if i == 0 {
				fmt.Printf(" %6d %9.3f %9.3f %6.2f %8.1f %7.2f", r.Requests, r.MedianMS, r.P99MS, r.P99OverMedian, r.PerSecond, r.AllocsPerRun)
			} else {
				fmt.Printf(" %9.3f %9.3f %6.2f %8.1f", r.MedianMS, r.P99MS, r.P99OverMedian, r.PerSecond)
			}
		}
		fmt.Println()
	}
	return nil
}

// serveJob is what a serving child is asked for.
type serveJob struct {
	job
	Goroutines, Requests int
	Most                 time.Duration
}

func serveIn(j serveJob, c benchCase) (r bench.Served, err error) {
	if j.Inputs, err = c.inputs(1); err != nil {
		return r, err
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, "servechild")
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(j.Threads))
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(b)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// serveChild runs one model from several goroutines: nnrt with a session for each, ONNX Runtime with one session for all.
func serveChild([]string) error {
	var j serveJob
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&j); err != nil {
		return err
	}
	r, err := newRunner(j.job)
	if err != nil {
		return err
	}
	start := time.Now()
	steps := make([]func() error, j.Goroutines)
	for i := range steps {
		s, err := r.another()
		if err != nil {
			return err
		}
		if err := s.first(); err != nil {
			return err
		}
		s.settle()
		steps[i] = s.run
	}
	each := time.Since(start) / time.Duration(2*len(steps))
	if n := int(j.Most / max(1, each)); n < j.Requests {
		j.Requests = max(n, 20*j.Goroutines)
	}
	res, err := bench.ServeSteps(steps, j.Requests)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}
