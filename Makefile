# One door for everything: `make demo` shows what this is, `make test` says whether it holds. See `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --no-input --disable-pip-version-check --constraint constraints.txt \
	--build-constraint constraints.txt

# What the default engines need from Debian; empty it where the same things come from elsewhere.
DEBIAN_PACKAGES ?= apertium apertium-eng-cat apertium-spa-cat
# libp2p depends on fastecdsa, which has no wheel for Linux and is compiled when it is installed.
BUILD_PACKAGES ?= build-essential python3-dev libgmp-dev
# Model files that are fetched once into the user's cache, by their SHA-256.
MODELS ?= resemblyzer mediapipe-face

# Where torch's CPU build is published, for machines without an NVIDIA GPU; empty takes PyPI's build everywhere.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

DEMO_AUDIO ?= examples/audio/demo.flac
DEMO_NOTES ?= examples/audio/demo-notes.txt
DEMO_LANGUAGE ?= es
PYTEST_OPTIONS ?=
# Benchmarks to run; empty for all of them.
BENCHMARKS ?=
# Not empty: benchmarks that take seconds and write nothing.
QUICK ?=

# Stamps live inside the environment, so that removing it forgets them too.
CREATED := $(VENV)/.stamps/created
INSTALLED := $(VENV)/.stamps/installed
DEVELOPED := $(VENV)/.stamps/developed

# A multi-threaded BLAS makes small matrices slower, and dozens of times slower on a busy machine.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help demo install develop packages models check test test-all bench bench-federated genesis codebook docs constraints clean distclean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r target what; do \
		printf '  make %-16s %s\n' "$$target" "$$what"; done

demo: install packages models ## Translate a recording that ships with the project; the results lie in demo/
	@mkdir -p demo
	@echo; echo "1. $(DEMO_AUDIO) into '$(DEMO_LANGUAGE)', as it is heard without help:"
	@$(BIN)/node translate $(DEMO_AUDIO) --to $(DEMO_LANGUAGE) -o demo/first.$(DEMO_LANGUAGE).wav
	@echo; echo "2. The same with the speaker's notes (--notes $(DEMO_NOTES)):"
	@$(BIN)/node translate $(DEMO_AUDIO) --to $(DEMO_LANGUAGE) --notes $(DEMO_NOTES) \
		-o demo/demo.$(DEMO_LANGUAGE).wav --srt --vtt
	@echo; echo "3. Learn together: start a second node. docs/two-nodes.md has the whole story; in short, on this machine:"
	@echo "   terminal 1   $(BIN)/node voice add me RECORDINGS/ && $(BIN)/node start"
	@echo "   terminal 2   export BABELMESH_HOME=~/babelmesh-2; $(BIN)/node voice add me OTHER-RECORDINGS/"
	@echo "                $(BIN)/node start --listen /ip4/127.0.0.1/tcp/0 --peer ADDRESS-THAT-TERMINAL-1-SHOWS"
	@echo "   terminal 3   $(BIN)/node peers list, then: $(BIN)/node peers trust ID-OF-THE-SECOND"
	@echo "                $(BIN)/node stats --watch"

install: $(INSTALLED) ## Create .venv and install the project with the tested versions

develop: $(DEVELOPED) ## The same, with everything that tests, checks and documentation need

packages: ## Install the Debian packages that the default engines need
	@$(if $(strip $(DEBIAN_PACKAGES)),scripts/debian-packages $(DEBIAN_PACKAGES),:)

models: $(INSTALLED) ## Fetch the model files of the default engines
	@$(if $(strip $(MODELS)),$(BIN)/node models pull $(MODELS),:)

check: $(DEVELOPED) ## Lint, format, types, who may import whom, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/tree.py --check
	$(BIN)/zensical build --strict --clean

test: check packages models ## Everything that must hold before a change is accepted
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

test-all: check packages models ## The same with the slow tests, and properties on new random examples each time
	$(PIP) --editable .[ray]
	HYPOTHESIS_PROFILE=searching $(BIN)/python -m pytest -m "" $(PYTEST_OPTIONS)

bench: $(DEVELOPED) packages models ## Measure; writes benchmarks/results.md (make bench BENCHMARKS="asr voice" for some)
	$(BIN)/python scripts/bench.py $(BENCHMARKS)

bench-federated: $(DEVELOPED) packages models ## Measure learning together: every table and plot of it (QUICK=1 only shows that it runs)
	$(BIN)/python scripts/bench.py --federated $(if $(QUICK),--quick)

genesis: $(DEVELOPED) ## Train the shared starting weights anew (needs ../shared/data/genesis)
	$(BIN)/python scripts/genesis.py

codebook: $(DEVELOPED) ## Make the shipped codebook of the voice codec anew (needs ../shared/data/genesis)
	$(BIN)/python scripts/codebook.py

docs: $(DEVELOPED) ## Build the documentation into site/
	$(BIN)/python scripts/tree.py
	$(BIN)/zensical build --strict --clean

constraints: ## Write constraints.txt anew from the newest versions that go together
	PYTHON=$(PYTHON) scripts/constraints

clean: ## Remove what was made here, but keep the environment
	rm -rf demo site out dist .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## Remove the environment as well
	rm -rf $(VENV)

$(CREATED): scripts/make-venv
	scripts/make-venv $(VENV) $(PYTHON)
	@mkdir -p $(@D) && touch $@

$(INSTALLED): $(CREATED) pyproject.toml constraints.txt
	@$(if $(strip $(BUILD_PACKAGES)),scripts/debian-packages $(BUILD_PACKAGES),:)
	@scripts/cpu-torch $(BIN)/python $(TORCH_CPU_INDEX)
	$(PIP) --editable .
	@touch $@

$(DEVELOPED): $(INSTALLED)
	$(PIP) --group dev
	@touch $@
