# The gate and the everyday commands; "make help" lists them.
#
# "make test" runs every check one after the other, the cheap ones first. The
# one that fails ends it, and make names it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s
BENCH    ?= .

# Built tools and logs of the last run; not committed.
CACHE    := .cache
LINT     := $(CACHE)/golangci-lint
GOFUMPT  := $(CACHE)/gofumpt
NPM_DONE := web/node_modules/.package-lock.json
EXAMPLES := examples/node_modules/.package-lock.json
EXAMPLE_FILES := 'examples/*/*.*' 'examples/next/{app,lib}/**/*.*'
BENCH_NODE := bench/node/node_modules/.package-lock.json

GO_FILES    = find . \( -name node_modules -o -name '.?*' \) -prune -o -name '*.go' -print0
# The linter runs vet. Only a test that would never end meets the timeout: on a busy
# machine, a package may take several times the ten minutes that are the default.
TEST_FLAGS  = -json -race -shuffle=on -vet=off -timeout=1h
GO_MODULES  = find . \( -name node_modules -o -name '.?*' \) -prune -o -name go.mod -printf '%h\n'
# What make generate may not change: every file that git would commit.
FINGERPRINT = git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null || true

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

##### Everyday

.PHONY: run build quick fmt dist generate docker release-dry-run clean
run: ## Start a development server on 127.0.0.1:8080
	go run ./server --dev

build: ## Build the static binary ./sluice
	@echo '== $@'
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/sluicehq/sluice/server/program.version=$(VERSION)' -o sluice ./cmd/sluice

quick: check-format vet typecheck ## Check what you work on: formats, vet, types, unit tests without storms
	@echo '== unit tests'
	@go test -short -vet=off ./...

fmt: $(GOFUMPT) $(NPM_DONE) ## Format the code
	$(GO_FILES) | xargs -0 $(GOFUMPT) -l -w
	npm --prefix web run --silent fmt
	web/node_modules/.bin/prettier --config web/.prettierrc.json --write --log-level warn $(EXAMPLE_FILES)

dist: $(NPM_DONE) ## Build the TypeScript package and the dashboard, web/dist and web/page, which are committed
	npm --prefix web run --silent build

generate: ## Write generated files of Go anew
	go generate ./...

docker: ## Build the image sluice:dev
	docker build --build-arg VERSION=$(VERSION) --tag sluice:dev .

release-dry-run: ## Build what a release has into .cache/release, and publish nothing
	@scripts/release v$$(node -p 'require("./web/package.json").version')

clean: ## Remove what was built and installed here
	rm -rf $(CACHE) sluice web/node_modules examples/node_modules bench/node/node_modules

##### The gate

# The Go code, then the TypeScript package, then the tests. The linter runs vet.
CHECKS := check-format check-tidy check-generated lint \
  check-dist typecheck lint-web size check-package check-examples
TESTS  := test-go test-unit test-e2e test-matrix

.PHONY: test setup vet $(CHECKS) $(TESTS) test-web
test: setup build $(CHECKS) $(TESTS) ## Everything that CI checks
	@echo '== all checks'
	@scripts/total $(TESTS:%=$(CACHE)/%.log)

setup: ## Install what the tests run against: a browser, proxies, curl
	@echo '== $@'
	@scripts/setup

check-format: $(GOFUMPT)
	@echo '== $@'
	@unformatted=$$($(GO_FILES) | xargs -0 $(GOFUMPT) -l); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run make fmt:\n%s\n' "$$unformatted"; exit 1; fi

check-tidy:
	@echo '== $@'
	@$(GO_MODULES) | while read -r dir; do \
	  diff=$$(go -C "$$dir" mod tidy -diff) || { echo "$$diff" | grep '^[-+]' | head -n 20; echo "run go mod tidy in $$dir"; exit 1; }; \
	done

vet: ## Run go vet, which lint does, too
	@echo '== $@'
	@go vet ./...
	@go vet -C bench ./...
	@go vet -C deploy ./...

check-generated:
	@echo '== $@'
	@if ! git rev-parse --git-dir >/dev/null 2>&1; then echo 'not a git checkout: left out'; exit 0; fi; \
	before=$$($(FINGERPRINT)); \
	$(MAKE) --no-print-directory generate; \
	after=$$($(FINGERPRINT)); \
	diff <(echo "$$before") <(echo "$$after") || { echo 'make generate changed these files: commit what it writes'; exit 1; }

lint: $(LINT) ## Run the linters of Go
	@echo '== $@'
	@$(LINT) run ./...
	@cd bench && ../$(LINT) run ./...
	@cd deploy && ../$(LINT) run --config ../bench/.golangci.yml ./...

check-dist: $(NPM_DONE) ## Check that web/dist and web/page are what their sources give
	@echo '== $@'
	@npm --prefix web run --silent check:dist

typecheck: $(NPM_DONE) ## Check the types of the package and of its tests
	@echo '== $@'
	@npm --prefix web run --silent typecheck

lint-web: $(NPM_DONE) ## Run the linter of TypeScript, and check the format
	@echo '== $@'
	@npm --prefix web run --silent lint

size: $(NPM_DONE) ## Measure what a page loads, and hold it to its limits
	@echo '== $@'
	@npm --prefix web run --silent size

check-package: $(NPM_DONE) ## Check what users of the package would get
	@echo '== $@'
	@npm --prefix web run --silent check:package

check-examples: $(NPM_DONE) $(EXAMPLES) ## Check the types of the examples, and their format
	@echo '== $@'
	@npm --prefix examples run --silent typecheck
	@web/node_modules/.bin/prettier --config web/.prettierrc.json --check --log-level warn $(EXAMPLE_FILES)

test-go: build $(BENCH_NODE) ## Run the Go tests, with the race detector
	@echo '== $@'
	@mkdir -p $(CACHE)
	@{ SLUICE_BIN=$(CURDIR)/sluice go test $(TEST_FLAGS) ./...; go test -C bench $(TEST_FLAGS) ./...; \
	  SLUICE_BIN=$(CURDIR)/sluice go test -C deploy $(filter-out -race,$(TEST_FLAGS)) ./...; } | go run ./scripts/testreport | tee $(CACHE)/$@.log

test-web: test-unit test-e2e test-matrix ## Run all tests of web/

test-unit: build $(NPM_DONE) ## Run the tests of the package and of the page's modules
	@echo '== $@'
	@mkdir -p $(CACHE)
	@cd web && NO_COLOR=1 SLUICE_BIN=$(CURDIR)/sluice npm run --silent test:unit 2>&1 | tee ../$(CACHE)/$@.log

test-e2e: $(EXAMPLES)
test-e2e: build $(NPM_DONE) ## Run the tests in a browser
	@echo '== $@'
	@mkdir -p $(CACHE)
	@cd web && SLUICE_BIN=$(CURDIR)/sluice npm run --silent test:e2e 2>&1 | tee ../$(CACHE)/$@.log

test-matrix: build $(NPM_DONE) ## Load the package with each runtime, compiler, bundler and test runner
	@echo '== $@'
	@mkdir -p $(CACHE)
	@cd web && SLUICE_BIN=$(CURDIR)/sluice npm run --silent test:matrix 2>&1 | tee ../$(CACHE)/$@.log

##### Longer runs

.PHONY: fuzz bench bench-quick bench-go
fuzz: ## Run every fuzz target for FUZZTIME (30s) each
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

bench: $(CACHE)/bench $(BENCH_NODE) ## Measure beside other servers, about an hour; writes docs/benchmarks.md
	$(CACHE)/bench run -root . -seconds 1 -warmup 0.5 -json $(CACHE)/bench.json
	$(CACHE)/bench report -json $(CACHE)/bench.json -out docs

bench-quick: $(CACHE)/bench ## The same in two minutes: three scenarios, short, to the terminal
	$(CACHE)/bench run -root . -scenarios A,E,F -servers sluice,floor-1ms,nethttp,bare -rounds 3 -seconds 1

bench-go: ## Run the benchmarks of Go's testing package; BENCH is the pattern (.)
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: $(CACHE)/bench
$(CACHE)/bench:
	@go build -C bench -o ../$@ .

##### Tools, in the versions that tools/go.mod and the lock file pin

$(LINT): tools/go.mod tools/go.sum
	@echo '== building golangci-lint, a few minutes the first time'
	@go build -C tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(GOFUMPT): tools/go.mod tools/go.sum
	@go build -C tools -o ../$@ mvdan.cc/gofumpt
	@touch $@

$(NPM_DONE): web/package.json web/package-lock.json
	@echo '== npm ci'
	@cd web && npm ci
	@touch $@

$(BENCH_NODE): bench/node/package.json bench/node/package-lock.json
	@echo '== npm ci in bench/node'
	@npm --prefix bench/node ci
	@touch $@

$(EXAMPLES): examples/package.json examples/package-lock.json
	@echo '== npm ci in examples'
	@npm --prefix examples ci
	@touch $@
