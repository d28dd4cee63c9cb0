# Two commands do all set-up: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench clean

demo: .venv/installed
	$(BIN)/sxq demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2

bench: .venv/installed
	$(BIN)/python benchmarks/verifier.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
