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


@dataclass(frozen=True)
class GraphAlteration:
    """An ALTER GRAPH under construction; each method returns a new one, and `run` makes the new version.

    `str(alteration)` is its text in the language.
    """

    _run: Callable[[st.Statement], Table]  # `Connection.run`
    _name: str
    _changes: tuple[st.GraphChange, ...] = ()

    def add_nodes(self, query: str, parameters: Parameters = None) -> "GraphAlteration":
        """ADD NODES (query): a SELECT of new keys and the columns of the graph's nodes."""
        return self._with("ADD NODES", query, parameters)

    def add_edges(self, query: str, parameters: Parameters = None) -> "GraphAlteration":
        """ADD EDGES (query): a SELECT of keys of source and target and the columns of the graph's edges."""
        return self._with("ADD EDGES", query, parameters)

    def remove_edges(self, query: str, parameters: Parameters = None) -> "GraphAlteration":
        """REMOVE EDGES (query): a SELECT of keys of source and target, and perhaps of values of the edges."""
        return self._with("REMOVE EDGES", query, parameters)

    def run(self) -> Table:
        """Make the new version, whole or not at all; a row of what was done. Raises what ALTER GRAPH raises."""
        if not self._changes:
            raise InvalidValue(
                f"ALTER GRAPH {self._name} has no change; say add_nodes, add_edges or remove_edges"
            )
        return self._run(st.AlterGraph(self._name, self._changes))

    def __str__(self) -> str:
        bare = self._name.isidentifier() and self._name.upper() not in language.keywords()
        name = self._name if bare else '"' + self._name.replace('"', '""') + '"'
        changes = ", ".join(f"{change.what} ({change.query.sql})" for change in self._changes)
        return f"ALTER GRAPH {name} {changes}".rstrip()

    def _with(self, what: str, query: str, parameters: Parameters) -> "GraphAlteration":
        change = st.GraphChange(what, language.subquery(query, parameters))
        return replace(self, _changes=(*self._changes, change))
