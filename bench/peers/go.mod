module github.com/nnrt/nnrt/bench/peers

go 1.26.0

require github.com/nnrt/nnrt v0.0.0

require (
	github.com/ebitengine/purego v0.11.3
	golang.org/x/image v0.47.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/nnrt/nnrt => ../..
