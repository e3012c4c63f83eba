package ops

// controlOps is the control family.
var controlOps = []Info{}
