# Every verb makes .venv first, once: it is renewed when pyproject.toml or constraints.txt change.
#   PYTHON    interpreter for .venv, 3.11 to 3.13:        make test PYTHON=python3.12
#   PIP_ARGS  passed to pip, e.g. another package index:  make test PIP_ARGS="--index-url ..."
#   ARGS      passed to the verb's command:               make test ARGS="-k maze", make demo ARGS="--seed 1"
PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test benchmark ray zoo wheel docs plain check format lint type clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else "simpl-sb3 needs Python 3.11 to 3.13, not %d.%d: make PYTHON=python3.11" % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev,docs,play,hub]'
	@touch $@

setup: $(STAMP)  ## make .venv with the exact versions of constraints.txt

demo: $(STAMP)  ## an agent adapts to unseen goals, from the trained artefacts that come along
	$(BIN)/simpl-sb3 demo $(ARGS)

# two processes share two cores
test: export OMP_NUM_THREADS = 1
test: $(STAMP)  ## all tests that are not slow, two at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# threads and warnings as a user has them: none of the tests' settings
benchmark: $(STAMP)  ## speed as ratios to references measured beside it; ARGS=--short takes minutes; a stopped run goes on
	$(BIN)/python -m pytest -c benchmarks/speed/pytest.ini --rootdir . benchmarks/speed $(ARGS)

docs: $(STAMP)  ## the documentation site, docs/_build/html; offline, warnings are errors
	$(BIN)/python -m sphinx -W -n -q --keep-going -b html docs docs/_build/html $(ARGS)

ray: export OMP_NUM_THREADS = 1
ray: $(STAMP)  ## grids on a Ray cluster of two nodes on this machine, one of them killed half-way
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev,ray]'
	$(BIN)/python -m pytest -m ray -n 0 tests/experiments/test_ray_place.py $(ARGS)

zoo: export OMP_NUM_THREADS = 1
zoo: $(STAMP)  ## SB3's algorithms and ours over skills, by the command of rl_zoo3
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev,zoo]'
	$(BIN)/python -m pytest -m zoo -n 0 tests/zoo $(ARGS)

wheel: $(STAMP)  ## build the wheel, install it into a new environment, run the demo's short form outside the repository
	$(BIN)/python .ci/installed_wheel.py $(PIP_ARGS)

plain: $(STAMP)  ## the demo's short form without EGL, and beside a busy process
	$(BIN)/python .ci/plain_machine.py

check: $(STAMP)  ## format, lint, import rules and types; changes nothing
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory lint type

format: $(STAMP)  ## rewrite the files as ruff wants them
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

lint: $(STAMP)  ## ruff's rules and who may import whom
	$(BIN)/ruff check .
	$(BIN)/lint-imports

type: $(STAMP)  ## mypy
	$(BIN)/mypy

clean:  ## remove caches and build products; `rm -r .venv` starts over
	rm -rf build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
