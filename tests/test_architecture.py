"""The structure of the package: who may import whom, and one door for each library."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import sxq

ROOT = Path(sxq.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Design section 9: what each room may import of sxq, as prefixes.
SHARED = ["errors", "explanation", "tables"]
CORRIDOR = ["connection", "session"]
ROOMS = [
    "language",
    "planning",
    "graph",
    "scoring",
    "execution",
    "generators",
    "inference",
    "models",
    "storage",
    "pictures",
    "values",
]
ALLOWED = {
    "errors": [],
    "explanation": ["pyg", "pictures"],
    "tables": [],
    "pictures": ["pictures", *SHARED],
    "language": ["language", "errors"],
    "graph": ["graph", "errors"],
    "scoring": ["scoring", "errors"],
    "planning": ["planning", "language.statements", "graph", "scoring", "errors"],
    "execution": [
        "execution",
        "learning",
        "planning.nodes",
        "graph",
        "scoring",
        "explanation",
        "errors",
    ],
    "learning": ["learning", "planning.nodes", "graph", "scoring", "explanation", "errors"],
    "storage": ["storage", "explanation", "errors"],
    "pyg": ["connection", "result", *SHARED],
    "shell": ["shell", "language", "pictures", *CORRIDOR, *SHARED],
    "__main__": ["connection", "shell", *SHARED],
    "__init__": [*CORRIDOR, "notebook", *SHARED],
    "notebook": [*CORRIDOR, *SHARED],
    **{name: [*CORRIDOR, *ROOMS, *SHARED] for name in CORRIDOR},
}
DOORS = {  # library -> where it may be imported
    "lark": {"language/parser.py", "language/mistakes.py"},
    "duckdb": {"storage"},
    "bitarray": {"scoring"},
    "torch": {"execution", "learning", "pyg.py"},
    "torch_geometric": {"execution", "learning", "pyg.py"},
    "safetensors": {"learning"},
    "numpy": {
        "graph",
        "scoring",
        "execution",
        "learning",
        "storage",
        "explanation.py",
        "pyg.py",
        "pictures",
    },
    "IPython": {"notebook.py"},
    "matplotlib": {"pictures/plots.py"},
    "prompt_toolkit": {"shell"},
    "pygments": {"shell"},
    "rich": {"shell"},
}


def imports(path):
    """Dotted names that a module imports, at any depth; of sxq with the names taken from a package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            is_package = node.module == "sxq"
            yield from (
                (f"sxq.{alias.name}" for alias in node.names) if is_package else [node.module]
            )


def place(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_imports_go_in_the_allowed_directions(path):
    room = place(path).split("/")[0].removesuffix(".py")
    for name in imports(path):
        if name.startswith("sxq."):
            rest = name.removeprefix("sxq.")
            assert any(rest == a or rest.startswith(a + ".") for a in ALLOWED[room]), (
                f"{room} imports {name}"
            )


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_each_library_has_its_door(path):
    for name in imports(path):
        places = DOORS.get(name.split(".")[0])
        assert places is None or any(
            place(path) == p or place(path).startswith(p + "/") for p in places
        ), name


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if place(p).split("/")[0].removesuffix(".py") in CORRIDOR],
    ids=place,
)
def test_the_corridor_imports_torch_rooms_only_where_it_needs_them(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            assert not names & {"sxq.execution", "sxq.models", "sxq.pyg"}


def test_the_story_of_a_query_names_what_exists():
    story = importlib.import_module("sxq.connection").__doc__
    from sxq import connection, execution, language, planning, storage
    from sxq.session import explain as explaining
    from sxq.values import explanation

    everywhere = [connection, explaining, execution, explanation, language, planning, storage]
    for name in re.findall(r"`([A-Za-z_.]+)`", story):
        owner, _, attribute = name.partition(".")
        found = [getattr(module, owner) for module in everywhere if hasattr(module, owner)]
        assert found and (not attribute or hasattr(found[0], attribute)), name


def test_public_names_are_documented_and_sorted():
    assert sxq.__all__ == sorted(sxq.__all__)
    for name in sxq.__all__:
        assert getattr(sxq, name).__doc__, name


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_every_module_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for line in path.read_text().splitlines():
        assert len(line) <= 120, line


def test_every_folder_of_the_package_is_in_the_wheel():
    listed = set(re.findall(r'"(sxq[.\w]*)"', (ROOT.parent / "pyproject.toml").read_text()))
    folders = {
        ".".join(("sxq", *path.parent.relative_to(ROOT).parts))
        for path in ROOT.rglob("__init__.py")
    }
    assert folders <= listed
