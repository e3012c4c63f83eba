//go:build noasm || !amd64

package kern

func withoutVNNI(sets map[string]Int, _ bool) map[string]Int { return sets }
