"""What options and settings mean, for a person who asks by name."""

import re
from textwrap import fill

from sxq.language.manual import grammar_text, manual
from sxq.planning import SETTINGS
from sxq.planning.options import ARCHITECTURE_OPTIONS, PRETRAINING_OPTIONS, TRAINING_OPTIONS
from sxq.planning.settings import Setting

_STATEMENTS = {  # options by the statements that take them
    "TRAIN and CREATE MODEL": ARCHITECTURE_OPTIONS,
    "TRAIN": TRAINING_OPTIONS,
    "PRETRAIN": PRETRAINING_OPTIONS,
}
_GRAPH_OPTIONS = ("undirected", "encode", "scale", "dangling")  # of CREATE GRAPH
WIDE = 118  # columns of a text that the terminal does not have to wrap


def option_names() -> list[str]:
    """The options of all statements, in lower case."""
    return [*_GRAPH_OPTIONS, *(name for known in _STATEMENTS.values() for name in known)]


def options_named(word: str) -> list[str]:
    """What each option of this name is, and the sentences of the manual that speak of it."""
    name = word.lower()
    found = ["option of CREATE GRAPH"] if name in _GRAPH_OPTIONS else []
    for statements, known in _STATEMENTS.items():
        if name in known:
            option = known[name]
            default = "" if option.default is None else f", {_written(option.default)} by default"
            found.append(f"option of {statements}: {option.expected}{default}")
    if not found:
        return []
    heads = "\n".join(f"{name.upper()}, {text}" for text in found)
    said = "\n".join(
        fill(sentence, WIDE, initial_indent="    ", subsequent_indent="    ")
        for sentence in _sentences(name.upper())
    )
    return [f"{heads}\n{said}".rstrip()]


def _written(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentences(word: str) -> list[str]:
    """The sentences of the manual that hold a word in capitals."""
    prose = (
        text
        for section in manual(grammar_text())
        for kind, text in section.parts
        if kind == "prose"
    )
    sentences = (one for text in prose for one in re.split(r"(?<=[.])\s+", text))
    return [" ".join(one.split()) for one in sentences if re.search(rf"\b{word}\b", one)]


def setting_named(word: str) -> tuple[str, Setting] | None:
    """The setting of this name, with or without its `sxq_`."""
    name = word.lower()
    for full in (name, f"sxq_{name}"):
        if full in SETTINGS:
            return full, SETTINGS[full]
    return None
