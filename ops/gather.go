package ops

// gatherOps is the gather family.
var gatherOps = []Info{}
