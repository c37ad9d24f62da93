# `make` alone lists the targets. Everything but interop, typescript, browser and
# vendor needs Go alone.

GO          ?= go
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

.PHONY: help run build licences image generate typescript test interop samples recipes soak browser bench bench-load fuzz lint workflows vulnerabilities \
	format cov vendor release-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 19

run: build ## the gateway on port 8888 with two demonstration PACS beside it
	LISTEN_ADDR=$(LISTEN_ADDR) $(BINARY) demo

# Without -buildvcs: the same commit gives the same bytes, also where .git is not.
build: ## bin/dicom-qr-gateway, static, with its version inside
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BINARY) .

licences: ## bin/THIRD_PARTY_LICENSES.txt: the licences of all code in the binary
	@mkdir -p $(dir $(BINARY))
	CGO_ENABLED=0 GO=$(GO) sh tools/licences.sh >$(dir $(BINARY))THIRD_PARTY_LICENSES.txt

image: ## the image dicom-qr-gateway:local with its version inside (needs Docker)
	$(IMAGEBUILD) --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) \
		--label org.opencontainers.image.version=$(VERSION) --label org.opencontainers.image.revision=$(COMMIT) \
		--label org.opencontainers.image.created=$(DATE) -t $(IMAGE) .

generate: bin/oapi-codegen bin/openapijson ## generate the Go code of gen/ and server/docs/openapi.json from openapi.yaml
	bin/oapi-codegen -config tools/generate/server.yaml openapi.yaml
	bin/oapi-codegen -config tools/generate/spec.yaml openapi.yaml
	bin/oapi-codegen -config tools/generate/goclient.yaml openapi.yaml
	bin/openapijson <openapi.yaml >server/docs/openapi.json

typescript: ## generate gen/typescript from openapi.yaml, build and test client/typescript (needs node, npm)
	cd client/typescript && npm ci --no-audit --no-fund && npm run -s generate && npm test

test: ## all tests that need Go alone
	$(GOTEST) $(RACEFLAG) $(TESTFLAGS) ./...

interop: ## the built gateway against DCMTK and Orthanc (Debian: dcmtk dicom3tools orthanc nginx caddy curl)
	$(GOTEST) $(RACEFLAG) -count=1 $(TESTFLAGS) -tags interop ./test/interop/...

samples: ## test what samples holds for users (needs node, npm, Python 3; Debian: curl jq prometheus)
	$(GOTEST) -count=1 $(TESTFLAGS) -parallel 8 -tags samples ./test/samples

recipes: ## run commands of the documents, after release-check (needs curl, jq; Debian: caddy gettext-base nginx openssl)
	$(GOTEST) -count=1 $(TESTFLAGS) -tags recipes ./test/recipes

# Without the race detector: it would slow down the callers, not the gateway.
soak: ## the built gateway under mixed load for SOAK_TIME, with nothing unaccounted for
	SOAK_TIME=$(SOAK_TIME) $(GOTEST) -count=1 $(TESTFLAGS) -timeout 0 -tags soak -v ./test/soak

browser: build ## the documents in headless Chromium (needs node, npm, chromium)
	cd test/browser && npm ci --no-audit --no-fund && npm test

bench: ## benchmarks
	$(GO) test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

bench-load: ## the built gateway under load, beside the least work there can be (Debian: wrk)
	$(GO) run -C test/load . $(LOAD)

# Coverage varies from run to run where goroutines are at work; left alone, the
# fuzzer would spend its time on making such inputs smaller.
fuzz: ## each fuzz target for FUZZTIME
	@grep -rE --include='*_test.go' -o '^func Fuzz\w+' . | sed -E 's|/[^/]+:func | |' | while read -r dir target; do \
		echo "== $$dir $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$dir" || exit 1; \
	done

lint: bin/golangci-lint ## all linters of .golangci.yml
	bin/golangci-lint run
	cd samples/clients/go && ../../../bin/golangci-lint run
	cd test/compose && ../../bin/golangci-lint run
	cd test/kubernetes && ../../bin/golangci-lint run
	cd test/load && ../../bin/golangci-lint run

workflows: bin/actionlint ## actionlint over the workflows, and that what they use is pinned
	bin/actionlint -shellcheck= -pyflakes=
	sh tools/release/pinned.sh

vulnerabilities: bin/govulncheck ## known vulnerabilities in code that is called (needs the Go vulnerability database)
	bin/govulncheck ./...

format: bin/golangci-lint ## gofumpt, and imports in their groups
	bin/golangci-lint fmt

# The report is of what people wrote: gen/ runs in the tests but does not count.
cov: ## coverage over all packages; fails under COVERAGE percent
	$(GOTEST) $(RACEFLAG) $(TESTFLAGS) -covermode atomic -coverprofile coverage.out \
		-coverpkg "$$($(GO) list ./... | grep -v /gen | paste -sd, -)" ./...
	@$(GO) tool cover -func coverage.out | awk -v least=$(COVERAGE) '$$1 == "total:" { \
		printf "coverage of hand-written code: %s (at least %s %%)\n", $$3, least; exit ($$3 + 0 < least) }'

vendor: ## fetch the browser code of /docs and /redoc anew (needs npm)
	sh server/docs/static/vendor.sh

release-check: bin/cyclonedx-gomod ## dist/: what a release has, checked (needs GNU tar, zip, unzip, jq)
	GO=$(GO) VERSION=$(VERSION) COMMIT=$(COMMIT) DATE=$(DATE) bash tools/release/release.sh

clean: ## remove what the targets above made
	rm -rf bin dist coverage.out test/browser/node_modules test/browser/screenshots client/typescript/node_modules client/typescript/dist client/typescript/build \
		client/typescript/LICENSE samples/clients/go/gateway samples/clients/typescript/node_modules samples/clients/typescript/main.js

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

# -trimpath: an SBOM has the digest of the program that made it.
bin/cyclonedx-gomod: tools/release/go.mod tools/release/go.sum
	$(GO) -C tools/release build -trimpath -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
