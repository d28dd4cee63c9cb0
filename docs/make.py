"""The pages that are made from the code: `python docs/make.py` writes them, and a test holds them to it."""

import re
from pathlib import Path

import sxq
from sxq.language.manual import Section, grammar_text, manual
from sxq.shell.dot_commands import COMMANDS

DOCS = Path(__file__).parent
STORAGE = Path(sxq.__file__).parent / "storage"
MADE = "*Made by [docs/make.py](make.py) from {}.*"


def language() -> str:
    """The reference of the language, from the comments of the grammar."""
    lines = [
        "# The language",
        "",
        MADE.format("the comments of [grammar/sxq.lark](../grammar/sxq.lark)"),
    ]
    for section in manual(grammar_text()):
        lines += _chapter(section)
    return "\n".join(lines) + "\n"


def _chapter(section: Section) -> list[str]:
    lines = ["", f"## {section.title}"] if section.title else []
    for kind, text in section.parts:
        fence = {"example": "sql", "rule": "ebnf"}.get(kind)
        lines += ["", f"```{fence}\n{text}\n```" if fence else _coded(text)]
    return lines


def _coded(text: str) -> str:
    """Prose with keywords as code: EXPLAIN becomes `EXPLAIN`."""
    words = sxq.language.keywords()
    return re.sub(
        r"(?<![`\w$])[A-Z]{2,}(?![`\w])", lambda m: f"`{m[0]}`" if m[0] in words else m[0], text
    )


def tables() -> str:
    """Every table, view and macro with its columns, from the comments of the SQL that creates them."""
    lines = [
        "# Tables, views and macros",
        "",
        MADE.format(
            "[schema.sql](../sxq/storage/schema.sql) and [views.sql](../sxq/storage/views.sql)"
        ),
        "",
        "They are in schema `sxq` of the database file; a query may leave out `sxq.`. A node is known by its *key*, the",
        "name you gave it. Key columns are VARIANT, which compares and joins with your column as it is.",
    ]
    macros: dict[str, str] = {}
    for name in ("schema.sql", "views.sql"):
        for block in re.split(r"\n\n(?=--|CREATE)", (STORAGE / name).read_text()):
            comment, create, body = block.partition("CREATE ")
            head = re.match(r"(TABLE|VIEW|MACRO) ([a-z_]+(?:\([^)]*\))?)", body)
            if head and comment:
                name = head[2].partition("(")[0]
                lines += [
                    "",
                    f"## {name}",
                    "",
                    f"{head[1].capitalize()} `{head[2]}`. {_prose(comment)}",
                ]
                lines += _columns(body if "(NULL);" not in body else macros[name])
                macros[name] = body.replace("MACRO", "VIEW", 1)  # of which a view shows all queries
    return "\n".join(lines) + "\n"


def _prose(comment: str) -> str:
    """Comment lines as prose; indented ones are examples."""
    text = re.sub(r"(?m)^--     (.*)$", r"```sql\n\1\n```", comment.strip())
    return re.sub(r"(?m)^-- ?", "", text.replace("```\n```sql\n", ""))


def _columns(body: str) -> list[str]:
    """The columns of a table, or of what a view or macro selects last, with their comments."""
    body = re.sub(r"\n {30,}-- ", " ", body[max(0, body.rfind("\nSELECT\n")) :])
    if body.startswith("MACRO"):
        return []
    rows = []
    for line in re.findall(r"^(?:    |        )(\S[^\n]*? -- [^\n]*)$", body, re.M):
        column, _, meaning = line.partition(" -- ")
        column = column.strip().rstrip(",")
        name, kind = (
            (column.split(" AS ")[-1], "") if " AS " in column else (column.partition(" ")[::2])
        )
        kind = re.sub(r" (NOT NULL|PRIMARY KEY|DEFAULT).*", "", kind)
        rows.append((name.rpartition(".")[2], kind.strip(), meaning.replace("|", "\\|")))
    typed = any(kind for _, kind, _ in rows)
    head = (
        ["", "| column | type | meaning |", "|---|---|---|"]
        if typed
        else ["", "| column | meaning |", "|---|---|"]
    )
    return head + [
        f"| `{name}` | {f'{kind} | ' if typed else ''}{text} |" for name, kind, text in rows
    ]


def commands() -> str:
    """The dot-commands, for the page about the shell."""
    rows = [
        f"| `.{f'{name} {command.usage}'.strip()}` | {command.summary} |".replace(
            "on|off", "on\\|off"
        )
        for name, command in COMMANDS.items()
    ]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


PAGES = {"language.md": language, "tables.md": tables}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
