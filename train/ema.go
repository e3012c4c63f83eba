package train

import (
	"encoding/json"

	"github.com/nnrt/nnrt/internal/errs"
)

// ValidationBeginner is told when the validation within a fit begins.
type ValidationBeginner interface{ OnValidationBegin(f *Fit) error }

// ValidationEnder is told when the validation within a fit is done.
type ValidationEnder interface{ OnValidationEnd(f *Fit) error }

// SwapEMAWeights validates with the moving averages of the weights, which an optimizer with UseEMA keeps.
// With OnEpoch the callbacks that come after it, such as ModelCheckpoint, find the averages in the model at the
// end of an epoch, too.
type SwapEMAWeights struct {
	OnEpoch bool

	st struct{ Swapped bool }
}

// OnTrainBegin implements TrainBeginner.
func (c *SwapEMAWeights) OnTrainBegin(f *Fit) error {
	if f.Options.resume == nil {
		c.st.Swapped = false
	}
	if !f.Model.optimizer().UseEMA {
		return errs.Errorf("train: SwapEMAWeights needs an optimizer with use_ema, %s has it off", f.Model.optimizer().Name)
	}
	return nil
}

// swap exchanges weights and averages, where there are any yet.
func (c *SwapEMAWeights) swap(f *Fit, to bool) error {
	m := f.Model
	if c.st.Swapped == to || m.c.step == nil {
		return nil
	}
	sess := m.c.step.sess
	for name, avg := range m.c.step.step.State.Averages {
		w := sess.Param(name).Clone()
		if err := sess.SetParam(name, sess.Param(avg.Name)); err != nil {
			return err
		}
		if err := sess.SetParam(avg.Name, w); err != nil {
			return err
		}
	}
	c.st.Swapped = to
	m.version++
	return nil
}

// OnEpochBegin implements EpochBeginner.
func (c *SwapEMAWeights) OnEpochBegin(f *Fit, _ int) error {
	if f.Model.c.step == nil && c.st.Swapped { // resumed: the values are not in a session yet
		return c.swapValues(f)
	}
	return c.swap(f, false)
}

// swapValues exchanges what a checkpoint held.
func (c *SwapEMAWeights) swapValues(f *Fit) error {
	m := f.Model
	st, err := m.state()
	if err != nil {
		return err
	}
	for name, avg := range st.Averages {
		m.values[name], m.values[avg.Name] = m.values[avg.Name], m.values[name]
	}
	c.st.Swapped = false
	m.version++
	return nil
}

// OnEpochEnd implements EpochEnder.
func (c *SwapEMAWeights) OnEpochEnd(f *Fit, epoch int, _ Logs) error {
	if !c.OnEpoch {
		return nil
	}
	if err := c.swap(f, true); err != nil {
		return err
	}
	if epoch == f.Epochs-1 && f.Model.c.step != nil {
		// The end of the fit puts the averages in place: they are there already.
		sess := f.Model.c.step.sess
		for name, avg := range f.Model.c.step.step.State.Averages {
			if err := sess.SetParam(avg.Name, sess.Param(name)); err != nil {
				return err
			}
		}
		c.st.Swapped = false
	}
	return nil
}

// OnValidationBegin implements ValidationBeginner.
func (c *SwapEMAWeights) OnValidationBegin(f *Fit) error { return c.swap(f, true) }

// OnValidationEnd implements ValidationEnder.
func (c *SwapEMAWeights) OnValidationEnd(f *Fit) error { return c.swap(f, false) }

// Keep implements Keeper.
func (c *SwapEMAWeights) Keep() (json.RawMessage, error) { return json.Marshal(c.st) }

// Take implements Keeper.
func (c *SwapEMAWeights) Take(p json.RawMessage) error { return json.Unmarshal(p, &c.st) }
