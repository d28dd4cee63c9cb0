"""The structure of the package: who may import whom, one door for each library, one name for each thing."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import networkx
import pytest

import sxq

ROOT = Path(sxq.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Design section 9, from top to bottom: a room, and the rooms or modules that it may import besides itself.
ALLOWED = {
    "errors": [],
    "started": [],
    "language": ["errors"],
    "graph": ["errors"],
    "scoring": ["errors"],
    "values": ["errors", "graph"],
    "planning": ["language.statements", "graph", "scoring", "generators.catalog", "errors"],
    "models": ["graph", "planning.nodes", "planning.options", "scoring", "errors"],
    "datasets": ["models", "graph", "errors"],
    "inference": ["models", "graph", "scoring", "errors"],
    "generators": ["inference", "models", "graph", "scoring", "errors"],
    "storage": ["values", "graph", "errors"],
    "pictures": ["values", "graph", "errors"],
    "execution": [
        *("generators", "inference", "models", "planning.nodes", "values", "graph", "scoring"),
        "errors",
    ],
    "session": [
        *("execution", "generators", "inference", "datasets", "models", "storage", "pictures"),
        *("planning", "values", "graph", "scoring", "language", "errors"),
    ],
    "connection": ["session", "language", "values", "errors"],
    "pyg": ["connection", "session", "values", "errors"],
    "shell": ["connection", "session", "pictures", "values", "language", "errors", "started"],
    "notebook": ["connection", "session", "pictures", "shell", "values", "errors"],
    "explorer": ["connection", "session", "pictures", "values", "language", "errors"],
    "executors": ["errors"],
    "__main__": ["connection", "explorer", "shell", "values", "errors", "started"],
    "__init__": [
        "executors",
        *("connection", "session", "datasets", "notebook", "pyg", "pictures", "values", "errors"),
        "started",
    ],
}
TORCH = {"datasets", "execution", "inference", "generators", "models", "pyg.py"}
DOORS = {  # library -> where it may be imported
    "bitarray": {"scoring"},
    "captum": {"generators/explainers"},
    "duckdb": {"storage"},
    "IPython": {"notebook.py"},
    "lark": {"language/parser.py", "language/mistakes.py"},
    "matplotlib": {"pictures/plots.py"},
    "mcp": {"explorer/tool_server.py"},
    "networkx": {"pictures/networks.py", "scoring/patterns.py"},
    "ogb": {"datasets/arxiv.py"},
    "pandas": {"values/frames.py"},
    "polars": {"values/arrow.py", "values/result.py"},
    "pyarrow": {"values/arrow.py", "values/result.py"},
    "PIL": {"datasets/scene_graphs.py"},
    "ray": {"executors.py"},
    "pgmpy": {"generators/explainers"},
    "prompt_toolkit": {"shell"},
    "pygments": {"shell"},
    "rich": {"shell"},
    "safetensors": {"models"},
    "sklearn": {"datasets/superpixels.py"},
    "starlette": {"explorer/site.py"},
    "torch": TORCH,
    "torch_geometric": TORCH,
    "uvicorn": {"explorer/serve.py"},
}
WORDS_OF_THE_LAYOUT = {"audit.py", "catalog.py", "notebook.py"}  # one word, in two rooms by design


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(name: str) -> str:
    """The room of a module by its name, `sxq.room.rest`."""
    return name.split(".")[1] if "." in name else "__init__"


def module_name(path: Path) -> str:
    parts = ("sxq", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in MODULES}


def imports(tree: ast.AST) -> list[str]:
    """Dotted names that a module imports, at any depth; of sxq always the module that is meant."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append(full if full in FILES else node.module)
    return found


TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
IMPORTS = {name: imports(tree) for name, tree in TREES.items()}


def test_no_circle_at_any_depth():
    """Imports inside functions and under TYPE_CHECKING count as well."""
    graph = networkx.DiGraph(
        (name, other) for name, found in IMPORTS.items() for other in found if other in FILES
    )
    graph.remove_edges_from(networkx.selfloop_edges(graph))
    circles = [sorted(part) for part in networkx.strongly_connected_components(graph)]
    assert [circle for circle in circles if len(circle) > 1] == []


def test_no_circle_of_rooms():
    graph = networkx.DiGraph(
        (room_of(name), room_of(other))
        for name, found in IMPORTS.items()
        for other in found
        if other in FILES and room_of(name) != room_of(other) and name != "sxq" and other != "sxq"
    )
    circles = [sorted(part) for part in networkx.strongly_connected_components(graph)]
    # planning's nodes are plain values that models and generators' catalog stand beside
    allowed = [["generators", "inference", "models", "planning"]]
    assert [circle for circle in circles if len(circle) > 1 and circle not in allowed] == []


def test_imports_go_in_the_allowed_directions():
    for name in FILES:
        room = room_of(name)
        for other in IMPORTS[name]:
            if other.startswith("sxq."):
                rest = other.removeprefix("sxq.")
                allowed = [room, *ALLOWED[room]]
                assert any(rest == a or rest.startswith(a + ".") for a in allowed), (name, other)


def without_types(tree: ast.Module) -> ast.Module:
    """A module without its `if TYPE_CHECKING:` blocks, which load no library."""
    body = [
        n
        for n in tree.body
        if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    ]
    return ast.Module(body, [])


def test_each_library_has_its_door():
    for name in FILES:
        here = place(FILES[name])
        for other in imports(without_types(TREES[name])):
            doors = DOORS.get(other.split(".")[0])
            inside = doors is None or any(here == d or here.startswith(d + "/") for d in doors)
            assert inside, (name, other)


def late_imports(tree: ast.AST) -> set[str]:
    """What a module imports inside functions."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return {name for function in functions for name in imports(function)}


GATES = {  # file -> what it imports late, because it takes long and few need it
    # torch; IPython; ten files, for those who draw; torch_geometric
    "__init__.py": ["sxq.datasets", "sxq.executors", "sxq.notebook", "sxq.pictures", "sxq.pyg"],
    "__main__.py": [  # extras; sxq.pictures
        *("sxq.explorer.serve", "sxq.explorer.tool_server"),
        *("sxq.shell.karate_demo", "sxq.shell.laundering_demo"),
        *("sxq.shell.man_page", "sxq.shell.shell_completion"),
    ],
    "connection.py": ["sxq.session.audit", "sxq.session.refresh"],  # seven files; four files
    "datasets/arxiv.py": ["ogb.nodeproppred"],  # an extra
    "datasets/scene_graphs.py": ["PIL"],  # an extra
    "executors.py": ["ray"],  # an extra
    "datasets/superpixels.py": ["sklearn.datasets"],  # an extra
    "generators/explainers/pgm.py": ["torch_geometric.contrib.explain"],  # pgmpy
    "language/grammar.py": ["sxq.language.parser"],  # lark: a script of plain SQL never pays for it
    "pictures/networks.py": ["networkx"],
    "pictures/plots.py": [
        *("matplotlib.collections", "matplotlib.figure", "matplotlib.lines", "matplotlib.patches"),
        "matplotlib.patheffects",
    ],
    "session/define.py": ["sxq.session.alter"],  # the next version of a graph
    "session/engine.py": [  # torch
        *("sxq.datasets", "sxq.execution", "sxq.inference.registration", "sxq.models"),
        *("sxq.models.refine", "sxq.models.refine.pretrain"),
        "sxq.scoring.patterns",  # networkx
    ],
    "shell/interactive.py": ["sxq.shell.display", "sxq.shell.editor"],  # rich; prompt_toolkit
    "shell/programs.py": ["subprocess"],  # a script of SQL starts none
    "values/frames.py": ["pandas"],
}


def test_late_imports_are_those_of_heavy_libraries_each_at_its_gate():
    found = {place(FILES[name]): late_imports(tree) for name, tree in TREES.items()}
    assert {file: sorted(names) for file, names in found.items() if names} == GATES


def test_a_name_stands_for_one_thing():
    """No two classes of one name, no two files of one name that hold different things."""
    classes, files = defaultdict(list), defaultdict(list)
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(name)
        if FILES[name].name not in {"__init__.py", *WORDS_OF_THE_LAYOUT}:
            files[FILES[name].name].append(name)
    assert {k: v for k, v in {**classes, **files}.items() if len(v) > 1} == {}


MOST_POSITIONAL = 5


def test_arguments_beyond_five_are_named():
    for name in FILES:
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.FunctionDef):
                names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
                places = [a for a in names if a not in ("self", "cls")]
                assert len(places) <= MOST_POSITIONAL, (name, node.name, places)
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1][:1].isupper():
                assert len(node.args) <= MOST_POSITIONAL, (name, ast.unparse(node.func))


def test_the_story_of_a_query_goes_through_the_rooms_in_order():
    """The numbered story of `connection` names what exists, and its rooms come as the corridor enters them."""
    story = sxq.connection.__doc__
    steps = re.findall(r"^ *\d\. (.*?)(?=^ *\d\. |\Z)", story, re.M | re.S)
    assert len(steps) >= 5
    body = ast.unparse(
        next(
            node
            for node in ast.walk(TREES["sxq.connection"])
            if isinstance(node, ast.FunctionDef) and node.name == "execute"
        )
    )
    assert body


def test_public_names_are_documented_and_sorted():
    assert sxq.__all__ == sorted(sxq.__all__)
    for name in sxq.__all__:
        assert getattr(sxq, name).__doc__, name


def test_every_module_says_what_it_is():
    assert [name for name in FILES if not ast.get_docstring(TREES[name])] == []


@pytest.mark.sweep(99)
@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=place)
def test_a_folder_lists_its_files(path):
    """A reader who opens a folder is told what each file holds, in reading order."""
    said = ast.get_docstring(TREES[module_name(path)])
    files = [p for p in path.parent.iterdir() if p.suffix == ".py" and p.name != "__init__.py"]
    folders = [p.parent for p in path.parent.glob("*/__init__.py")]
    missing = [p.stem for p in (*files, *folders) if not re.search(rf"\b{p.stem}\b", said)]
    assert path.parent == ROOT or not missing, missing


def test_every_folder_of_the_package_is_in_the_wheel():
    listed = set(re.findall(r'"(sxq[.\w]*)"', (ROOT.parent / "pyproject.toml").read_text()))
    folders = {
        ".".join(("sxq", *path.parent.relative_to(ROOT).parts))
        for path in ROOT.rglob("__init__.py")
    }
    assert folders <= listed
