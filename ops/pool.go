package ops

// poolOps is the pool family.
var poolOps = []Info{}
