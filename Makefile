# nnrt's build, as CI runs it. `make run` is the first thing to try, `make test` the second.
GO      ?= go
export CGO_ENABLED = 0
NNRT_DATA ?= $(abspath ../shared)
export NNRT_DATA

.PHONY: build run test race noasm neon hostile fuzz conformance bench bench-peers peers-accept bench-peers-train generate check-generate lint cover cross check clean

build: ## the nnrt command, static
	$(GO) build -trimpath -ldflags "-s -w" -o bin/nnrt ./cmd/nnrt

run: build ## import the embedded Keras model and classify pictures of digits
	./bin/nnrt demo

test: ## every test that needs nothing but Go
	$(GO) test ./...

race: ## the concurrent parts under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short . ./runtime/... ./internal/par/... ./devices/cpu/ ./train/data/...

noasm: ## the Go twins of every assembly kernel
	$(GO) test -tags noasm ./devices/... ./runtime/...
	NNRT_CPU=generic $(GO) test ./devices/cpu/...

hostile: ## what hostile files find, with panics let through (internal/guard turns them into errors otherwise)
	$(GO) test -tags nnrtdebug -run 'Hostile|Mutant|Mutation|Truncation|Fuzz' ./formats/... ./tensor ./graph ./devices/ref

FUZZTIME ?= 20s
fuzz: ## each parser's fuzz target for FUZZTIME; with nnrtdebug, so that no panic passes for an error
	@set -e; for t in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | grep -v /_ | sort -u); do \
	  d=$$(dirname $$t); for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' $$t | sed 's/func //'); do \
	    echo "fuzz $$d $$f"; $(GO) test -tags nnrtdebug $$d -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x; done; done

conformance: build ## every suite below NNRT_DATA on both devices, against the expected-failure lists
	./conformance/run.sh ./bin/nnrt

bench: ## kernels: GFLOP/s, GB/s
	$(GO) test -run '^$$' -bench . ./devices/cpu/...

bench-peers: ## against ONNX Runtime, interleaved; NNRT_ORT names libonnxruntime.so.1
	$(MAKE) -C bench/peers inference

peers-accept: ## ONNX Runtime takes what nnrt exports, and gives the same numbers; needs NNRT_ORT
	$(MAKE) -C bench/peers accept

bench-peers-train: ## training steps against PyTorch (python3-torch), interleaved
	$(MAKE) -C bench/peers train

generate: build ## assembly, docs/coverage.md
	@if [ -d devices/cpu/internal/kern/_asm ]; then cd devices/cpu/internal/kern/_asm && $(GO) run . ; fi
	./bin/nnrt ops --markdown > docs/coverage.md

check-generate: generate ## fails where generating changes a file
	git diff --exit-code -- docs/coverage.md 'devices/cpu/internal/kern/*.s'

lint: ## vet, gofmt, house rules
	$(GO) vet ./...
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) test ./internal/lint

cover:
	$(GO) test -coverprofile=coverage.out ./... && $(GO) tool cover -func=coverage.out | tail -1

neon: ## the arm64 kernels under qemu-aarch64, which has to be installed
	GOARCH=arm64 $(GO) test -c -o bin/kern_arm64.test ./devices/cpu/internal/kern
	cd devices/cpu/internal/kern && qemu-aarch64 ../../../../bin/kern_arm64.test -test.short
	GOARCH=arm64 $(GO) test -c -o bin/cpu_arm64.test ./devices/cpu
	cd devices/cpu && qemu-aarch64 ../../bin/cpu_arm64.test -test.short -test.run 'Recurrent|Attention|Integers|TestAgainstRef|TestFusion'

cross: ## builds for the other platforms
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/nnrt
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/nnrt
	GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/nnrt

check: lint test noasm hostile cross check-generate conformance

clean:
	rm -rf bin coverage.out
