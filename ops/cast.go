package ops

// castOps is the cast family.
var castOps = []Info{}
