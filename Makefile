# `make run` starts a server and `make test` checks everything; `make help` lists the rest.
# Both install what is missing on a Debian-like machine that has Rust.
#
# - Every cargo command selects the whole workspace, so that features are unified the same way
#   each time and no dependency is compiled twice. `make run` is the exception: it must not carry
#   the features that only tests switch on.
# - Tests run in the dev profile.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# RocksDB is 16 minutes of C++ on two cores: compiled once, then taken from ccache.
export PATH := /usr/lib/ccache:$(PATH)
export CCACHE_MAXSIZE ?= 5G

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
export STAGE_TIMES ?= $(TARGET_DIR)/stage-times

# Dependencies may ask for a newer Rust than they need.
RUSTC_MINOR := $(shell rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
OLD_RUSTC := $(shell [ "$(or $(RUSTC_MINOR),0)" -lt 96 ] && echo yes)
CARGO_FLAGS := --locked $(if $(OLD_RUSTC),--ignore-rust-version)
WORKSPACE := --workspace $(CARGO_FLAGS)
STAGE := scripts/stage

# Names of the integration tests below the given folders. Tidy checks that targets are named after
# their files, so this finds all of them.
tests_in = $(basename $(notdir $(wildcard $(1:%=%/tests/*.rs)))) \
           $(notdir $(patsubst %/main.rs,%,$(wildcard $(1:%=%/tests/*/main.rs))))
CRATE_TESTS := $(call tests_in,$(wildcard gateway/* node/* bench) compat-tests/faultfs)
# Of the black-box tests, those that are about faults rather than clients.
PROOF_TESTS := bad_requests histories drives power scale mesh
COMPAT_TESTS := $(filter-out crash $(PROOF_TESTS),$(call tests_in,compat-tests))

# Where `make run` keeps its data, and what else it is told.
DATA ?= ./data
ARGS ?=
# What `make mesh` starts, and where; `scripts/mesh` describes them.
DIR ?= ./mesh
NODES ?= 6
DRIVES ?= 1
ZONES ?=
CAPACITY ?=
# How much the long runs do. `make test` runs a bounded part of each.
KILLS ?= 1000
ROUNDS ?= 50
WAVES ?= 500
OBJECTS ?= 1000000
LARGE_GIB ?= 10
CROWD ?= 50
SECONDS_EACH := $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
TARGETS ?=
FULL ?=

##@ Use
.PHONY: run build
run: build ## start a server on ./data (DATA=… for another folder, ARGS=… for more arguments)
	@exec $(TARGET_DIR)/release/datamesh server --data "$(DATA)" $(ARGS)

.PHONY: mesh mesh-stop
mesh: $(if $(DATAMESH_BIN),,build) ## start a gateway and NODES=6 storage nodes on this machine, in DIR=…
	@NODES="$(NODES)" DRIVES="$(DRIVES)" ZONES="$(ZONES)" CAPACITY="$(CAPACITY)" \
	  CARGO_TARGET_DIR="$(abspath $(TARGET_DIR))" scripts/mesh start "$(DIR)"

mesh-stop: ## stop the mesh in DIR=…
	@scripts/mesh stop "$(DIR)"

build: deps-run ## build the release binary
	cargo build --release --package gateway-cli --bin datamesh $(CARGO_FLAGS)

##@ Check
.PHONY: test check fmt fmt-check lint doc tidy deny test-build test-unit test-compat test-proof test-fuzz test-crash clients
# Cheap stages first; the report stands before the last one, so that the run ends with its result.
test: stages-begin deps fmt-check tidy lint doc test-build test-unit clients test-compat test-proof test-fuzz stages-report test-crash ## all of it, as continuous integration does

check: fmt-check lint doc ## formatting, clippy and rustdoc, without tests

fmt: ## format the sources
	cargo fmt --all

fmt-check:
	@$(STAGE) fmt cargo fmt --all --check

lint: ## clippy, warnings are errors
	@$(STAGE) clippy cargo clippy $(WORKSPACE) --all-targets -- -D warnings

doc: ## rustdoc, warnings are errors
	@RUSTDOCFLAGS="-D warnings" $(STAGE) rustdoc cargo doc $(WORKSPACE) --no-deps --document-private-items

tidy: ## sizes, names, arrows, licences and documents
	@$(STAGE) tidy cargo test $(WORKSPACE) --test tidy

deny: ## only the licences, origins and duplicates of libraries
	@$(STAGE) deny cargo test $(WORKSPACE) --test tidy libraries_

# Also builds the `datamesh` that the compat tests start.
test-build:
	@$(STAGE) build cargo build $(WORKSPACE) --bins --tests

test-unit: ## unit tests, doc tests and each crate's integration tests
	@$(STAGE) unit cargo test $(WORKSPACE) --lib --bins $(CRATE_TESTS:%=--test %)
	@$(STAGE) doctests cargo test $(WORKSPACE) --doc

clients: ## install the S3 clients that the compat tests drive
	@$(STAGE) clients compat-tests/clients/install

test-compat: test-build clients ## real S3 clients against a real server
	@$(STAGE) compat cargo test $(WORKSPACE) $(COMPAT_TESTS:%=--test %)

test-proof: test-build ## bad requests, races, failing drives, power cuts, scale and the mesh, bounded
	@$(STAGE) proof cargo test $(WORKSPACE) $(PROOF_TESTS:%=--test %)

test-fuzz: ## every fuzz target for a few seconds
	@$(STAGE) fuzz scripts/fuzz check 4

test-crash: test-build
	@$(STAGE) crash cargo test $(WORKSPACE) --test crash

##@ Prove at length
.PHONY: crash power power-syncs drives histories scale mesh-proof fuzz
crash: test-build ## kill -9 at random and at every failpoint, then reread everything (KILLS=1000)
	DATAMESH_CRASH_KILLS=$(KILLS) cargo test $(WORKSPACE) --test crash -- --nocapture

power: test-build ## cut the power under a server, again and again (ROUNDS=50)
	DATAMESH_POWER_ROUNDS=$(ROUNDS) cargo test $(WORKSPACE) --test power -- --nocapture

drives: test-build ## all pairs of drives, every fault, at rest and during writes
	DATAMESH_DRIVES_ALL=1 cargo test $(WORKSPACE) --test drives -- --nocapture

histories: test-build ## check racing requests for linearizability (WAVES=500)
	DATAMESH_HISTORIES_WAVES=$(WAVES) cargo test $(WORKSPACE) --test histories -- --nocapture

scale: test-build ## many small objects and a large one (OBJECTS=1000000 LARGE_GIB=10)
	DATAMESH_SCALE_OBJECTS=$(OBJECTS) DATAMESH_SCALE_LARGE_GIB=$(LARGE_GIB) \
	  cargo test $(WORKSPACE) --test scale -- --nocapture --test-threads=1

mesh-proof: test-build ## meshes of processes, killed, cut off, besieged and grown (CROWD=50 nodes)
	DATAMESH_MESH_LONG=1 DATAMESH_MESH_NODES=$(CROWD) \
	  cargo test $(WORKSPACE) --test mesh -- --nocapture --test-threads=1

fuzz: ## every fuzz target (SECONDS=60 each, TARGETS='s3_form …' for some)
	scripts/fuzz run $(SECONDS_EACH) $(TARGETS)

##@ Measure
.PHONY: bench
# `bench` is built apart from `datamesh`, so that the server measured is the one that `make run` runs.
bench: build ## this machine's limits and the server beside them, in one table (FULL=1 for more)
	cargo build --release --package bench --bin bench $(CARGO_FLAGS)
	@mkdir -p $(TARGET_DIR)/bench
	$(TARGET_DIR)/release/bench report --directory $(TARGET_DIR) $(if $(FULL),--full) \
	  --json $(TARGET_DIR)/bench/summary.json $(if $(MARKDOWN),--markdown $(MARKDOWN))

##@ Machine
.PHONY: deps deps-run clean help stages-begin stages-report
deps: ## install what building and testing need
	@scripts/deps test

deps-run:
	@scripts/deps run

clean: ## remove what was built; ./data stays
	cargo clean

stages-begin:
	@mkdir -p "$(dir $(STAGE_TIMES))" && : >"$(STAGE_TIMES)"

stages-report:
	@$(STAGE) --report

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
