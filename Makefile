# The two commands of this project are `make demo` and `make test`. Both set up all they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.cache/uv/bin:$(PATH)
export UV_PYTHON_DOWNLOADS = never
# Container images often set it; without compiled modules each of our programs starts a second or two later.
unexport PYTHONDONTWRITEBYTECODE
# Test files side by side, where no phone is listening. In their own order: those with servers, of few and long tests, come
# first, and the short ones fill the end.
WORKERS ?= 2

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install everything needed to run (Debian packages, Python environment, the lab's programs)
	@scripts/setup demo

.PHONY: demo
demo: setup ## Dial eight simulated people and answer one, live, on this machine
	@VOICEAGENTS_DATA="$${VOICEAGENTS_DATA:-$(CURDIR)/.voiceagents}" voiceagents demo

.PHONY: test
test: setup-tests lint ## Set up and run all tests
	pytest -m "not slow and not phones" -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	pytest -m "phones and not slow"

.PHONY: test-fast
test-fast: setup-tests ## The tests that need no servers, under a minute
	pytest -m unit -n $(WORKERS) --dist worksteal

.PHONY: test-slow
test-slow: setup-tests ## The tests that take minutes each
	pytest -m slow --timeout 900

.PHONY: faults
faults: setup-tests ## Kill processes under a running campaign: make faults SEEDS=10
	python -m tests.faults --seeds $(or $(SEEDS),3)

.PHONY: setup-tests
setup-tests:
	@scripts/setup test

.PHONY: lint
lint: setup-tests ## Formatting, lint, types
	ruff format --check voiceagents tests bench
	ruff check voiceagents tests bench
	pyright --level error
	@if command -v gofmt >/dev/null; then test -z "$$(gofmt -l lab/gateway lab/carrier | tee /dev/stderr)"; fi

.PHONY: bench
bench: setup-tests ## Measure: latencies and memory, each against a named baseline
	python -m bench

.PHONY: clean
clean: ## Remove what was built and the demo's data
	rm -rf lab/bin .venv .cache .voiceagents
