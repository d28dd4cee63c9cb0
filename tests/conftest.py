"""Options, markers and fixtures that all tests share."""

import shutil
from collections import defaultdict

import pytest
import torch
from hypothesis import settings

import sxq
from tests import toys

torch.set_num_threads(
    1
)  # small tensors: a second thread costs more than it brings, and tests run side by side
# How many examples each property gets: `make test` takes the first, `make test-all` the second.
settings.register_profile("quick", max_examples=12)
settings.register_profile("thorough", max_examples=100)
settings.load_profile("quick")
CASES = 2  # of a test with parameters that `make test` takes


def pytest_addoption(parser):
    parser.addoption(
        "--bless", action="store_true", help="rewrite golden files with what comes out now"
    )


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` is applied
def pytest_collection_modifyitems(items):
    """Of every test, `make test` takes CASES cases at equal distances, or as many as its mark `sweep` says."""
    tests = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        mark = cases[0].get_closest_marker("sweep")
        kept = mark.args[0] if mark else CASES
        quick = {i * len(cases) // kept for i in range(kept)}
        for number, case in enumerate(cases):
            if number not in quick:
                case.add_marker("slow")


@pytest.fixture
def bless(request) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return request.config.getoption("--bless")


@pytest.fixture(scope="session")
def toys_made(tmp_path_factory):
    """A folder with the files of the toys and toys.duckdb, filled once: `toy` copies it."""
    folder = tmp_path_factory.mktemp("toys")
    toys.write_files(folder)
    with pytest.MonkeyPatch.context() as patch, sxq.connect(str(folder / "toys.duckdb")) as con:
        patch.chdir(folder)
        toys.fill(con)
    return folder


@pytest.fixture
def toy(toys_made, tmp_path, monkeypatch):
    """A working directory with toys.duckdb."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toys_made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def con(toy):
    """A database with the toy graphs and models, in a working directory with their files."""
    with sxq.connect("toys.duckdb") as con:
        yield con
