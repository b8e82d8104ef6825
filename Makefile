# Every target has its line of help: `make` prints them.

CARGO ?= cargo
.DEFAULT_GOAL := help

.PHONY: help
help: ## print this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ## watch a working day of jobs pass in two minutes
	@$(CARGO) run --locked --bin azp-scaler -- demo $(ARGS)

.PHONY: check
check: ## what needs Rust alone: format, lints, tests of the crate
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --locked $(CRATE_TESTS)
	$(CARGO) test --locked --package azp-stand-in

# The tests of the crate: all but those that need the real parts.
TESTS := $(patsubst tests/%.rs,%,$(wildcard tests/*.rs)) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))
# These run programs that `make tools` builds.
PARTS_TESTS := images charts installed kubernetes promtool keda_oracle real_keda churn
CRATE_TESTS := --lib --bins $(addprefix --test ,$(filter-out $(PARTS_TESTS),$(TESTS)))

.PHONY: test
test: check tools ## everything, on the real KEDA and Kubernetes too
	$(CARGO) test --locked --package azp-harness
	$(CARGO) test --locked $(addprefix --test ,$(PARTS_TESTS)) -- --nocapture

.PHONY: churn
churn: tools ## 10,000 jobs under drains, rollouts, kills and faults: none is lost (about 50 minutes)
	AZP_CHURN=long $(CARGO) test --locked --test churn no_job_is_lost -- --nocapture

.PHONY: audit
audit: ## licences, bans and advisories of the dependencies (wants cargo-deny)
	cargo deny check

.PHONY: bench
bench: tools ## print the figures of the README, each beside its goal
	$(CARGO) bench --locked

.PHONY: tools
tools: ## build the real Kubernetes, KEDA, helm, promtool, kaniko … into a cache
	tools/build

.PHONY: images
images: ## build the images of the scaler and the agent into target/images
	images/build $(ARGS) scaler agent

# The images of a trial are under the names that the charts give them.
AZP_CLUSTER := $(CARGO) run --locked --quiet --package azp-harness --bin azp-cluster --
VERSION = $(shell sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)

.PHONY: cluster
cluster: ## start a Kubernetes with a node, KEDA and an emulated Azure DevOps: eval "$(make cluster)"
	@tools/build >&2
	@$(if $(findstring --no-node,$(ARGS)),$(AZP_CLUSTER) up $(ARGS), \
	archives=$$(images/trial) && $(AZP_CLUSTER) up $$(printf -- '--image %s ' $$archives) \
		--emulator ghcr.io/azp-scaler/azp-scaler:$(VERSION) $(ARGS))

.PHONY: cluster-down
cluster-down: ## stop it and leave nothing behind
	@$(AZP_CLUSTER) down $(ARGS)
