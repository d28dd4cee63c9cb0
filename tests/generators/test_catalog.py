"""The catalog of generators: known without torch, and true to the coroutines it names."""

import inspect
import subprocess
import sys

import pytest

import sxq
from sxq.generators.catalog import DEFAULT, GENERATORS, load


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "code",
    [
        "import sxq",
        "import sxq.generators",
        "import sxq.generators.catalog, sxq.generators.protocol",
        "import sxq.planning",
        "import sxq; print(sxq.connect().vocabulary())",
        "import sxq; sxq.connect().execute('SHOW GENERATORS')",
        "import sxq.shell.editor",
    ],
)
def test_names_of_generators_and_options_need_no_torch(code):
    code += "; import sys; assert not {'torch', 'torch_geometric'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", GENERATORS)
def test_options_are_those_of_the_coroutine(name):
    _, _, *parameters = inspect.signature(load(name)).parameters.values()
    options = dict(GENERATORS[name].options)
    assert {parameter.name: parameter.default for parameter in parameters} == options
    for parameter in parameters:
        assert isinstance(options[parameter.name], type(parameter.default))


@pytest.mark.parametrize("name", GENERATORS)
def test_an_entry_stands_under_its_name_and_says_what_it_does(name):
    assert GENERATORS[name].name == name
    assert GENERATORS[name].help


def test_the_default_generators_are_in_the_catalog():
    assert set(DEFAULT) <= set(GENERATORS)


def test_a_vocabulary_knows_every_generator_and_option_before_the_engine_is_imported():
    with sxq.connect() as con:
        known = con.vocabulary()
    assert known.generators == {name: tuple(entry.options) for name, entry in GENERATORS.items()}
    assert {"epochs", "architecture"} <= {*known.options} and "preset" in known.pretraining
    assert "gcn" in known.architectures
