# `make` without a target lists the targets. Unless a target says what else it needs, it needs only Go.

GO          ?= go
PYTHON      ?= python3
LISTEN_ADDR ?= 127.0.0.1:8888
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT      ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE        ?= $(shell TZ=UTC git log -1 --date=iso-strict-local --format=%cd 2>/dev/null)
LDFLAGS     := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
BINARY      ?= bin/dicom-qr-gateway
IMAGE       ?= dicom-qr-gateway:local
IMAGEBUILD  ?= docker build

# The race detector needs cgo, which Go disables if there is no C compiler.
RACE        ?= $(shell $(GO) env CGO_ENABLED)
RACEFLAG    := $(if $(filter 1,$(RACE)),-race)
GOTEST      ?= $(GO) test
TESTFLAGS   ?=
FUZZTIME    ?= 60s
COVERAGE    ?= 90
SOAK_TIME   ?= 10m
CRASH_INSTANTS ?= 200
CRASH_RUN   ?= .
PROFILED    ?= throughput,reuse,pdus,matches,latency
PROFILED_CODE ?= dicomnet/dataset|dicomnet.*(assembler|link|upperLayer)|qr.*collector|appendStudy|appendJSON
PLATFORMS   ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Go modules besides the gateway's.
MODULES := samples/clients/go test/compose test/kubernetes test/load tools

.PHONY: help run build licences image generate typescript test modules interop samples recipes test-image soak siege crash browser generators bench bench-load profile \
	fuzz lint workflows vulnerabilities format cov vendor release-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 19

run: build ## run the gateway on port 8888 with two demonstration PACS
	LISTEN_ADDR=$(LISTEN_ADDR) $(BINARY) demo

# -buildvcs=false: the same commit gives the same bytes with and without .git.
build: ## build bin/dicom-qr-gateway, a static binary with its version
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BINARY) .

licences: ## write bin/THIRD_PARTY_LICENSES.txt: the licences of all code in the binary
	@mkdir -p $(dir $(BINARY))
	CGO_ENABLED=0 GO=$(GO) sh tools/licences.sh >$(dir $(BINARY))THIRD_PARTY_LICENSES.txt

image: ## build the image dicom-qr-gateway:local with its version (needs Docker)
	$(IMAGEBUILD) --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) \
		--label org.opencontainers.image.version=$(VERSION) --label org.opencontainers.image.revision=$(COMMIT) \
		--label org.opencontainers.image.created=$(DATE) -t $(IMAGE) .

generate: bin/oapi-codegen bin/openapijson ## generate gen/api, gen/goclient and server/docs/openapi.json from openapi.yaml
	bin/oapi-codegen -config tools/generate/server.yaml openapi.yaml
	bin/oapi-codegen -config tools/generate/spec.yaml openapi.yaml
	bin/oapi-codegen -config tools/generate/goclient.yaml openapi.yaml
	bin/openapijson <openapi.yaml >server/docs/openapi.json

typescript: ## generate gen/typescript from openapi.yaml, build and test client/typescript (needs node, npm)
	cd client/typescript && npm ci --no-audit --no-fund && npm run -s generate && npm test

# -pgo=off, here and below: for the tests of the main package Go would compile everything once more with default.pgo.
test: ## run all tests of the gateway that need only Go
	$(GOTEST) -pgo=off $(RACEFLAG) $(TESTFLAGS) ./...

modules: ## run the tests of the other modules: tools, load test, compose file, Kubernetes manifests (needs openssl)
	@for module in $(MODULES); do \
		(cd $$module && $(GOTEST) $(RACEFLAG) $(TESTFLAGS) ./...) || status=1; \
	done; exit $${status:-0}

interop: ## test the built gateway against DCMTK, Orthanc and PixelMed (Debian packages: test/interop/README.md)
	$(GOTEST) $(RACEFLAG) -count=1 $(TESTFLAGS) -timeout 20m -tags interop ./test/interop/...

samples: ## test samples and client/typescript (needs node, npm, Python 3; Debian: curl jq mypy prometheus systemd)
	$(GOTEST) -count=1 $(TESTFLAGS) -parallel 8 -tags samples ./test/samples

recipes: ## run commands of the documents, after release-check (Debian: caddy curl gettext-base jq nginx openssl)
	$(GOTEST) -count=1 $(TESTFLAGS) -tags recipes ./test/recipes

test-image: ## build the image without Docker and test it (needs root; Debian: buildah dcmtk curl jq)
	$(GOTEST) -count=1 $(TESTFLAGS) -timeout 20m -tags image ./test/image

# Without the race detector, which would slow down the callers and not the gateway.
soak: ## test the built gateway under mixed load for SOAK_TIME
	SOAK_TIME=$(SOAK_TIME) $(GOTEST) -count=1 $(TESTFLAGS) -timeout 0 -tags soak -v ./test/soak

# Without the race detector, as soak.
siege: ## test the built gateway with 256 MiB against hostile PACS and callers, and measure what others get (needs Linux)
	@mkdir -p bin && rm -f bin/siege.md
	SIEGE_FIGURES=$(CURDIR)/bin/siege.md $(GOTEST) -count=1 $(TESTFLAGS) -timeout 15m -tags siege ./test/siege || status=$$?; \
		cat bin/siege.md 2>/dev/null; exit $${status:-0}

crash: ## kill the built gateway at CRASH_INSTANTS random instants of jobs, and NATS, the PACS and the destination
	CRASH_INSTANTS=$(CRASH_INSTANTS) $(GOTEST) -count=1 $(TESTFLAGS) -timeout 60m -tags crash -run '$(CRASH_RUN)' -v ./test/crash

browser: build typescript ## test the console, the API documents, OHIF and dicomweb-client in headless Chromium (needs node, npm, chromium)
	cd test/browser && npm ci --no-audit --no-fund && npm test

generators: build ## run linters and client generators over openapi.yaml, call the built gateway (needs node, npm, curl, Python 3)
	cd test/generators && npm ci --no-audit --no-fund && npm test

bench: ## run the benchmarks
	$(GO) test -pgo=off -run '^$$' -bench . -benchmem $(TESTFLAGS) $$(grep -rlE --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)

bench-load: ## measure the built gateway under load, next to a server with the least work possible (Debian: wrk)
	$(GO) run -C test/load . $(LOAD)

# Go builds the gateway with default.pgo. Requests in all kinds that the benchmark has are measured, but only reading and writing
# matches is in it: with all code, net/http and others grow too, and short answers take 2 to 4 % more CPU time.
profile: ## measure default.pgo, the profile that the compiler optimizes by (Debian: wrk)
	rm -rf bin/profile && mkdir -p bin/profile
	$(GO) build -pgo=off -tags profile -o bin/profile/gateway .
	$(GO) run -C test/load . -gateway $(CURDIR)/bin/profile/gateway -only $(PROFILED) -rounds 2 -seconds 4
	$(GO) tool pprof -proto -focus='$(PROFILED_CODE)' bin/profile/*.pprof >bin/profile/merged
	mv bin/profile/merged default.pgo

# Goroutines make coverage vary from run to run; without the limit, the fuzzer spends its time minimizing such inputs.
fuzz: ## run each fuzz target for FUZZTIME
	@grep -rE --include='*_test.go' -o '^func Fuzz\w+' . | sed -E 's|/[^/]+:func | |' | while read -r dir target; do \
		echo "== $$dir $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$dir" || exit 1; \
	done

lint: bin/golangci-lint ## run all linters of .golangci.yml
	@for module in . $(MODULES); do \
		echo "== $$module"; (cd $$module && $(CURDIR)/bin/golangci-lint run) || status=1; \
	done; exit $${status:-0}

workflows: bin/actionlint ## check the GitHub workflows, and that their actions are pinned
	bin/actionlint -shellcheck= -pyflakes=
	sh tools/release/pinned.sh

vulnerabilities: bin/govulncheck ## list known vulnerabilities in code that is called (needs the Go vulnerability database)
	bin/govulncheck ./...

format: bin/golangci-lint ## format the code and group the imports
	bin/golangci-lint fmt

# gen/ runs in the tests but does not count.
cov: ## run the tests and fail below COVERAGE percent of the hand-written code
	$(GOTEST) -pgo=off $(RACEFLAG) $(TESTFLAGS) -timeout 20m -covermode atomic -coverprofile coverage.out \
		-coverpkg "$$($(GO) list ./... | grep -v /gen/ | paste -sd, -)" ./...
	@$(GO) tool cover -func coverage.out | awk -v least=$(COVERAGE) '$$1 == "total:" { \
		printf "coverage of hand-written code: %s (at least %s %%)\n", $$3, least; exit ($$3 + 0 < least) }'

vendor: ## download the browser code of /docs, /redoc and the console, and compile the TypeScript client for the console (needs npm)
	sh server/docs/static/vendor.sh
	sh server/console/static/vendor.sh

release-check: bin/cyclonedx-gomod ## build and check dist/, the contents of a release (needs GNU tar, zip, unzip, jq, npm, pip)
	GO=$(GO) PYTHON=$(PYTHON) VERSION=$(VERSION) COMMIT=$(COMMIT) DATE=$(DATE) PLATFORMS='$(PLATFORMS)' bash tools/release/release.sh

clean: ## remove what the targets above create
	rm -rf bin dist coverage.out test/browser/node_modules test/browser/screenshots test/generators/node_modules test/generators/generated \
		test/generators/build client/typescript/node_modules client/typescript/dist client/typescript/build client/typescript/LICENSE \
		client/python/build client/python/*.egg-info samples/clients/go/gateway samples/clients/go/download/download samples/clients/go/batch/batch \
		samples/clients/typescript/node_modules \
		samples/clients/typescript/main.js samples/clients/typescript/download.js samples/clients/typescript/batch.js

bin/golangci-lint: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/gotestsum: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../$@ gotest.tools/gotestsum

bin/oapi-codegen: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../$@ github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen

bin/openapijson: tools/go.mod tools/go.sum tools/openapijson/*.go
	$(GO) -C tools build -o ../$@ ./openapijson

bin/actionlint: tools/release/go.mod tools/release/go.sum
	$(GO) -C tools/release build -o ../../$@ github.com/rhysd/actionlint/cmd/actionlint

bin/govulncheck: tools/release/go.mod tools/release/go.sum
	$(GO) -C tools/release build -o ../../$@ golang.org/x/vuln/cmd/govulncheck

# -trimpath: an SBOM contains the digest of the program that created it.
bin/cyclonedx-gomod: tools/release/go.mod tools/release/go.sum
	$(GO) -C tools/release build -trimpath -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
