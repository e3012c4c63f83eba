package ops

// reduceOps is the reduce family.
var reduceOps = []Info{}
