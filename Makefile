# Two commands do all set-up: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all lint format bench paper docs clean

demo: .venv/installed
	$(BIN)/sxq demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: .venv/clusters
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile=thorough

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed
	$(BIN)/python benchmarks/verifier.py

paper: .venv/installed
	$(BIN)/python benchmarks/paper_skyline.py --quick --pictures build/paper --rows build/paper/skyline.json
	$(BIN)/python benchmarks/paper_refine.py --quick --pictures build/paper --rows build/paper/refine.json
	$(BIN)/python benchmarks/published.py build/paper/skyline.json build/paper/refine.json

docs: .venv/installed
	$(BIN)/python docs/build_site.py build/site

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,test]'
	touch $@

# dask and Ray, for the tests of executors
.venv/clusters: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dask,ray]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
