package ops

// sortOps is the sort family.
var sortOps = []Info{}
