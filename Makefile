# The commands to know: `make demo` and `make test`. Each sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo suite compare test test-slow lint format docs structure dist deb

RUN := .venv/bin/
PURE := wire overlay failover agent/records agent/rates discovery/survey discovery/trains
PURE_TESTS := $(addprefix tests/,$(PURE))

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install what is missing, make .venv and the test video
	@scripts/setup

setup-tests:
	@scripts/setup --tests

demo: setup  ## run the main experiment and name its report
	@$(RUN)overlaycast lab run experiments/figure-2a.yaml --out runs/demo

suite: setup  ## run every experiment and write docs/experiments.md from the results
	@$(RUN)overlaycast lab run experiments/*.yaml --out runs/suite
	@$(RUN)overlaycast lab list --results runs/suite --markdown > docs/experiments.md

compare: setup  ## run overlay, star and IP multicast side by side; make suite writes them to docs/experiments.md too
	@$(RUN)overlaycast lab compare experiments/figure-2a.yaml --out runs/suite/compare-figure-2a
	@$(RUN)overlaycast lab compare experiments/compare/six-sites.yaml --out runs/suite/compare-six-sites
	@$(RUN)overlaycast lab compare experiments/compare/abilene.yaml --out runs/suite/compare-abilene

# what needs the machine's time for itself (marks lab and alone) runs one by one; all else on all processors at once
test: lint  ## lint, every test but the slow ones, and branch coverage of what decides
	@$(RUN)pytest -m "not slow" --numprocesses auto --cov --cov-report=term:skip-covered $(PURE_TESTS)
	@$(RUN)pytest -m "not (slow or lab or alone)" --numprocesses auto --dist worksteal $(addprefix --ignore=,$(PURE_TESTS))
	@$(RUN)pytest -m "(lab or alone) and not slow" $(addprefix --ignore=,$(PURE_TESTS))

test-slow: test  ## all tests: those of make test, then the slow ones
	@$(RUN)pytest -m slow

lint: setup-tests  ## style, types, layers, dead code, spelling
	@$(RUN)ruff check .
	@$(RUN)ruff format --check .
	@$(RUN)mypy
	@$(RUN)lint-imports
	@$(RUN)vulture
	@$(RUN)codespell

structure: setup-tests  ## print circles of imports, and the longest file, function and class of each package
	@$(RUN)python scripts/structure.py

format: setup  ## let ruff lay out the code
	@$(RUN)ruff format .
	@$(RUN)ruff check --fix .

docs: setup  ## build the docs as one site: build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(RUN)mkdocs build --clean
	@echo build/site/index.html

dist: setup  ## one file that installs overlaycast on hosts without a network: dist/overlaycast-VERSION-ARCH.tar
	@$(RUN)python -m scripts.release.dist $(DIST)

deb: setup-tests  ## a Debian package: dist/overlaycast_VERSION_ARCH.deb (DEB="--python 3.13" for Debian 13)
	@$(RUN)python -m scripts.release.deb $(DEB)
