package ops

// randomOps is the random family.
var randomOps = []Info{}
