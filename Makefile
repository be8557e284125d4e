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
# What is raced of the lab: where others come in, by HTTP or as processes.
RACED     := Clock|Caller|Serve|Operator|TwoOperators|Question|Binaries|DNS
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
setup: infra/node_modules ## Download what the checks need
	$(GO) mod download
	$(GO) mod download -modfile=tools/go.mod

.PHONY: test
test: lint test-race test-sweep test-infra test-tools ## Everything that continuous integration runs

.PHONY: test-race
test-race: # the lab runs one thing at a time: only what serves others is raced there
	$(GO) test -race -shuffle=on $$($(GO) list $(PACKAGES) | grep -v '/internal/lab$$')
	$(GO) test -race -run '$(RACED)' ./internal/lab

.PHONY: test-sweep
test-sweep: # thousands of runs make much garbage: collecting it less often saves a fifth
	GOGC=300 $(GO) test -shuffle=on -timeout 40m ./internal/lab

.PHONY: test-infra
test-infra: functions infra/node_modules
	$(GO) test -count=1 ./infra/...

# Checks by tools written in Python, which a Go user need not have. Where one is
# missing that is said as loudly as can be; `make deploy-check` alone fails.
PYTOOLS := cfn-lint moto_server aws
.PHONY: test-tools
test-tools: functions infra/node_modules
	@missing=; for tool in $(PYTOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -z "$$missing" ]; then $(MAKE) --no-print-directory cfn-lint deploy-check; else \
	printf '\n%s\n' '########################################################################' \
	"##  NOT CHECKED: the templates by cfn-lint, and a deployment by moto.  ##" \
	"##  Missing:$$missing" \
	"##  pip install cfn-lint==1.51.0 'moto[server]==5.2.1' awscli==1.45.11" \
	'########################################################################'; fi

.PHONY: cfn-lint
cfn-lint: functions infra/node_modules ## Check the templates with cfn-lint
	$(GO) test -count=1 -tags pytools -run TestTemplatesPassLint ./infra/orchestrator

.PHONY: lint
lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l cmd functions internal statemachine infra/*.go infra/*/*.go 2>/dev/null)" || { gofmt -l cmd functions internal statemachine infra/*.go infra/*/*.go; echo 'run gofmt -w on these files'; exit 1; }
	$(GO) vet $(PACKAGES) ./infra/...
	$(GO) tool -modfile=tools/go.mod staticcheck $(PACKAGES) ./infra/...

# A browser is nothing that a Go user must have: where it is missing that is said
# as loudly as can be.
CHROMIUM ?= $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))
.PHONY: screenshots
screenshots: ## Show reports of 50 and 500 resources in a browser, light, dark and printed: reports/screenshots
	@if [ -n "$(CHROMIUM)" ]; then CHROMIUM="$(CHROMIUM)" $(GO) test -count=1 -v -tags screenshots -run TestScreenshots ./cmd/drctl; else \
	printf '\n%s\n' '########################################################################' \
	'##  NOT LOOKED AT: the reports in a browser.                          ##' \
	'##  Missing: chromium (or chromium-browser, google-chrome)            ##' \
	'########################################################################'; fi

.PHONY: bench
bench: infra/node_modules ## Print the measured numbers: added time, describes, outage, start, memory, size, synthesis
	$(GO) test -run '^$$' -bench . -benchtime 1x ./internal/... ./infra

.PHONY: schema
schema: bin/drctl ## Write what the tables say: payloads/schema.json, docs/reference.md, docs/errors.md
	bin/drctl schema > payloads/schema.json
	bin/drctl reference > docs/reference.md
	$(GO) test ./internal/lab -run TestErrorTable -count=1 -update > /dev/null

# The CDK command line and jsii both run the Node.js that package.json pins.
CDK := PATH="$(CURDIR)/infra/node_modules/.bin:$$PATH" cdk
DEPLOY_FLAGS ?=
DESTROY_FLAGS ?=

infra/node_modules: infra/package.json infra/package-lock.json
	cd infra && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: synth
synth: functions infra/node_modules ## Write the templates of both regions to cdk.out
	cd infra && $(CDK) synth --quiet

.PHONY: diff
diff: functions infra/node_modules ## Show what a deployment would change
	cd infra && $(CDK) diff

.PHONY: deploy
deploy: synth ## Deploy both regions; refuses while an execution runs
	cd infra && $(GO) run ./stacks idle
	cd infra && $(CDK) deploy --all $(DEPLOY_FLAGS)
	cd infra && $(GO) run ./stacks seal

.PHONY: deploy-secondary
deploy-secondary: synth ## Deploy the secondary region alone
	cd infra && $(GO) run ./stacks -side secondary idle
	cd infra && $(CDK) deploy '*-secondary' $(DEPLOY_FLAGS)
	cd infra && $(GO) run ./stacks -side secondary seal

.PHONY: destroy
destroy: synth ## Remove both stacks; refuses while an execution runs
	cd infra && $(GO) run ./stacks idle
	cd infra && $(GO) run ./stacks unprotect
	cd infra && $(CDK) destroy --all $(DESTROY_FLAGS)

# A region that cannot be reached keeps the other one from nothing.
PREFIX ?= dr-orchestrator
STORED := $(filter-out payloads/schema.json,$(wildcard payloads/*.json))
.PHONY: payloads
payloads: bin/drctl ## Store payloads/*.json in the buckets of both regions: ACCOUNT=... PRIMARY=... SECONDARY=...
	@test -n "$(ACCOUNT)" && test -n "$(PRIMARY)$(SECONDARY)" || { echo 'say ACCOUNT=..., PRIMARY=REGION and SECONDARY=REGION'; exit 2; }
	@for file in $(STORED); do bin/drctl validate "$$file" || exit; done
	@missed=; for region in $(PRIMARY) $(SECONDARY); do \
	for file in $(STORED); do \
	aws s3 cp --only-show-errors --region "$$region" "$$file" "s3://$(PREFIX)-$(ACCOUNT)-$$region/$$file" || { missed="$$missed $$region"; break; }; done; done; \
	test -z "$$missed" || { echo "not stored in:$$missed"; exit 1; }; echo 'stored in: $(PRIMARY) $(SECONDARY)'

.PHONY: deploy-check
deploy-check: functions infra/node_modules ## Deploy both regions into a simulated account and read them back
	PATH="$(CURDIR)/infra/node_modules/.bin:$$PATH" $(GO) test -count=1 -v -tags pytools -run TestDeploy ./infra/deploycheck

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin $(BUILD) reports cdk.out
