"""The views of one graph: the tables of schema `sxq` cut down to it, with a plain column for each thing that has a name.

Keys have the SQL type of the user's keys, features and attributes are columns. So what `views` makes joins with the
user's tables as it is, and pandas, Polars, Arrow and Parquet get plain columns. Names come from the file and are
quoted; types come from the lists of this program.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sxq.storage.checked_graphs import DISK
from sxq.storage.key_columns import KEY_TYPES, TEXT_TYPES, column_type
from sxq.storage.quoting import quote

# what `variant_typeof` says, up to a parenthesis -> the SQL type of a column with nothing else
_VALUES = {
    **{f"{sign}INT{bits}": "BIGINT" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "UINT64": "UBIGINT",
    "INT128": "HUGEINT",
    "FLOAT": "DOUBLE",
    "DOUBLE": "DOUBLE",
    "DECIMAL": "DOUBLE",
    "BOOL_TRUE": "BOOLEAN",
    "BOOL_FALSE": "BOOLEAN",
    "DATE": "DATE",
    "TIME_MICROS": "TIME",
    "TIMESTAMP_SEC": "TIMESTAMP",
    "TIMESTAMP_MILIS": "TIMESTAMP",
    "TIMESTAMP_MICROS": "TIMESTAMP",
    "TIMESTAMP_NANOS": "TIMESTAMP_NS",
    "UUID": "UUID",
    "BLOB": "BLOB",
}
_NUMBERS = {"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"}
VALUE_TYPES = {*_VALUES.values(), "VARCHAR"}
_LIST = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class GraphFacts:
    """What the views of a graph depend on; all but `tables` as the file has it."""

    graph_id: int
    name: str
    node_key: str | None  # graphs.key_type
    graph_key: str | None  # graphs.graph_key_type
    collection: bool
    parts: Sequence[str]
    attributes: Sequence[str]  # names
    # SQL types of the attributes, None where all are NULL; "": of all nodes, else by node type
    attribute_types: Mapping[str, Sequence[str | None]]
    feature_names: Mapping[str, Sequence[str]]  # by node type, "" without types
    node_types: Mapping[str, int]  # with their widths
    edge_names: Sequence[str] | None  # of the columns of edge_attr
    edge_attributes: Sequence[tuple[int, str, str]]  # ordinal in graph_inputs, name, SQL type
    tables: Mapping[str, Sequence[str]]  # columns of the tables of schema sxq


@dataclass
class _Select:
    """The columns of a view. A name that is taken gets `ending`, then a number."""

    view: str
    columns: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def add(self, expression: str, name: str) -> None:
        """A column of sxq's own, whose name is free."""
        self.taken.add(name.lower())
        self.columns.append(f"{expression} AS {quote(name)}")

    def add_named(self, expression: str, name: str, ending: str, avoid: Iterable[str] = ()) -> None:
        """A column that the user named; it leaves the names in `avoid` to others."""
        free = free_name(name, ending, self.taken | {*map(str.lower, avoid)})
        if free != name:
            self.renamed.append(f"{self.view}.{name} is {free}")
        self.add(expression, free)

    def text(self, source: str) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {source}"


def free_name(name: str, ending: str, taken: set[str]) -> str:
    """The name, or the name with an ending and perhaps a number; names differ in more than capitals."""
    wanted = name or "unnamed"
    free = wanted
    number = 1
    while free.lower() in taken:
        free = f"{wanted}_{ending}" if number == 1 else f"{wanted}_{ending}_{number}"
        number += 1
    return free


def value_type(found: Sequence[str]) -> str | None:
    """The SQL type of a column whose values are of these types, as `variant_typeof` calls them; None: all NULL."""
    types = {
        _VALUES.get(name.partition("(")[0], "VARCHAR") for name in found if name != "VARIANT_NULL"
    }
    if not types:
        return None
    if len(types) == 1:
        return types.pop()
    return "DOUBLE" if types <= _NUMBERS else "VARCHAR"


def known_keys(stored: Any) -> bool:
    """Whether these are two key types, of nodes and of graphs, that this program writes; None: there are no keys."""
    return (
        isinstance(stored, list | tuple)
        and len(stored) == 2
        and all(
            one is None or isinstance(one, str) and (one in KEY_TYPES or one in TEXT_TYPES)
            for one in stored
        )
    )


def views(facts: GraphFacts, others: set[str]) -> tuple[dict[str, str], list[str]]:
    """The SELECT of each view by its name, and which names are not the user's own.

    others  names in the schema that are the user's own, in lower case
    """
    made: dict[str, str] = {}
    renamed: list[str] = []
    edges = [] if DISK in facts.parts else [_edges(facts)]  # those are in a folder
    selects = [_nodes(facts), *edges, *_answers(facts)]
    if facts.collection:
        selects.append(_graphs(facts))
    for select, source in selects:
        _place(made, renamed, select, select.text(source), others)
    for node_type in facts.node_types:
        select, source = _nodes_of(facts, node_type)
        _place(made, renamed, select, select.text(source), others)
    return made, renamed


def _place(
    made: dict[str, str], renamed: list[str], select: _Select, sql: str, others: set[str]
) -> None:
    name = free_name(select.view, "view", {*map(str.lower, made), *others})
    if name != select.view:
        renamed.append(f"view {select.view} is {name}")
    made[name] = sql
    renamed += select.renamed


# -- keys ----------------------------------------------------------------------------------------


def _key(column: str, stored: str | None) -> str:
    """A key in its SQL type. TRY, since DuckDB may cast rows of other graphs before it leaves them out."""
    return f"TRY_CAST({column} AS {column_type(stored)})"


def _plain_positions(facts: GraphFacts) -> bool:
    """Whether keys are the positions of the nodes."""
    return facts.node_key is None and not facts.collection and not facts.node_types


def _add_target(select: _Select, facts: GraphFacts, column: str) -> None:
    """The target, and of a link its two ends."""
    if facts.collection:
        select.add(_key(column, facts.graph_key), "target")
        return
    link = f"variant_typeof({column}) = 'OBJECT(u, v)'"
    select.add(f"CASE WHEN {link} THEN NULL ELSE {_key(column, facts.node_key)} END", "target")
    for end in ("u", "v"):
        value = _key(f"variant_extract({column}, '{end}')", facts.node_key)
        select.add(f"CASE WHEN {link} THEN {value} END", f"target_{end}")


# -- nodes and edges -----------------------------------------------------------------------------


def _nodes(facts: GraphFacts) -> tuple[_Select, str]:
    select = _Select("nodes")
    select.taken |= {"position"}
    _add_node_keys(select, facts)
    if facts.node_types:
        select.add("node_type", "node_type")
        select.taken |= {"x"}
    _add_labels(select, facts)
    if not facts.node_types:
        _add_features(select, facts, "", None)
    _add_attributes(select, facts, "")
    if facts.node_types:
        select.add("x", "x")
    select.add("position", "position")
    return select, f"sxq.nodes WHERE graph_id = {facts.graph_id}"


def _nodes_of(facts: GraphFacts, node_type: str) -> tuple[_Select, str]:
    """The nodes of one type, with their own features and attributes."""
    select = _Select(node_type)
    select.taken |= {"position"}
    _add_node_keys(select, facts)
    _add_labels(select, facts)
    _add_features(select, facts, node_type, facts.node_types[node_type])
    _add_attributes(select, facts, node_type)
    select.add("position", "position")
    number = list(facts.node_types).index(node_type)
    of_type = f"(SELECT t.node_type FROM sxq.node_types AS t WHERE t.graph_id = {facts.graph_id}"
    return select, (
        f"sxq.nodes WHERE graph_id = {facts.graph_id} AND node_type = {of_type}"
        f" AND t.number = {number})"
    )


def _add_node_keys(select: _Select, facts: GraphFacts) -> None:
    select.add("position" if _plain_positions(facts) else _key("node", facts.node_key), "node")
    if facts.collection:
        select.add(_key("graph", facts.graph_key), "graph")


def _add_labels(select: _Select, facts: GraphFacts) -> None:
    for part, column in (("y", "label"), ("split", "split")):
        if part in facts.parts:
            select.add(column, column)


def _add_features(select: _Select, facts: GraphFacts, node_type: str, width: int | None) -> None:
    """A column for each feature, or for a list of features that was one column; `x` where they have no names.

    With ENCODE, a date is a feature and an attribute: the attribute has its name.
    """
    if DISK in facts.parts:
        return  # they are in a folder
    names = facts.feature_names.get(node_type)
    if not names:
        if width != 0:
            select.add("x" if width is None else f"x[1:{width}]", "x")
        return
    for first, name, count in _columns_of(names):
        part = f"x[{first + 1}]" if count is None else f"x[{first + 1}:{first + count}]"
        select.add_named(part, name, "feature", facts.attributes)


def _columns_of(names: Sequence[str]) -> list[tuple[int, str, int | None]]:
    """The place, the name and, of a list, the length of each of the user's columns."""
    columns: list[tuple[int, str, int | None]] = []
    for place, name in enumerate(names):
        within = _LIST.fullmatch(name)
        if within and within[2] == "0" and _next_of(names, place, within[1]):
            columns.append((place, within[1], 1))
        elif within and columns and columns[-1][1:] == (within[1], int(within[2])):
            columns[-1] = (columns[-1][0], within[1], int(within[2]) + 1)
        else:
            columns.append((place, name, None))
    return columns


def _next_of(names: Sequence[str], place: int, list_name: str) -> bool:
    return place + 1 < len(names) and names[place + 1] == f"{list_name}[1]"


def _add_attributes(select: _Select, facts: GraphFacts, node_type: str) -> None:
    types = facts.attribute_types.get(node_type, ())
    for name, kind in zip(facts.attributes, types):
        if kind is None and node_type:
            continue  # a column of other types of nodes
        value = f"attributes[{_literal(name)}]"
        select.add_named(f"TRY_CAST({value} AS {kind or 'VARCHAR'})", name, "attribute")


def _literal(text: str) -> str:
    """Text as a constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _edges(facts: GraphFacts) -> tuple[_Select, str]:
    select = _Select("edges")
    select.taken |= {"truth"}
    select.add("e.edge", "edge")
    if facts.collection:
        select.add(_key("e.graph", facts.graph_key), "graph")
    for end in ("src", "dst"):
        plain = _plain_positions(facts)
        select.add(f"e.{end}_position" if plain else _key(f"e.{end}", facts.node_key), end)
    if facts.node_types:
        _add_edge_types(select)
    if "edge_weight" in facts.parts:
        select.add("e.weight", "weight")
    if "edge_attr" in facts.parts:
        _add_edge_features(select, facts)
    for ordinal, name, kind in facts.edge_attributes:
        texts = (
            f"(SELECT CAST(CAST(decode(i.content) AS JSON) AS VARCHAR[]) FROM sxq.graph_inputs AS i"
            f" WHERE i.graph_id = {facts.graph_id} AND i.ordinal = {ordinal})[e.edge + 1]"
        )
        value = texts if kind == "VARCHAR" else f"TRY_CAST({texts} AS {kind})"
        select.add_named(value, name, "attribute")
    if "edge_truth" in facts.parts:
        select.add("e.truth", "truth")
    return select, f"{_edges_with_types(facts)} WHERE e.graph_id = {facts.graph_id}"


def _add_edge_types(select: _Select) -> None:
    select.add("e.edge_type", "edge_type")
    for end in ("src_type", "dst_type"):
        select.add(f"t.{end}", end)


def _edges_with_types(facts: GraphFacts) -> str:
    if not facts.node_types:
        return "sxq.edges AS e"
    return (
        "sxq.edges AS e LEFT JOIN sxq.edge_types AS t"
        " ON (t.graph_id = e.graph_id AND t.edge_type = e.edge_type)"
    )


def _add_edge_features(select: _Select, facts: GraphFacts) -> None:
    if not facts.edge_names:
        select.add_named("e.attr", "attr", "feature")
        return
    own = [name for _, name, _ in facts.edge_attributes]  # with SCALE, the user's own numbers
    for first, name, count in _columns_of(facts.edge_names):
        part = f"e.attr[{first + 1}]" if count is None else f"e.attr[{first + 1}:{first + count}]"
        select.add_named(part, name, "feature", own)


def _graphs(facts: GraphFacts) -> tuple[_Select, str]:
    """The graphs of a collection."""
    select = _Select("graphs")
    select.add(_key("graph", facts.graph_key), "graph")
    for column in facts.tables["graph_members"]:
        if column not in ("graph_id", "graph"):
            select.add(column, column)
    return select, f"sxq.graph_members WHERE graph_id = {facts.graph_id}"


# -- answers -------------------------------------------------------------------------------------


def _answers(facts: GraphFacts) -> list[tuple[_Select, str]]:
    of_graph = f"(SELECT q.query_id FROM sxq.queries AS q WHERE q.graph_id = {facts.graph_id})"
    found = [_features(facts)] if facts.feature_names else []
    return [
        *found,
        _queries(facts),
        _rows(facts, "targets", f"sxq.targets AS a WHERE a.query_id IN {of_graph}"),
        _rows(facts, "explanations", f"sxq.explanations AS a WHERE a.query_id IN {of_graph}"),
        *(
            _units(facts, table, of_graph)
            for table in ("explanation_edges", "explanation_nodes", "explanation_features")
        ),
    ]


def _features(facts: GraphFacts) -> tuple[_Select, str]:
    select = _Select("features")
    for column in facts.tables["features"]:
        if column != "graph_id" and (column != "node_type" or facts.node_types):
            select.add(column, column)
    return select, f"sxq.features WHERE graph_id = {facts.graph_id}"


def _queries(facts: GraphFacts) -> tuple[_Select, str]:
    select = _Select("queries")
    for column in facts.tables["queries"]:
        if column == "model_id":
            select.add("m.name", "model")
        elif column in ("settings", "versions"):
            # JSON in Parquet is bytes to Polars; SQL reads text by the same operators
            select.add(f"CAST(q.{column} AS VARCHAR)", column)
        elif column != "graph_id":
            select.add(f"q.{quote(column)}", column)
    source = "sxq.queries AS q LEFT JOIN sxq.models AS m ON (m.model_id = q.model_id)"
    return select, f"{source} WHERE q.graph_id = {facts.graph_id}"


def _rows(facts: GraphFacts, table: str, source: str) -> tuple[_Select, str]:
    """A table of answers with a column `target`."""
    select = _Select(table)
    for column in facts.tables[table]:
        if column == "target":
            _add_target(select, facts, "a.target")
        elif column != "node_type" or facts.node_types:
            select.add(f"a.{quote(column)}", column)
    return select, source


def _units(facts: GraphFacts, table: str, of_graph: str) -> tuple[_Select, str]:
    """A table of the units of explanations, each row with its query and target."""
    select = _Select(table)
    select.add("a.explanation_id", "explanation_id")
    select.add("a.query_id", "query_id")
    _add_target(select, facts, "a.target")
    for column in facts.tables[table]:
        if column in ("node", "src", "dst"):
            select.add(_key(f"e.{column}", facts.node_key), column)
        elif column == "edge_type" and facts.node_types:
            _add_edge_types(select)
        elif column not in ("explanation_id", "node_type", "edge_type") or (
            column == "node_type" and facts.node_types
        ):
            select.add(f"e.{quote(column)}", column)
    source = f"sxq.{table} AS e JOIN sxq.explanations AS a ON (a.explanation_id = e.explanation_id)"
    if table == "explanation_edges" and facts.node_types:
        source += (
            f" LEFT JOIN sxq.edge_types AS t ON (t.graph_id = {facts.graph_id}"
            " AND t.edge_type = e.edge_type)"
        )
    return select, f"{source} WHERE a.query_id IN {of_graph}"
