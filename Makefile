# One place for every command of this project. `make help` lists them.

GO        ?= go
BUILD     := build
FUNCTIONS := $(notdir $(patsubst %/,%,$(wildcard functions/*/)))
LAMBDA    := CGO_ENABLED=0 GOOS=linux $(GO) build -buildvcs=false -trimpath -tags lambda.norpc -ldflags '-s -w'
ARCH      ?= arm64
# Everything but the CDK app, whose jsii runtime the race detector cannot bear.
PACKAGES  := ./cmd/... ./functions/... ./internal/... ./statemachine/...
# Exhaustive sweeps run without the race detector: they are long, and what they
# run is covered with it by the other tests.
SWEEPS    := TestEveryFault|TestRandomFaults|TestWhatTheOrchestratorAdds
PAYLOAD   ?= payloads/failover-three-databases.json

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

.PHONY: build
build: bin/drctl functions ## Build drctl and every function

.PHONY: bin/drctl
bin/drctl:
	$(GO) build -buildvcs=false -trimpath -o $@ ./cmd/drctl

.PHONY: functions
functions: $(addprefix function-,$(FUNCTIONS)) ## Build every function for Lambda into build/NAME/bootstrap

.PHONY: function-%
function-%:
	GOARCH=$(ARCH) $(LAMBDA) -o $(BUILD)/$*/bootstrap ./functions/$*

.PHONY: demo
demo: bin/drctl ## Fail three databases over in the embedded lab, with live progress
	bin/drctl lab run --payload $(PAYLOAD) --clock real --speed 30 --report reports/demo

.PHONY: setup
setup: ## Download what the checks need
	$(GO) mod download
	$(GO) mod download -modfile=tools/go.mod

.PHONY: test
test: lint test-race test-sweep ## Everything that continuous integration runs

.PHONY: test-race
test-race:
	$(GO) test -race -shuffle=on -skip '$(SWEEPS)' $(PACKAGES)

.PHONY: test-sweep
test-sweep:
	$(GO) test -run '$(SWEEPS)' ./internal/lab

.PHONY: lint
lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l cmd functions internal statemachine infra/*.go infra/*/*.go 2>/dev/null)" || { gofmt -l cmd functions internal statemachine; echo 'run gofmt -w on these files'; exit 1; }
	$(GO) vet $(PACKAGES)
	$(GO) tool -modfile=tools/go.mod staticcheck $(PACKAGES)

.PHONY: bench
bench: ## Print the measured numbers: added time, describes, start, memory, size
	$(GO) test -run '^$$' -bench . -benchtime 1x ./internal/...

.PHONY: schema
schema: bin/drctl ## Write payloads/schema.json
	bin/drctl schema > payloads/schema.json

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin $(BUILD) reports
