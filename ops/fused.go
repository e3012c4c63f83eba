package ops

// fusedOps is the fused family.
var fusedOps = []Info{}
