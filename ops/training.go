package ops

// trainingOps is the training family.
var trainingOps = []Info{}
