"""Golden scripts: `tests/golden/<stage>/<concept>.sxq` holds inputs and the outputs that are right.

    -- One sentence that says what the case proves.
    the input, one line or more
    ---
    the output expected, to the next case

A case begins with its sentence, after an empty line or at the top of the file. A new case needs no code:
write sentence, input and `---`, run `pytest --bless`, and review the diff. In a test:

    @pytest.mark.parametrize("path", golden.files("parse"), ids=golden.name)
    def test_parse(path, bless):
        golden.check(path, run, bless)       # run(input) -> output; an sxq.Error is an output, too
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sxq.errors import Error

FOLDER = Path(__file__).parent / "golden"


class Case(NamedTuple):
    title: str  # the comment lines that introduce it
    input: str
    output: str

    def __str__(self) -> str:
        return f"{self.title}\n{self.input}\n---\n{self.output}".rstrip("\n")


def files(pattern: str) -> list[Path]:
    """The golden files of a stage (`parse`), or those that match a pattern below it (`errors/parse*`)."""
    pattern = pattern if "/" in pattern else f"{pattern}/*"
    return sorted(FOLDER.glob(f"{pattern}.sxq"))


def name(path: Path) -> str:
    """How pytest names the test of a file."""
    return f"{path.parent.name}/{path.stem}"


def cases(text: str) -> list[Case]:
    """The cases of a golden file."""
    return [_case(block) for block in re.split(r"\n\n+(?=-- )", text.strip("\n"))]


def check(path: Path, run: Callable[[str], str], bless: bool) -> None:
    """Run every case of a file and compare, or rewrite the file with what came out."""
    text = path.read_text(encoding="utf-8")
    actual = (
        "\n\n".join(str(case._replace(output=_outcome(run, case.input))) for case in cases(text))
        + "\n"
    )
    if bless:
        path.write_text(actual, encoding="utf-8")
    assert bless or actual == text, f"{path} differs; if the new output is right: pytest --bless"


def _case(block: str) -> Case:
    title, rest = re.fullmatch(r"((?:--(?: .*)?\n)+)((?s:.*))", block).groups()
    written, _, output = rest.partition("\n---")
    return Case(title.rstrip("\n"), written, output.lstrip("\n"))


def _outcome(run: Callable[[str], str], written: str) -> str:
    """What `run` says, without blanks at line ends; an error of ours by class and message."""
    try:
        output = run(written)
    except Error as error:
        output = f"{type(error).__name__}: {error}"
    return "\n".join(line.rstrip() for line in output.splitlines())
