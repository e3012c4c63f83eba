package ops

// imageOps is the image family.
var imageOps = []Info{}
