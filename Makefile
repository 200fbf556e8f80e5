# Two commands: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := . $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
DEMO := runs/demo

.PHONY: demo test lint browser clean

demo: .venv/ready
	$(BIN)/mitobench run --estimator fcn --detector frcnn --verifier resnet50 --profile smoke --out $(DEMO)

test: .venv/ready lint browser
	@$(BIN)/python -c 'import yapf'  # writes a cache when it is first imported, which two processes at once would tear
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

# The leaderboard's page is tested in Debian's chromium, installed where that is allowed; without it CI fails.
browser:
	@command -v chromium >/dev/null || { \
		test "$$(id -u)" = 0 && export DEBIAN_FRONTEND=noninteractive && \
		apt-get update -qq && apt-get install -qq --no-install-recommends chromium >/dev/null; } || \
		echo "There is no chromium, and it cannot be installed here: the tests in a browser will be skipped."

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/ready: constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || (echo "mitobench needs Python 3.10 or newer; set PYTHON=/path/to/one" && false)
	$(PYTHON) -m venv --clear .venv  # a package that went would still be found
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[test]' \
		$(foreach package,$(filter-out .,$(PACKAGES)),--editable $(package))
	touch $@

clean:
	rm -rf .venv runs build dist
