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
CRATE_TESTS := $(call tests_in,$(wildcard gateway/* node/* bench))
COMPAT_TESTS := $(filter-out crash,$(call tests_in,compat-tests))

# Where `make run` keeps its data, and what else it is told.
DATA ?= ./data
ARGS ?=
# What `make crash` hands to the crash test.
ROUNDS ?= 20

##@ Use
.PHONY: run build
run: build ## start a server on ./data (DATA=… for another folder, ARGS=… for more arguments)
	@exec $(TARGET_DIR)/release/datamesh server --data "$(DATA)" $(ARGS)

build: deps-run ## build the release binary
	cargo build --release --package gateway-cli --bin datamesh $(CARGO_FLAGS)

##@ Check
.PHONY: test check fmt fmt-check lint doc tidy deny test-build test-unit test-compat test-crash crash clients
# Cheap stages first; the report stands before the last one, so that the run ends with its result.
test: stages-begin deps fmt-check tidy lint doc test-build test-unit clients test-compat stages-report test-crash ## all of it, as continuous integration does

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

test-crash: test-build
	@$(STAGE) crash cargo test $(WORKSPACE) --test crash

crash: ## the crash test, longer (ROUNDS=20)
	@DATAMESH_CRASH_ROUNDS=$(ROUNDS) $(MAKE) --no-print-directory test-crash

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
