"""The guide: pages made from the code are up to date, every other block of it is run."""

import importlib.util
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import sxq
from tests.printed import shape

DOCS = Path(__file__).parent.parent / "docs"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}

LONG = {"python.md", "extending.md"}  # pages whose blocks take half a minute
PYTHON = [
    pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
    for name, text in TEXTS.items()
    if "```python\n" in text
]


def maker(name="make"):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_made_pages_are_up_to_date(bless):
    make = maker()
    for name, page in make.PAGES.items():
        if bless:
            (DOCS / name).write_text(page(), encoding="utf-8")
        assert (DOCS / name).read_text(encoding="utf-8") == page(), (
            f"run docs/make.py: {name} is out of date"
        )


def test_every_table_view_macro_and_column_is_on_its_page():
    with sxq.connect() as con:
        columns = con.sql(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'sxq'"
        ).rows
        macros = con.sql(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE schema_name = 'sxq'"
        ).rows
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXTS["tables.md"], re.M | re.S))
    for table, column in columns:
        assert table == "schema_version" or f"| `{column}` |" in sections[table], (table, column)
    assert {name for (name,) in macros} <= set(sections) and len(macros) >= 3


@pytest.mark.slow
def test_the_questions_have_these_answers(tmp_path, monkeypatch, bless):
    """Every block of SQL is followed by what it printed."""
    monkeypatch.chdir(tmp_path)
    text = TEXTS["questions.md"]
    with sxq.connect() as con:

        def answered(match):
            result = str(con.execute(match[1]))
            return f"```sql\n{match[1]}```\n\n```text\n{result}\n```\n"

        new = re.sub(
            r"^```sql\n(.*?)```\n(?:\n```text\n.*?\n```\n)?", answered, text, flags=re.M | re.S
        )
    if bless:
        (DOCS / "questions.md").write_text(new, encoding="utf-8")
    assert bless or shape(new) == shape(text)


@pytest.mark.sweep(99)
@pytest.mark.parametrize("name", PYTHON)
def test_python_blocks_run_in_order(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXTS[name], re.M | re.S):
        exec(compile(block, name, "exec"), names)


@pytest.mark.slow
def test_the_sql_about_graphs_runs_as_a_script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sxq.connect() as con:
        blocks = re.findall(r"^```sql\n(.*?)^```", TEXTS["graphs.md"], re.M | re.S)
        assert len(blocks) >= 2 and all(len(con.execute(block)) for block in blocks)


SITE = maker("build_site")


def test_links_of_every_page_lead_somewhere():
    """To a file that exists, and to a heading that the file has."""
    known = SITE.pages()
    assert {f"docs/{name}" for name in TEXTS} <= set(known) and "README.md" in known
    followed = [
        SITE.follow(part.attrGet(where), page, known)
        for page in known.values()
        for part, where in SITE.links(page)
    ]
    assert len(followed) > 50


@pytest.mark.parametrize(
    "link, said",
    [
        ("nowhere.md", "no file"),
        ("shell.md#nowhere", "no heading"),
        ("#nowhere", "no heading"),
        ("../grammar/sxq.lark#top", "no page"),
    ],
)
def test_a_dead_link_is_found(link, said):
    known = SITE.pages()
    with pytest.raises(SITE.DeadLink, match=said):
        SITE.follow(link, known["docs/index.md"], known)


class References(HTMLParser):
    """What a page of HTML refers to, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.found, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.found.append(value)
            if name == "id":
                self.anchors.add(value)


def test_the_site_is_whole_and_needs_no_network(tmp_path):
    files = SITE.build(tmp_path / "site")
    made = {path: References(path.read_text()) for path in files if path.suffix == ".html"}
    assert tmp_path / "site" / "index.html" in made and tmp_path / "site" / "shell.html" in made
    for path, page in made.items():
        for link in page.found:
            place, _, anchor = link.partition("#")
            target = path.parent / place if place else path
            if re.match(r"[a-z]+:", link):
                assert link == "data:," or link.startswith("https://"), link  # none is loaded
            else:
                assert target.is_file(), (path, link)
                assert not anchor or anchor in made[target].anchors, (path, link)


def test_every_public_name_is_in_the_guide():
    text = TEXTS["python.md"]
    assert [name for name in sxq.__all__ if f"`{name}`" not in text] == []
    for owner in (sxq.Connection, sxq.ExplainQuery, sxq.Result, sxq.Explanation, sxq.Table):
        for name, value in vars(owner).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property)):
                assert re.search(rf"\b{name}\b", text), f"{owner.__name__}.{name}"


def test_every_dot_command_is_in_the_guide():
    assert maker().commands() in TEXTS["shell.md"]
