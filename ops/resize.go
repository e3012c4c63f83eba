package ops

// resizeOps is the resize family.
var resizeOps = []Info{}
