package runtime

import (
	"context"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/tensor"
)

// turn is the context of a run that its device admitted. Runs inside it, of subgraphs or of models that a custom operator calls
// on the same device, see that and don't wait for a turn of their own.
type turn struct {
	context.Context
	dev devices.Admitter
}

// Value implements context.Context.
func (t *turn) Value(key any) any {
	if key == any(t.dev) {
		return t
	}
	return t.Context.Value(key)
}

// admitted is exec once the device lets the run in.
func (s *Session) admitted(ctx context.Context, inst *instance, in, out []tensor.Value) error {
	dev, ok := s.p.dev.(devices.Admitter)
	if !ok || ctx.Value(dev) != nil {
		return s.exec(ctx, inst, in, out)
	}
	if err := dev.Admit(ctx); err != nil {
		return err
	}
	defer dev.Leave()
	s.turn = turn{ctx, dev}
	return s.exec(&s.turn, inst, in, out)
}
