"""The language: text in, statements out. Nothing here knows graphs, models or a database.

    for piece in split(script):                                   # at each `;`
        statement = parse(piece.text, piece.line, piece.column)   # a frozen dataclass, of `statements`
    bind([statement, ...], values)                                # `?` and `$name` replaced

`complete` tells a shell whether to ask for more lines, `continuations` what may come next and `keywords` all there
are; `is_sxq` says whose a statement is, `misspelt` what was meant by one that is nobody's, and `arguments` gives the
values of a bound `Sql` or `Subquery` as DuckDB takes them. `write` is the text of an `Explain` that was made without
one, with `subquery(sql, values)` for its targets, and `literal` that of a value. The grammar is `grammar/sxq.lark`.
"""

from sxq.language.binding import arguments, bind, subquery
from sxq.language.mistakes import misspelt
from sxq.language.parser import continuations, keywords, parse, write
from sxq.language.script import Piece, complete, is_sxq, split
from sxq.language.writing import literal

__all__ = [
    "Piece",
    "arguments",
    "bind",
    "complete",
    "continuations",
    "is_sxq",
    "keywords",
    "literal",
    "misspelt",
    "parse",
    "split",
    "subquery",
    "write",
]
