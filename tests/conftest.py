"""Options and fixtures that all tests share."""

import pytest
import torch
from hypothesis import settings

import sxq
from tests import toys

torch.set_num_threads(
    1
)  # small tensors: a second thread costs more than it brings, and tests run side by side
# How many examples each property gets: `make test` takes the first, `make test-all` the second.
settings.register_profile("quick", max_examples=30)
settings.register_profile("thorough", max_examples=200)
settings.load_profile("quick")


def pytest_addoption(parser):
    parser.addoption(
        "--bless", action="store_true", help="rewrite golden files with what comes out now"
    )


@pytest.fixture
def bless(request) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return request.config.getoption("--bless")


@pytest.fixture
def con(tmp_path, monkeypatch):
    """A database in memory with the toy graphs and models, in a working directory with their files."""
    monkeypatch.chdir(tmp_path)
    toys.write_files(tmp_path)
    with sxq.connect() as con:
        yield toys.fill(con)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A working directory with toys.duckdb."""
    monkeypatch.chdir(tmp_path)
    toys.write_files(tmp_path)
    with sxq.connect("toys.duckdb") as con:
        toys.fill(con)
    return tmp_path
