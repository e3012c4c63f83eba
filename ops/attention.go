package ops

// attentionOps is the attention family.
var attentionOps = []Info{}
