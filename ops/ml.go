package ops

// mlOps is the ml family.
var mlOps = []Info{}
