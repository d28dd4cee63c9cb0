"""README and guide as one site of plain HTML that needs no network: `python docs/build_site.py build/site`.

Every link is followed while the pages are made. One that leads nowhere, to a missing file or heading, ends the
build, so that the site and the files that it is made from have no dead links.

    README.md, SECURITY.md, ...     index.html, security.html, ...
    docs/shell.md                   shell.html; the page names are those of the files
    other files that are linked     files/<path>, pictures as they are and text as a page
"""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from posixpath import normpath

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

HERE = Path(__file__).parent  # site.css and site.js are here, too
ROOT = HERE.parent
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")  # pages beside those of docs/
PICTURES = (".png", ".svg", ".jpg", ".gif")
LEXERS = {"ebnf": "text", "console": "text"}  # languages of blocks that Pygments reads otherwise


class DeadLink(Exception):
    """A link leads to no file, or to no heading of its file."""


@dataclass(frozen=True)
class Page:
    """One file of Markdown: where it is in the repository, and its parts."""

    source: str
    tokens: list
    headings: dict[str, str]  # titles by the anchors that GitHub gives them

    @property
    def name(self) -> str:
        """The file of the site."""
        stem = Path(self.source).stem.lower()
        return {"README.md": "index.html", "docs/index.md": "guide.html"}.get(
            self.source, f"{stem}.html"
        )

    @property
    def title(self) -> str:
        return next(iter(self.headings.values()), self.name)


def pages() -> dict[str, Page]:
    """Every page by its source: README and its neighbours, then those of docs/ in the order of its index."""
    reader = MarkdownIt("commonmark").enable("table")
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = [f"docs/{name}" for name in re.findall(r"^\| \[[^]]*\]\(([\w-]+\.md)\)", index, re.M)]
    others = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
    sources = dict.fromkeys(["README.md", "docs/index.md", *listed, *others, *TOP[1:]])
    made = {}
    for source in sources:
        tokens = reader.parse((ROOT / source).read_text(encoding="utf-8"))
        made[source] = Page(source, tokens, _headings(tokens))
    return made


def _headings(tokens: list) -> dict[str, str]:
    found: dict[str, str] = {}
    for token, following in zip(tokens, tokens[1:]):
        if token.type == "heading_open":
            title = "".join(part.content for part in following.children or ())
            anchor = base = slug(title)
            number = 0
            while anchor in found:
                number += 1
                anchor = f"{base}-{number}"
            found[anchor] = title
            token.attrSet("id", anchor)
    return found


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def follow(link: str, page: Page, known: dict[str, Page]) -> str:
    """The link of the site for a link of a page; DeadLink if it leads nowhere. Links to other sites stay."""
    if re.match(r"[a-z]+:", link):
        return link
    path, _, anchor = link.partition("#")
    source = normpath(f"{Path(page.source).parent.as_posix()}/{path}") if path else page.source
    if not (ROOT / source).exists():
        raise DeadLink(f"{page.source}: {link} leads to no file")
    if source not in known:
        if anchor:
            raise DeadLink(f"{page.source}: {link} leads to a heading of a file that is no page")
        return f"files/{source}" if Path(source).suffix in PICTURES else f"files/{source}.html"
    if anchor and anchor not in known[source].headings:
        raise DeadLink(f"{page.source}: {link} leads to no heading of {source}")
    return known[source].name + (f"#{anchor}" if anchor else "")


def links(page: Page) -> list:
    """The tokens of a page that lead somewhere, with the attribute that says where."""
    inline = (part for token in page.tokens for part in token.children or ())
    kinds = {"link_open": "href", "image": "src"}
    return [(part, kinds[part.type]) for part in inline if part.type in kinds]


def build(folder: Path) -> list[Path]:
    """Write the site into a new folder, which replaces one of that name; the files. Raises DeadLink."""
    known = pages()
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for page in known.values():
        for part, where in links(page):
            target = follow(part.attrGet(where), page, known)
            part.attrSet(where, target)
            if target.startswith("files/"):
                _copy(target, fresh)
    headings = [entry for page in known.values() for entry in _entries(page)]
    for page in known.values():
        (fresh / page.name).write_text(_html(page, known), encoding="utf-8")
    (fresh / "search.js").write_text(
        f"const HEADINGS = {json.dumps(headings)};\n{_asset('site.js')}", encoding="utf-8"
    )
    light, dark = (
        HtmlFormatter(style=style).get_style_defs(".code") for style in ("default", "monokai")
    )
    colours = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n.code {{ background: none !important }}"
    (fresh / "style.css").write_text(f"{colours}\n{_asset('site.css')}", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _copy(target: str, folder: Path) -> None:
    """A file of the repository for the site: a picture, or text (of a folder, its files) as a page."""
    source = ROOT / target.removeprefix("files/").removesuffix(".html")
    place = folder / target
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix in PICTURES:
        shutil.copyfile(source, place)
        return
    text = (
        "\n".join(sorted(path.name for path in source.iterdir() if path.suffix))
        if source.is_dir()
        else source.read_text(encoding="utf-8")
    )
    title = escape(target.removeprefix("files/").removesuffix(".html"))
    place.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><pre>{escape(text)}</pre>',
        encoding="utf-8",
    )


def _entries(page: Page) -> list[list[str]]:
    """What the search knows of a page: for each heading its link, its title, and the text below it."""
    entries: list[list[str]] = []
    titles = iter(page.headings.items())
    for token in page.tokens:
        if token.type == "heading_open":
            anchor, title = next(titles)
            shown = title if not entries else f"{title} · {page.title}"
            entries.append([f"{page.name}#{anchor}", shown, ""])
        elif entries and token.type in ("inline", "fence"):
            entries[-1][2] += f" {token.content}"
    return entries


def _html(page: Page, known: dict[str, Page]) -> str:
    reader = MarkdownIt("commonmark", {"highlight": _coloured}).enable("table")
    body = reader.renderer.render(page.tokens, reader.options, {})
    body = re.sub(
        r'(<h[1-6] id="([^"]+)">.*?)(</h)', r'\1<a href="#\2" aria-label="link">#</a>\3', body
    )
    menu = "".join(
        f'<a href="{other.name}"{" aria-current=page" if other is page else ""}>{escape(other.title)}</a>'
        for other in known.values()
        if other.name != "index.html"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<title>{escape(page.title)}</title>
</head>
<body>
<div class="site">
<nav><a class="name" href="index.html">sxq</a><input type="search" placeholder="Search" aria-label="search">
<div class="pages">{menu}</div></nav>
<main>
{body}</main>
</div>
<script src="search.js"></script>
</body>
</html>
"""


def _coloured(text: str, language: str, _) -> str:
    """A block of code with its colours."""
    try:
        lexer = get_lexer_by_name(LEXERS.get(language, language or "text"))
    except ClassNotFound:
        return ""
    return f'<pre class="code">{highlight(text, lexer, HtmlFormatter(nowrap=True))}</pre>'


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "site")
    try:
        print(f"wrote {len(build(place))} files, begin with {place / 'index.html'}")
    except DeadLink as dead:
        sys.exit(f"Error: {dead}")
