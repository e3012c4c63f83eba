package devices

import (
	"runtime"
	"sync"
	"weak"

	"github.com/nnrt/nnrt/tensor"
)

// PackCache shares prepacked constants between the programs of one model. It is safe for concurrent use. It forgets what was made of
// a constant that nobody uses any more: those that a plan for inputs of certain shapes makes for itself go with the plan.
type PackCache struct {
	mu sync.Mutex
	m  map[packEntry]any
}

// PackKey names a packing: the constant, and all that its packed form depends on.
type PackKey struct {
	T    *tensor.Tensor
	Kind string
}

type packEntry struct {
	t    weak.Pointer[tensor.Tensor]
	kind string
}

// Get returns what is packed under key, making it at first use. A nil cache always makes it anew.
func (c *PackCache) Get(key PackKey, make func() any) any {
	if c == nil {
		return make()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := packEntry{weak.Make(key.T), key.Kind}
	if v, ok := c.m[e]; ok {
		return v
	}
	if c.m == nil {
		c.m = map[packEntry]any{}
	}
	v := make()
	c.m[e] = v
	if key.T != nil {
		// The cleanup must not keep the cache, whose packings may hold the constant.
		runtime.AddCleanup(key.T, forget, forgotten{weak.Make(c), e})
	}
	return v
}

type forgotten struct {
	cache weak.Pointer[PackCache]
	entry packEntry
}

func forget(f forgotten) {
	if c := f.cache.Value(); c != nil {
		c.mu.Lock()
		delete(c.m, f.entry)
		c.mu.Unlock()
	}
}
