package ops

// lossOps is the loss family.
var lossOps = []Info{}
