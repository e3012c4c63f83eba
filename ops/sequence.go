package ops

// sequenceOps is the sequence family.
var sequenceOps = []Info{}
