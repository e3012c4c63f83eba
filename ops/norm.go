package ops

// normOps is the norm family.
var normOps = []Info{}
