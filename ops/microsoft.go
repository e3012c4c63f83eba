package ops

// microsoftOps is the microsoft family.
var microsoftOps = []Info{}
