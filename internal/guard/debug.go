//go:build nnrtdebug

package guard

// On says that panics become errors.
const On = false
