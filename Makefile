# Two commands: `make demo` and `make test`. Both set up .venv first. docs/versions.md describes the other targets.
PYTHON ?= python3
OLDEST_PYTHON ?= python3.10
NEWEST_PYTHON ?= python3.13
BIN := .venv/bin
PACKAGES := . $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
EDITABLE := $(foreach package,$(filter-out .,$(PACKAGES)),--editable $(package))
DEMO := runs/demo
LINT := $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy
PYTEST := pytest -n 2 --dist loadfile --no-loadscope-reorder
NOT_QUICK := browser contract e2e experiments fuzz gallery model training cli/test_doctor.py test_coordinates.py test_without_training.py test_reproduce.py

# The tests start hundreds of processes: each module is compiled once, not once a process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-quick test-thorough test-oldest test-newest lint browser docs release-check clean

demo: .venv/ready
	$(BIN)/mitobench run --estimator fcn --detector frcnn --verifier resnet50 --profile smoke --out $(DEMO)

# The linters run beside the tests, and their output follows.
test: .venv/ready browser
	@$(BIN)/python -c 'import yapf'  # writes a cache when it is first imported, which two processes at once would tear
	@($(LINT)) > .venv/lint.log 2>&1 & lint=$$!; \
		OMP_NUM_THREADS=1 $(BIN)/$(PYTEST); tests=$$?; \
		wait $$lint; linted=$$?; cat .venv/lint.log; test $$tests = 0 -a $$linted = 0

# The core's tests that import no torch, start no run, need no real frames and are not slow: under a minute on two cores.
test-quick: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/$(PYTEST) -m "not slow and not real" --hypothesis-profile quick tests $(NOT_QUICK:%=--ignore=tests/%)

# What `make test` leaves out: every network and table, where `make test` takes a few.
test-thorough: .venv/ready
	@$(BIN)/python -c 'import yapf'
	OMP_NUM_THREADS=1 $(BIN)/$(PYTEST) -m thorough

# Every test with the lowest versions of the direct dependencies that all pyproject.toml files allow.
test-oldest: .venv-oldest/ready browser
	@.venv-oldest/bin/python -c 'import yapf'
	OMP_NUM_THREADS=1 .venv-oldest/bin/$(PYTEST) -m ""

# Every test with the highest versions that they allow, without constraints.txt.
test-newest: .venv-newest/ready browser
	@.venv-newest/bin/python -c 'import yapf'
	OMP_NUM_THREADS=1 .venv-newest/bin/$(PYTEST) -m ""

# Builds the files of a release, and tries them in clean environments of both ends of Python.
release-check: .venv/ready
	.ci/release-check $(OLDEST_PYTHON) $(NEWEST_PYTHON)

# The leaderboard's page is tested in Debian's chromium, installed where that is allowed; without it CI fails.
browser:
	@command -v chromium >/dev/null || { \
		test "$$(id -u)" = 0 && export DEBIAN_FRONTEND=noninteractive && \
		apt-get update -qq && apt-get install -qq --no-install-recommends chromium >/dev/null; } || \
		echo "There is no chromium, and it cannot be installed here: the tests in a browser will be skipped."

lint: .venv/ready
	$(LINT)

.venv/ready: constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || (echo "mitobench needs Python 3.10 or newer; set PYTHON=/path/to/one" && false)
	$(PYTHON) -m venv --clear .venv  # a package that went would still be found
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[test]' $(EDITABLE)
	touch $@

# uv, because pip cannot choose the lowest versions; it reads its own settings (UV_INDEX_URL, ...), not pip's.
.venv-oldest/ready: $(addsuffix /pyproject.toml,$(PACKAGES))
	$(OLDEST_PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct \
		--editable '.[training,test]' $(EDITABLE)
	touch $@

.venv-newest/ready: $(addsuffix /pyproject.toml,$(PACKAGES))
	$(NEWEST_PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[training,test]' $(EDITABLE)
	touch $@

# The documentation site, in site/. A warning is an error, but not with --quiet, which drops warnings before they are counted.
# The variable silences an announcement of mkdocs-material.
docs: .venv/docs
	$(BIN)/python docs/website/check_links.py --internal
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Built. To look at it: $(BIN)/python -m http.server --directory site"

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv .venv-oldest .venv-newest runs build dist site
