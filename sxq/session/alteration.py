"""`GraphAlteration`: an ALTER GRAPH put together in Python, with a method for every change.

con.alter_graph("bank").add_edges("SELECT payer, payee, amount FROM today").run()
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sxq import language
from sxq.errors import InvalidValue
from sxq.language import statements as st
from sxq.values.result import Table

Parameters = Sequence[Any] | Mapping[str, Any] | None
EdgeName = str | tuple[str, str, str] | None  # of an edge type: its relation, or all three parts


@dataclass(frozen=True)
class GraphAlteration:
    """An ALTER GRAPH under construction; each method returns a new one, and `run` makes the new version.

    `str(alteration)` is its text in the language.
    """

    _run: Callable[[st.Statement], Table]  # `Connection.run`
    _name: str
    _changes: tuple[st.GraphChange, ...] = ()

    def add_nodes(
        self, query: str, parameters: Parameters = None, of_type: str | None = None
    ) -> "GraphAlteration":
        """ADD NODES [type] (query): a SELECT of new keys and the columns of the graph's nodes."""
        return self._with("ADD NODES", query, parameters, of_type)

    def remove_nodes(
        self, query: str, parameters: Parameters = None, of_type: str | None = None
    ) -> "GraphAlteration":
        """REMOVE NODES [type] (query): a SELECT of the keys of nodes, which go with all their edges."""
        return self._with("REMOVE NODES", query, parameters, of_type)

    def add_edges(
        self, query: str, parameters: Parameters = None, of_type: EdgeName = None
    ) -> "GraphAlteration":
        """ADD EDGES [type] (query): a SELECT of keys of source and target and the columns of the graph's edges.

        of_type  in a heterogeneous graph, a relation, or all three parts: ("account", "pays", "merchant")
        """
        return self._with("ADD EDGES", query, parameters, of_type)

    def remove_edges(
        self, query: str, parameters: Parameters = None, of_type: EdgeName = None
    ) -> "GraphAlteration":
        """REMOVE EDGES [type] (query): a SELECT of keys of source and target, and perhaps of values of the edges."""
        return self._with("REMOVE EDGES", query, parameters, of_type)

    def run(self) -> Table:
        """Make the new version, whole or not at all; a row of what was done. Raises what ALTER GRAPH raises."""
        if not self._changes:
            raise InvalidValue(
                f"ALTER GRAPH {self._name} has no change; say add_nodes, add_edges, remove_edges or "
                "remove_nodes"
            )
        return self._run(st.AlterGraph(self._name, self._changes))

    def __str__(self) -> str:
        changes = ", ".join(map(_text, self._changes))
        return f"ALTER GRAPH {_name(self._name)} {changes}".rstrip()

    def _with(
        self, what: str, query: str, parameters: Parameters, of_type: EdgeName
    ) -> "GraphAlteration":
        change = st.GraphChange(what, language.subquery(query, parameters), of_type)
        return replace(self, _changes=(*self._changes, change))


def _text(change: st.GraphChange) -> str:
    """A change in the language."""
    of = f" {_name(change.of)}" if isinstance(change.of, str) else ""
    if isinstance(change.of, tuple):
        source, relation, head = map(_name, change.of)
        of = f" {source} -{relation}-> {head}"
    return f"{change.what}{of} ({change.query.sql})"


def _name(name: str) -> str:
    """A name as a statement writes it: bare, or in quotes."""
    bare = name.isidentifier() and name.upper() not in language.keywords()
    return name if bare else '"' + name.replace('"', '""') + '"'
