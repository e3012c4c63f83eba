package ops

// signalOps is the signal family.
var signalOps = []Info{}
