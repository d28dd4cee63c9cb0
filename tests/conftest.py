"""Options and fixtures that all tests share."""

import pytest
import torch

torch.set_num_threads(1)  # small tensors: a second thread costs more than it brings, and tests run side by side


def pytest_addoption(parser):
    parser.addoption("--bless", action="store_true", help="rewrite golden files with what comes out now")


@pytest.fixture
def bless(request) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return request.config.getoption("--bless")
