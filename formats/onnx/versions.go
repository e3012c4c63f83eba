package onnx

import (
	"cmp"

	"github.com/nnrt/nnrt/internal/order"
)

// Version says which versions of an ONNX operator are read, and as what.
type Version struct {
	// Domain is the operator's domain; "" is the default one, ai.onnx.
	Domain string
	// Name is the operator's name in files.
	Name string
	// Since is the operator-set versions from which on the operator means something else to the reader,
	// ascending. Each holds until the next.
	Since []int
	// Until is the last operator-set version that has the operator, 0 where it was not removed.
	Until int
	// Op is the name of the operator of package ops that the newest version is read as, "" where it is read
	// as several.
	Op string
}

// Versions is every operator that this package reads, by domain and name.
func Versions() []Version {
	var out []Version
	for k, list := range newRowTable(rows()) {
		v := Version{Domain: k.domain, Name: k.name}
		for _, r := range list {
			v.Since = append(v.Since, r.since)
		}
		last := list[len(list)-1]
		if v.Until = last.until; last.op != nil {
			v.Op = last.op.Name()
		}
		out = append(out, v)
	}
	order.Sort(out, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	return out
}
