"""The folders of the layered backend are read from left to right: each imports only those to its right."""

import ast
from pathlib import Path

import pytest

import sxq.inference

ORDER = ["layered", "kernels", "delta", "tiles", "tracing"]
ROOM = Path(sxq.inference.__file__).parent


def imported(path):
    """The folders and files of the room that a file imports, at any depth in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sxq.inference."):
            yield node.module.split(".")[2]


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_those_to_its_right(folder):
    allowed = ORDER[ORDER.index(folder) :]
    for path in (ROOM / folder).glob("*.py"):
        assert set(imported(path)) <= set(allowed), path.name


@pytest.mark.parametrize("folder", ["", *ORDER])
def test_a_folder_lists_its_files(folder):
    listed = ast.get_docstring(ast.parse((ROOM / folder / "__init__.py").read_text()))
    for path in (ROOM / folder).glob("*.py"):
        assert path.stem == "__init__" or f"\n    {path.stem} " in listed, path.stem
    assert folder or all(f"\n    {name}/ " in listed for name in ORDER)
