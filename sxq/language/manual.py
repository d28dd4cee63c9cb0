"""The grammar file as a manual: its comments as prose and examples, its rules as they stand.

    for section in manual(grammar_text()): section.title, section.parts

The shell's `.help EXPLAIN` (`about`) and docs/language.md both come from here, so that neither becomes outdated.
"""

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_GRAMMAR_FOLDERS = (_PACKAGE / "grammar", _PACKAGE.parent / "grammar")  # in a wheel, in a checkout


@dataclass(frozen=True)
class Section:
    """One chapter of the grammar: a title and, in order, ("prose" | "example" | "rule", text) parts."""

    title: str
    parts: tuple[tuple[str, str], ...]


def grammar_text() -> str:
    """The grammar file, wherever the package keeps it."""
    path = next(
        folder / "sxq.lark" for folder in _GRAMMAR_FOLDERS if (folder / "sxq.lark").exists()
    )
    return path.read_text(encoding="utf-8")


def manual(grammar: str) -> list[Section]:
    """The sections of a grammar, the introduction first; a comment `// ---- TITLE` begins each other one."""
    sections: list[Section] = []
    title = ""
    lines: list[str] = []
    for line in grammar.splitlines():
        heading = re.match(r"// -{10,} (.+)", line)
        if heading:
            sections.append(Section(title, _parts(lines)))
            title = heading[1].strip()
            lines = []
        else:
            lines.append(line)
    return [*sections, Section(title, _parts(lines))]


def _parts(lines: list[str]) -> tuple[tuple[str, str], ...]:
    parts: list[tuple[str, str]] = []
    for kind, group in groupby(lines, key=_kind):
        if kind == "gap":
            continue
        text = [re.sub(r"^// ?", "", line) if kind != "rule" else line for line in group]
        text = [line.removeprefix("    ") for line in text] if kind == "example" else text
        whole = "\n".join(text)
        if parts and parts[-1][0] == kind != "prose":
            whole = f"{parts.pop()[1]}\n{whole}"
        parts.append((kind, whole))
    return tuple(parts)


def _kind(line: str) -> str:
    if not line.strip() or line.strip() == "//":
        return "gap"
    if line.startswith("//     "):
        return "example"
    return "prose" if line.startswith("//") else "rule"


def about(word: str) -> str:
    """The manual on a keyword: prose, examples and rules around each rule that holds it; empty if there is none."""
    found = [
        text
        for section in manual(grammar_text())
        for text in _groups(section)
        if re.search(rf'"{re.escape(word.upper())}"', text)
    ]
    return "\n\n".join(found)


def _groups(section: Section) -> list[str]:
    """The parts of a section, a group ending with each run of rules."""
    groups: list[list[str]] = [[]]
    for number, (kind, text) in enumerate(section.parts):
        groups[-1].append(text if kind == "prose" else re.sub(r"(?m)^", "    ", text))
        if kind == "rule" and number + 1 < len(section.parts):
            groups.append([])
    return ["\n\n".join(group) for group in groups]
