package ops

// softmaxOps is the softmax family.
var softmaxOps = []Info{}
