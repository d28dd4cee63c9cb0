"""The language: text in, statements out. Nothing here knows graphs, models or a database.

    for piece in split(script):                                   # at each `;`
        statement = parse(piece.text, piece.line, piece.column)   # a frozen dataclass, of `statements`
    bind([statement, ...], values)                                # `?` and `$name` replaced

`placeholders` finds those of a text. `complete` tells a shell whether to ask for more lines, `continuations` lists
what may come next, and `keywords` lists all keywords. `is_sxq` tells sxq's statements from DuckDB's; `misspelt`
guesses the meaning of a statement that neither of them knows. `arguments` gives the values of a bound `Sql` or
`Subquery` as DuckDB takes them. `write` gives the text of an `Explain` that was made without one, with
`subquery(sql, values)` for its targets, and `literal` that of a value. The grammar is `grammar/sxq.lark`.

    statements.py   the statements: one frozen dataclass per rule of the grammar
    lexemes.py      SQL text as strings, names, comments and signs
    script.py       a script as statements, sxq's and DuckDB's
    grammar.py      the verbs that need the grammar, and the gate to the parser
    parser.py       from the text of a statement to its dataclass (lark)
    mistakes.py     the messages of a ParseError
    binding.py      placeholders replaced by values
    writing.py      from a statement back to text
    manual.py       the grammar file as a manual
"""

from sxq.language.binding import arguments, bind, subquery
from sxq.language.grammar import continuations, keywords, parse, write
from sxq.language.lexemes import placeholders
from sxq.language.mistakes import misspelt
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
    "placeholders",
    "split",
    "subquery",
    "write",
]
