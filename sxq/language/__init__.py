"""The language: text in, statements out. Nothing here knows graphs, models or a database.

    for piece in split(script):                                   # at each `;`
        statement = parse(piece.text, piece.line, piece.column)   # a frozen dataclass, of `statements`
    bind([statement, ...], values)                                # `?` and `$name` replaced

`complete` tells a shell whether to ask for more lines, `is_sxq` whose a statement is, and `arguments` gives
the values of a bound `Sql` or `Subquery` as DuckDB takes them. The grammar is `grammar/sxq.lark`.
"""

from sxq.language.binding import arguments, bind
from sxq.language.parser import parse
from sxq.language.script import Piece, complete, is_sxq, split

__all__ = ["Piece", "arguments", "bind", "complete", "is_sxq", "parse", "split"]
