# `make` lists the targets. Everything here needs Go only; what a target builds for itself lies in .bin/.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# All modules of the workspace; tools/ holds only the versions of the tools.
PACKAGES := ./... ./devserver/... ./bench/... ./deploy/...

# Only the race detector needs cgo. One setting for all the rest lets it share one build cache.
GO := CGO_ENABLED=0 go
# Says how far it is.
BUILD := CGO_ENABLED=0 internal/gobuild/gobuild.sh

# What the image is called, and says of itself.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo local)

# .ci/run puts a runner here that counts and runs again what failed. That one knows the packages already.
GO_TEST ?= go test
TESTED ?= $(PACKAGES)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run everything in one process until Ctrl-C; ARGS="--ephemeral" and the like are passed on
	@$(BUILD) .bin/amends-dev ./devserver/cmd/amends-dev
	@exec .bin/amends-dev $(ARGS)

# -count=1: the end-to-end tests run binaries whose changes the test cache would not notice. Without the race detector it
# shares the build cache of make run.
.PHONY: test
test: ## Run the tests that are over in five minutes, end to end included; ARGS="-run Name" and the like are passed on
	CGO_ENABLED=0 $(GO_TEST) -short -count=1 -timeout 20m $(ARGS) $(TESTED)

.PHONY: test-all
test-all: ## Run every test, with the race detector, as CI does; takes ARGS
	@race=-race; \
	if ! { test "$$(go env CGO_ENABLED)" = 1 && echo '#include <stdlib.h>' | $$(go env CC) -x c -c -o /dev/null -; } 2>/dev/null; then \
		if [ "$$CI" = true ]; then echo "The race detector needs a C compiler and CGO_ENABLED=1."; exit 1; fi; \
		echo "No C compiler: the tests run without the race detector."; race=; \
	fi; \
	set -x; $(GO_TEST) $$race -count=1 -timeout 20m $(ARGS) $(TESTED)

.PHONY: demo
demo: ## Place 40 orders against a running `make run` or `make up` and show how each ended; takes ARGS
	@deploy/compose/demo.sh $(ARGS)

.PHONY: up
up: ## Start docker-compose.yml: everything as in production, on this machine; needs Docker
	VERSION=$(VERSION) deploy/compose/up.sh

.PHONY: down
down: ## Stop what make up started; the data stays, ARGS="--volumes" deletes it
	docker compose --profile next --profile tools down $(ARGS)

.PHONY: repeats
repeats: ## Ask for 2,000 orders 8,000 times at APIs that are killed 20 times, and count the sagas
	$(GO_TEST) ./e2e -run '^TestRepeats$$' -count=1 -v -timeout 60m -repeats.orders=2000 -repeats.kills=20 $(ARGS)

# As TestChaos in `make test-all`, but longer; about fifteen minutes.
.PHONY: chaos
chaos: ## Kill workers 200 times under 5,000 sagas and check the books; ARGS="-chaos.seed=1" repeats a plan
	$(GO_TEST) ./e2e -run '^TestChaos$$' -count=1 -v -timeout 90m -chaos.sagas=5000 -chaos.kills=200 $(ARGS)

.PHONY: soundness
soundness: ## Play schedules of crashes, resets and decisions on a real server, each ten times
	$(GO_TEST) ./e2e -run '^TestSoundness$$' -count=1 -v -timeout 90m -soundness.rounds=10 $(ARGS)

.PHONY: upgrade
upgrade: ## Deploy three versions under load, half a minute between two steps, and check the books
	$(GO_TEST) ./e2e -run '^TestRollingUpgrade$$' -count=1 -v -timeout 30m -upgrade.phase=30s -upgrade.rate=10 $(ARGS)

# What it finds is kept in the package's testdata/fuzz, which `make test` runs.
FOR ?= 30s
.PHONY: fuzz
fuzz: ## Fuzz every decoder, each for FOR=30s
	@set -e; for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; $(GO) test $$package -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FOR); \
		done; \
	done

# Half an hour is a part of them; the next run goes on. One folder: make mutants ARGS="-most 0 fence".
.PHONY: mutants
mutants: ## Plant small changes in the engine and its services' fence, and list those that no test sees; takes ARGS
	$(GO) run ./internal/mutants $(or $(ARGS),fence activities workflows compensation)

.PHONY: bench
bench: ## Measure sagas against plain Temporal and DBOS, and orders over REST; ARGS="--quick", ARGS="--json" and the like are passed on
	@$(BUILD) .bin/bench ./bench
	@exec .bin/bench $(ARGS)

.PHONY: sizing
sizing: ## Measure how sagas grow with shards, workers, a slow disk and their histories (docs/sizing.md); takes ARGS
	@$(BUILD) .bin/bench ./bench
	@exec .bin/bench sizing $(ARGS)

.PHONY: memory
memory: ## Start sagas for twelve minutes and look at the heap of the Temporal server; ARGS="--shards 512" and the like are passed on
	@$(BUILD) .bin/bench ./bench
	@exec .bin/bench memory $(ARGS)

.PHONY: bench-rest
bench-rest: ## Measure what an order costs over REST beside one started straight from Temporal's SDK
	$(GO_TEST) ./e2e -run '^$$' -bench '^BenchmarkREST$$' -benchtime 1x -timeout 30m

.PHONY: bench-telemetry
bench-telemetry: ## Measure what metrics and traces add to what an order costs
	$(GO_TEST) ./e2e -run '^$$' -bench '^BenchmarkTelemetry$$' -benchtime 1x -timeout 30m -rest.rounds 12

.PHONY: histories
histories: ## Record the histories that the replay tests read, from a real server
	$(GO) test ./e2e -run 'TestEndings|TestUncertain|TestBatches|TestTerminated' -count=1 -timeout 20m -record

.PHONY: lint
lint: lint-format lint-build lint-vet lint-golangci lint-workflows lint-modules licenses ## Check formatting, code, the map's import rules, determinism, modules and their licenses

.PHONY: lint-format
lint-format: .bin/.tools
	@echo "gofumpt"
	@files=$$(.bin/gofumpt -l .) || exit 1; test -z "$$files" || { \
		echo "$$files"; echo "Not formatted; run: .bin/golangci-lint fmt $(PACKAGES)"; exit 1; }

.PHONY: lint-build
lint-build:
	$(GO) build $(PACKAGES)

.PHONY: lint-vet
lint-vet:
	$(GO) vet $(PACKAGES)

.PHONY: lint-golangci
lint-golangci: .bin/.tools
	CGO_ENABLED=0 .bin/golangci-lint run --allow-serial-runners $(PACKAGES)

.PHONY: lint-workflows
lint-workflows: .bin/.tools
	CGO_ENABLED=0 .bin/workflowcheck ./workflows ./compensation

.PHONY: lint-modules
lint-modules:
	GOWORK=off go mod tidy -diff
	GOWORK=off go -C devserver mod tidy -diff
	GOWORK=off go -C bench mod tidy -diff
	GOWORK=off go -C deploy mod tidy -diff
	GOWORK=off go -C tools mod tidy -diff

.PHONY: sbom
sbom: .bin/.tools ## Write the bill of materials of the binary (CycloneDX) to bin/amends.cdx.json
	@mkdir -p bin
	GOWORK=off CGO_ENABLED=0 .bin/cyclonedx-gomod app -json -licenses -assert-licenses -noserial -notimestamp \
		-output bin/amends.cdx.json -main cmd/amends . 2>.bin/sbom.log || { cat .bin/sbom.log; exit 1; }

.PHONY: licenses
licenses: sbom ## Show the license of each module in the binary; fails for one that is not allowed
	@$(GO) run ./internal/licenses bin/amends.cdx.json

.PHONY: vulncheck
vulncheck: .bin/.tools ## Look for known vulnerabilities in what is called; asks https://vuln.go.dev
	CGO_ENABLED=0 .bin/govulncheck $(PACKAGES)

.PHONY: build
build: ## Build bin/amends and bin/amends-dev, static and without machine paths
	@GOFLAGS="$$(go env GOFLAGS) -trimpath" $(BUILD) bin/ ./cmd/amends ./devserver/cmd/amends-dev

.PHONY: image
image: ## Build the container image amends:VERSION; needs Docker
	docker build --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=0 --tag amends:$(VERSION) .

.PHONY: generate
generate: ## Write generated files again; changes nothing when they are current
	$(GO) generate $(PACKAGES)

.PHONY: clean
clean: ## Remove what was built; the data of `make run` in .amends/ stays
	rm -rf bin .bin
	@test ! -d .amends || echo ".amends/ holds the data of make run and is kept; rm -r .amends removes it."

.bin/.tools: tools/go.mod tools/go.sum
	@echo "Building the lint tools. The first time takes a few minutes."
	@mkdir -p .bin
	GOWORK=off $(GO) -C tools build -o ../.bin/ tool
	@touch $@
