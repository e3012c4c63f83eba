package ops

// stringOps is the string family.
var stringOps = []Info{}
