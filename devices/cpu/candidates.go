package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
)

// Candidate is one way of computing a node.
type Candidate struct {
	// Name is the kernel's, and of a convolution the algorithm's.
	Name string
	// Chosen marks what the device takes.
	Chosen bool
	// Step is ready to run.
	Step devices.Step
}

// Candidates is every way that the device has of computing a node, the chosen one first: each kernel that matches, the
// reference's too where no other does, and each algorithm that can do a convolution.
func (d *Device) Candidates(r devices.Request) ([]Candidate, error) {
	chosen, err := d.table.Select(r)
	if err != nil {
		return nil, err
	}
	var plan func() (*convPlan, error)
	switch op := r.Node.Op.(type) {
	case ops.FusedConv:
		plan = func() (*convPlan, error) { return d.planOf(op, r) }
	case ops.Conv:
		plan = func() (*convPlan, error) { return d.planOfConv(op, r) }
	}
	if plan != nil && chosen.Match(r) > 1 {
		return d.convCandidates(plan, r)
	}
	step, err := chosen.Prepare(r)
	if err != nil {
		return nil, err
	}
	list := []Candidate{{Name: chosen.Name, Chosen: true, Step: step}}
	for _, k := range d.table.Candidates(r.Node.Op) {
		if k.Name == chosen.Name || k.Match(r) <= 1 {
			continue
		}
		step, err := k.Prepare(r)
		if err != nil {
			return nil, err
		}
		list = append(list, Candidate{Name: k.Name, Step: step})
	}
	return list, nil
}

// convCandidates is the algorithms that can do a convolution. Each changes the plan that it is given.
func (d *Device) convCandidates(plan func() (*convPlan, error), r devices.Request) ([]Candidate, error) {
	type algorithm struct {
		name string
		make func(p *convPlan) convImpl
	}
	p, err := plan()
	if err != nil {
		return nil, err
	}
	list := []algorithm{{"direct", func(p *convPlan) convImpl { return d.newDirect(p, r) }}}
	if p.depthwise() {
		list = append(list, algorithm{"depthwise", func(p *convPlan) convImpl { return d.newDepthwise(p, r) }})
	}
	if d.stripsPay(p) {
		list = append(list, algorithm{"strips", func(p *convPlan) convImpl { return d.newStrips(p, r) }})
	}
	if !d.exact && !r.Exact && !p.dyn {
		if d.winogradFits(p) {
			for _, o := range []int{2, 4} {
				list = append(list, algorithm{fmt.Sprintf("winograd%d", o), func(p *convPlan) convImpl { return d.newWinograd(p, r, o) }})
			}
		}
		if line := d.lineFiltering(p); line != nil {
			list = append(list, algorithm{"lines", func(p *convPlan) convImpl { return d.newWinoLine(p, r, line) }})
		}
	}
	step, ok := d.convStep(p, r).(*convStep)
	if !ok {
		return nil, errs.Errorf("cpu: a convolution's step is no convStep")
	}
	name := algorithmName(step.impl)
	out := []Candidate{{Name: name, Chosen: true, Step: step}}
	for _, a := range list {
		if a.name == name {
			continue
		}
		p, err := plan()
		if err != nil {
			return nil, err
		}
		out = append(out, Candidate{Name: a.name, Step: d.convStepOf(p, a.make(p))})
	}
	return out, nil
}

// algorithmName is what Candidates calls an algorithm.
func algorithmName(i convImpl) string {
	switch i := i.(type) {
	case *direct:
		return "direct"
	case *depthwise:
		return "depthwise"
	case *strips:
		return "strips"
	case *winograd:
		return fmt.Sprintf("winograd%d", i.w.O)
	case *winoLine:
		return "lines"
	}
	return fmt.Sprintf("%T", i)
}
