package ops

// recurrentOps is the recurrent family.
var recurrentOps = []Info{}
