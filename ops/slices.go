package ops

// sliceOps is the slice family.
var sliceOps = []Info{}
