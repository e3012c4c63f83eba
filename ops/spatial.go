package ops

// spatialOps is the spatial family.
var spatialOps = []Info{}
