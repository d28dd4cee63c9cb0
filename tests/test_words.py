"""The glossary: at most 40 words, and everything it names exists."""

import importlib
import re
from pathlib import Path

import pytest

LINES = (Path(__file__).parent.parent / "docs" / "words.md").read_text().splitlines()
ROWS = [row for row in (line.split(" | ") for line in LINES) if len(row) == 3 and "`" in row[2]]


def test_the_glossary_is_short_and_says_a_sentence_for_each_word():
    assert 20 <= len(ROWS) <= 40
    for word, meaning, _ in ROWS:
        assert meaning.endswith("."), word


@pytest.mark.sweep(99)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("| "))
def test_what_the_glossary_names_exists(row):
    name = re.search(r"`([\w.]+)`", row[2])[1]
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
