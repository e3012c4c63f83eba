package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/metric"
)

// Callback is told of a fit's progress. It implements those of the small interfaces below that it cares
// for; an error of any ends the fit.
type Callback any

// TrainBeginner is told when a fit begins.
type TrainBeginner interface{ OnTrainBegin(f *Fit) error }

// TrainEnder is told when a fit ends, in whatever way.
type TrainEnder interface{ OnTrainEnd(f *Fit) error }

// EpochBeginner is told when an epoch begins, counted from 0.
type EpochBeginner interface {
	OnEpochBegin(f *Fit, epoch int) error
}

// EpochEnder is told when an epoch, validation included, is done.
type EpochEnder interface {
	OnEpochEnd(f *Fit, epoch int, logs Logs) error
}

// BatchBeginner is told when a batch begins, counted from 0.
type BatchBeginner interface{ OnBatchBegin(f *Fit, batch int) error }

// BatchEnder is told when a batch is done; the logs are over the epoch so far.
type BatchEnder interface {
	OnBatchEnd(f *Fit, batch int, logs Logs) error
}

// Interrupter is told when the fit's context has ended, after the running step.
type Interrupter interface{ OnInterrupt(f *Fit) error }

// Keeper is a callback with a state that a backup has to hold.
type Keeper interface {
	Keep() (json.RawMessage, error)
	Take(state json.RawMessage) error
}

func each[T any](cbs []Callback, f func(T) error) error {
	for _, c := range cbs {
		if t, ok := c.(T); ok {
			if err := f(t); err != nil {
				return err
			}
		}
	}
	return nil
}

func wantsBatches(cbs []Callback) bool {
	for _, c := range cbs {
		if _, ok := c.(BatchEnder); !ok {
			continue
		}
		if w, ok := c.(interface{ wantsBatches() bool }); !ok || w.wantsBatches() {
			return true
		}
	}
	return false
}

// Lambda is a callback of functions; any may be nil.
type Lambda struct {
	TrainBegin, TrainEnd func(f *Fit) error
	EpochBegin           func(f *Fit, epoch int) error
	EpochEnd             func(f *Fit, epoch int, logs Logs) error
	BatchBegin           func(f *Fit, batch int) error
	BatchEnd             func(f *Fit, batch int, logs Logs) error
}

// OnTrainBegin implements TrainBeginner.
func (l *Lambda) OnTrainBegin(f *Fit) error {
	if l.TrainBegin == nil {
		return nil
	}
	return l.TrainBegin(f)
}

// OnTrainEnd implements TrainEnder.
func (l *Lambda) OnTrainEnd(f *Fit) error {
	if l.TrainEnd == nil {
		return nil
	}
	return l.TrainEnd(f)
}

// OnEpochBegin implements EpochBeginner.
func (l *Lambda) OnEpochBegin(f *Fit, epoch int) error {
	if l.EpochBegin == nil {
		return nil
	}
	return l.EpochBegin(f, epoch)
}

// OnEpochEnd implements EpochEnder.
func (l *Lambda) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	if l.EpochEnd == nil {
		return nil
	}
	return l.EpochEnd(f, epoch, logs)
}

// OnBatchBegin implements BatchBeginner.
func (l *Lambda) OnBatchBegin(f *Fit, batch int) error {
	if l.BatchBegin == nil {
		return nil
	}
	return l.BatchBegin(f, batch)
}

// OnBatchEnd implements BatchEnder.
func (l *Lambda) OnBatchEnd(f *Fit, batch int, logs Logs) error {
	if l.BatchEnd == nil {
		return nil
	}
	return l.BatchEnd(f, batch, logs)
}

// direction is how values of what is monitored compare: by Mode, or by the metric of that name.
func (f *Fit) direction(mode, monitor string) (isBetter func(a, b float64) bool, up bool, err error) {
	if up, err = f.largerIsBetter(mode, monitor); err != nil {
		return nil, false, err
	}
	if up {
		return func(a, b float64) bool { return a > b }, true, nil
	}
	return func(a, b float64) bool { return a < b }, false, nil
}

func (f *Fit) largerIsBetter(mode, monitor string) (bool, error) {
	switch mode {
	case "max", "min":
		return mode == "max", nil
	case "", "auto":
	default:
		return false, errs.Errorf("train: mode %q is none of auto, min, max", mode)
	}
	name := strings.TrimPrefix(monitor, "val_")
	if strings.HasSuffix(name, "loss") {
		return false, nil
	}
	for _, g := range f.Model.c.groups {
		for _, x := range g.metrics {
			if n := x.Name(); n == name || f.Model.info.OutputNames[g.output]+"_"+n == name {
				if d := metric.Direction(x); d != 0 {
					return d > 0, nil
				}
			}
		}
	}
	return false, errs.Errorf("train: whether more or less of %q is better can't be told by its name: set the mode to max or min", monitor)
}

func checkMode(mode string) error {
	switch mode {
	case "", "auto", "max", "min":
		return nil
	}
	return errs.Errorf("train: mode %q is none of auto, min, max", mode)
}

func delta(up bool, d float64) float64 {
	if up {
		return math.Abs(d)
	}
	return -math.Abs(d)
}

// EarlyStopping ends a fit when Monitor has not become better by MinDelta for Patience epochs.
type EarlyStopping struct {
	Monitor            string // empty: val_loss
	MinDelta           float64
	Patience           int
	Mode               string // auto, min or max
	Baseline           *float64
	RestoreBestWeights bool
	StartFromEpoch     int

	st stopState
	w  map[string]*tensor.Tensor
}

type stopState struct {
	Wait, BestEpoch, StoppedEpoch int
	Best                          exact
}

// StoppedEpoch is the epoch at which the fit was ended, 0 where it was not.
func (c *EarlyStopping) StoppedEpoch() int { return c.st.StoppedEpoch }

func orName(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// OnTrainBegin implements TrainBeginner.
func (c *EarlyStopping) OnTrainBegin(f *Fit) error {
	if f.Options.resume == nil {
		c.st, c.w = stopState{}, nil
	}
	return checkMode(c.Mode)
}

// watched is what a callback monitors. Where the logs don't have it, that is said, as Keras warns.
func (f *Fit) watched(callback, name string, logs Logs) (float64, bool) {
	v, ok := logs.Get(name)
	validated := strings.HasPrefix(name, "val_") && f.valid != nil // not in every epoch, maybe
	if !ok && !validated && f.Options.Output != nil {
		names := make([]string, len(logs))
		for i, l := range logs {
			names[i] = l.Name
		}
		fmt.Fprintf(f.Options.Output, "%s watches %s, which is not among %s\n", callback, name, strings.Join(names, ", "))
	}
	return v, ok
}

// OnEpochEnd implements EpochEnder.
func (c *EarlyStopping) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	name := orName(c.Monitor, "val_loss")
	v, ok := f.watched("EarlyStopping", name, logs)
	if !ok || epoch < c.StartFromEpoch {
		return nil
	}
	isBetter, up, err := f.direction(c.Mode, name)
	if err != nil {
		return err
	}
	d := delta(up, c.MinDelta)
	if c.RestoreBestWeights && c.w == nil {
		c.w, c.st.BestEpoch = f.Model.snapshot(), epoch
	}
	c.st.Wait++
	if old := best(c.st.Best); old == nil || isBetter(v-d, *old) {
		c.st.Best, c.st.BestEpoch = exact{v}, epoch
		if c.RestoreBestWeights {
			c.w = f.Model.snapshot()
		}
		if c.Baseline == nil || isBetter(v-d, *c.Baseline) {
			c.st.Wait = 0
		}
		return nil
	}
	if c.st.Wait >= c.Patience && epoch > 0 {
		c.st.StoppedEpoch = epoch
		f.Stop("early stopping")
	}
	return nil
}

// OnTrainEnd implements TrainEnder.
func (c *EarlyStopping) OnTrainEnd(f *Fit) error {
	if !c.RestoreBestWeights || c.w == nil {
		return nil
	}
	for name, t := range c.w {
		if f.Model.infer.Param(name) != nil {
			if err := f.Model.SetValue(name, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// Keep implements Keeper.
func (c *EarlyStopping) Keep() (json.RawMessage, error) { return json.Marshal(c.st) }

// Take implements Keeper.
func (c *EarlyStopping) Take(p json.RawMessage) error { return json.Unmarshal(p, &c.st) }

// ReduceLROnPlateau multiplies the learning rate by Factor when Monitor has stopped getting better.
type ReduceLROnPlateau struct {
	Monitor  string  // empty: val_loss
	Factor   float64 // 0: 0.1
	Patience int     // 0: 10
	Mode     string
	MinDelta float64 // 0: 1e-4
	Cooldown int
	MinLR    float64

	st plateauState
}

type plateauState struct {
	Wait, Cooldown int
	Best           exact
}

// OnTrainBegin implements TrainBeginner.
func (c *ReduceLROnPlateau) OnTrainBegin(f *Fit) error {
	if c.Factor >= 1 {
		return errs.Errorf("train: ReduceLROnPlateau with a factor of %v, which is not below 1", c.Factor)
	}
	if f.Options.resume == nil {
		c.st = plateauState{}
	}
	return checkMode(c.Mode)
}

// OnEpochEnd implements EpochEnder.
func (c *ReduceLROnPlateau) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	name := orName(c.Monitor, "val_loss")
	v, ok := f.watched("ReduceLROnPlateau", name, logs)
	if !ok {
		return nil
	}
	isBetter, up, err := f.direction(c.Mode, name)
	if err != nil {
		return err
	}
	min := c.MinDelta
	if min == 0 {
		min = 1e-4
	}
	d := delta(up, min)
	if c.st.Cooldown > 0 {
		c.st.Cooldown--
		c.st.Wait = 0
	}
	if old := best(c.st.Best); old == nil || isBetter(v-d, *old) {
		c.st.Best, c.st.Wait = exact{v}, 0
		return nil
	}
	if c.st.Cooldown > 0 {
		return nil
	}
	patience, factor := c.Patience, c.Factor
	if patience == 0 {
		patience = 10
	}
	if factor == 0 {
		factor = 0.1
	}
	if c.st.Wait++; c.st.Wait < patience {
		return nil
	}
	if old := float64(float32(f.Model.LearningRate())); old > float64(float32(c.MinLR)) {
		c.st.Cooldown, c.st.Wait = c.Cooldown, 0
		return f.Model.SetLearningRate(max(old*factor, c.MinLR))
	}
	return nil
}

// Keep implements Keeper.
func (c *ReduceLROnPlateau) Keep() (json.RawMessage, error) { return json.Marshal(c.st) }

// Take implements Keeper.
func (c *ReduceLROnPlateau) Take(p json.RawMessage) error { return json.Unmarshal(p, &c.st) }

// LearningRateScheduler sets the rate of each epoch from the epoch's number and the present rate.
type LearningRateScheduler struct {
	Schedule func(epoch int, lr float64) float64
}

// OnEpochBegin implements EpochBeginner.
func (c *LearningRateScheduler) OnEpochBegin(f *Fit, epoch int) error {
	return f.Model.SetLearningRate(c.Schedule(epoch, f.Model.LearningRate()))
}

// TerminateOnNaN ends a fit without an error when the loss is NaN or infinite; the weights are those before
// that batch. Without it such a loss is an error of the fit.
type TerminateOnNaN struct {
	RaiseError bool // makes it an error all the same
}

// CSVLogger writes each epoch as a line of a CSV file.
type CSVLogger struct {
	Path      string
	Separator string // empty: a comma
	Append    bool

	names []string
	file  *os.File
}

// OnTrainBegin implements TrainBeginner. A fit that goes on from a checkpoint goes on in its file, without
// the lines of epochs that are trained once more.
func (c *CSVLogger) OnTrainBegin(f *Fit) error {
	c.names = nil
	var kept []string
	if c.Append || f.Options.resume != nil {
		p, err := os.ReadFile(c.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sep := orName(c.Separator, ",")
		for i, line := range strings.SplitAfter(string(p), "\n") {
			if !strings.HasSuffix(line, "\n") {
				break // cut short by the end of its process
			}
			first, rest, _ := strings.Cut(strings.TrimSpace(line), sep)
			if i == 0 && first == "epoch" {
				c.names = strings.Split(rest, sep)
			} else if epoch, err := strconv.Atoi(first); err == nil && f.Options.resume != nil && epoch >= f.Options.resume.Epoch {
				break
			}
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		file, err := os.Create(c.Path)
		c.file = file
		return err
	}
	// A process that is killed right here must not take the lines of earlier ones along.
	if err := atomicfile.Write(c.Path, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(kept, ""))
		return err
	}); err != nil {
		return err
	}
	file, err := os.OpenFile(c.Path, os.O_WRONLY|os.O_APPEND, 0)
	c.file = file
	return err
}

// OnEpochEnd implements EpochEnder.
func (c *CSVLogger) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	sep := orName(c.Separator, ",")
	if c.names == nil {
		validated := false
		for _, l := range logs {
			c.names = append(c.names, l.Name)
			validated = validated || strings.HasPrefix(l.Name, "val_")
		}
		slices.Sort(c.names)
		if !validated { // later epochs may be validated
			for _, n := range c.names[:len(c.names):len(c.names)] {
				c.names = append(c.names, "val_"+n)
			}
		}
		if _, err := fmt.Fprintln(c.file, strings.Join(append([]string{"epoch"}, c.names...), sep)); err != nil {
			return err
		}
	}
	row := []string{fmt.Sprint(epoch)}
	for _, n := range c.names {
		cell := "NA"
		for _, l := range logs {
			if l.Name == n {
				cell = numbers(l.Values)
			}
		}
		row = append(row, cell)
	}
	_, err := fmt.Fprintln(c.file, strings.Join(row, sep))
	return err
}

func numbers(vs []float64) string {
	if len(vs) == 1 {
		return fmt.Sprint(vs[0])
	}
	s := make([]string, len(vs))
	for i, v := range vs {
		s[i] = fmt.Sprint(v)
	}
	return `"[` + strings.Join(s, ", ") + `]"`
}

// OnTrainEnd implements TrainEnder.
func (c *CSVLogger) OnTrainEnd(*Fit) error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

// ProgbarLogger writes Keras' progress bar, or with Lines one line an epoch.
type ProgbarLogger struct {
	Out   io.Writer
	Lines bool
	Plain bool // without colours

	start, last time.Time
}

const barWidth = 20

// OnEpochBegin implements EpochBeginner.
func (c *ProgbarLogger) OnEpochBegin(f *Fit, epoch int) error {
	c.start, c.last = time.Now(), time.Time{}
	_, err := fmt.Fprintf(c.Out, "Epoch %d/%d\n", epoch+1, f.Epochs)
	return err
}

func (c *ProgbarLogger) wantsBatches() bool { return !c.Lines }

// OnBatchEnd implements BatchEnder.
func (c *ProgbarLogger) OnBatchEnd(f *Fit, batch int, logs Logs) error {
	// Keras redraws no more than 20 times a second.
	if c.Lines || time.Since(c.last) < 50*time.Millisecond && f.Batch != f.Steps {
		return nil
	}
	c.last = time.Now()
	_, err := fmt.Fprint(c.Out, "\r"+c.bar(f, logs)+"\x1b[K")
	return err
}

func (c *ProgbarLogger) bar(f *Fit, logs Logs) string {
	took := time.Since(c.start)
	perStep := took / time.Duration(max(f.Batch, 1))
	count := fmt.Sprintf("%d/Unknown", f.Batch)
	done := barWidth
	if f.Steps > 0 {
		digits := len(fmt.Sprint(f.Steps))
		count = fmt.Sprintf("%*d/%d", digits, f.Batch, f.Steps)
		done = barWidth * f.Batch / f.Steps
	}
	left := took
	if f.Steps > f.Batch {
		left = perStep * time.Duration(f.Steps-f.Batch)
	}
	if c.Plain {
		return fmt.Sprintf("%s %s%s %.0fs %s/step%s", count, strings.Repeat("━", done), strings.Repeat("╌", barWidth-done),
			left.Seconds(), brief(perStep), spelled(logs))
	}
	return fmt.Sprintf("\x1b[1m%s\x1b[0m \x1b[32m%s\x1b[0m\x1b[37m%s\x1b[0m \x1b[1m%.0fs\x1b[0m %s/step%s", count,
		strings.Repeat("━", done), strings.Repeat("━", barWidth-done), left.Seconds(), brief(perStep), spelled(logs))
}

// brief is a duration as Keras writes it: 3ms, 2s, 140us.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.0fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.0fus", float64(d)/1e3)
}

func spelled(logs Logs) string {
	var s strings.Builder
	for _, l := range logs {
		fmt.Fprintf(&s, " - %s:", l.Name)
		for _, v := range l.Values {
			if math.Abs(v) > 1e-3 {
				fmt.Fprintf(&s, " %.4f", v)
			} else {
				fmt.Fprintf(&s, " %.4e", v)
			}
		}
	}
	return s.String()
}

// OnEpochEnd implements EpochEnder.
func (c *ProgbarLogger) OnEpochEnd(f *Fit, epoch int, logs Logs) error {
	var err error
	if c.Lines {
		took := time.Since(c.start)
		_, err = fmt.Fprintf(c.Out, "%d/%d - %.0fs - %s/step%s\n", f.Batch, f.Steps, took.Seconds(),
			brief(took/time.Duration(max(f.Batch, 1))), spelled(logs))
	} else {
		_, err = fmt.Fprintln(c.Out, "\r"+c.bar(f, logs)+"\x1b[K")
	}
	return err
}
