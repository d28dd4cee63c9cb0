"""Values reach the rooms that draw and convert them by functions that the package attaches."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sxq
from sxq.values import explanation, pattern, result
from sxq.values.views import attached

HEAVY = {"torch", "networkx", "matplotlib", "pandas"}


def calls_of_view(module):
    """The methods that a module's values pass to `view`."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "view":
            yield node.args[0].value


def test_every_method_that_needs_another_room_has_its_function():
    modules = (explanation, pattern, result)
    assert {name for module in modules for name in calls_of_view(module)} == attached()


def test_every_function_is_called_by_the_method_of_its_name():
    for name in attached():
        kind, _, method = name.partition(".")
        modules = (explanation, pattern, result)
        owner = next(getattr(module, kind) for module in modules if hasattr(module, kind))
        assert f'view("{name}"' in inspect.getsource(vars(owner)[method]), name


@pytest.mark.parametrize(
    "method",
    [
        sxq.Explanation.draw,
        sxq.Explanation.plot,
        sxq.Explanation.to_data,
        sxq.Explanation.to_networkx,
        sxq.Result.plot,
        sxq.Result.to_html,
        sxq.Result.export,
    ],
)
def test_methods_keep_their_docstrings_and_signatures(method):
    assert method.__doc__
    assert inspect.signature(method).return_annotation is not inspect.Signature.empty


@pytest.mark.slow
@pytest.mark.parametrize("door", ["import sxq", "import sxq.values.result as sxq"])
def test_views_are_attached_by_any_door_and_import_nothing_heavy(door):
    code = (
        f"{door}\nimport sys\nprint(sxq.Table(['a'], [(1,)])._repr_html_())\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    root = Path(sxq.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    drawn, heavy = run.stdout.splitlines()
    assert drawn.startswith("<table>") and heavy == "[]"
