package ops

// quantOps is the quant family.
var quantOps = []Info{}
