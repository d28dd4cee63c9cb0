"""The statements of the language: one frozen dataclass per grammar rule, plain values only.

A value position may hold a `Parameter` (a `?` or `$name` of the text) until `bind` replaces it.
The planner checks ranges, because its messages can name the right values; the parser checks shape.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """A placeholder: `?` by position (0, 1, ... within its statement) or `$name` by name."""

    key: int | str


@dataclass(frozen=True)
class Subquery:
    """SQL text without its outer parentheses; `parameters` are its own placeholders, or their values once bound."""

    sql: str
    parameters: tuple[Any, ...] = ()  # in order for `?`; (name, value) pairs for `$name`


@dataclass(frozen=True)
class GeneratorCall:
    """One entry of BY: `onion` or `random(size = 5)`."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()  # lower-case names, in order of appearance


@dataclass(frozen=True)
class Condition:
    """One conjunct of WHERE: a flag (`factual`; op "is", value True/False) or a comparison of a raw measure."""

    name: str  # a flag (also `connected`) or a measure's canonical name as written: `fdl+` or `fdl_plus`
    op: str  # "is", "<", "<=", ">", ">=", "=", "!="
    value: Any


@dataclass(frozen=True)
class Diversify:
    """DIVERSIFY [ALPHA a]."""

    alpha: Any = None  # None: the default of the language


@dataclass(frozen=True)
class Units:
    """What INCLUDE NODES, EXCLUDE FEATURES and their like name."""

    over: str  # "nodes", by key, or "features", by name or number
    listed: tuple[Any, ...] | Subquery | Parameter  # a Parameter stands for a list
    node_type: str | None = None  # OF TYPE, of all keys; of some, a key is a pair (node type, key)


@dataclass(frozen=True)
class Explain:
    """EXPLAIN NODE | NODES | GRAPH | GRAPHS | LINK | LINKS | CLASS ... : the skyline of each target.

    For EXPLAIN CLASS, `keys` are those of FROM; without FROM they are None, and `kind` says nothing.
    """

    # of the targets, of links pairs of keys; a Parameter stands for a list
    keys: tuple[Any, ...] | Subquery | Parameter | None
    model: str
    measures: tuple[str, ...]  # as written, lower-case
    _: KW_ONLY
    graph: str | None = None  # None: the graph that the model was registered on
    for_class: Any = None  # FOR CLASS c; None: what the model says
    against: Any = None  # AGAINST d
    over: str = "edges"  # OVER: the units, "edges", "nodes" or "features"
    generators: tuple[GeneratorCall, ...] = ()  # empty: the default search
    where: tuple[Condition, ...] = ()
    # edges that every candidate holds, and that none holds: pairs of keys; or other units. A key OF
    # TYPE is a pair (node type, key).
    include: tuple[tuple[Any, Any], ...] | Subquery | Parameter | Units = ()
    exclude: tuple[tuple[Any, Any], ...] | Subquery | Parameter | Units = ()
    anywhere: bool = False  # ANYWHERE: candidates need not be connected
    smallest: str | None = None  # SMALLEST: "factual" or "counterfactual"
    directed: bool = False  # EDGES DIRECTED
    diversify: Diversify | None = None
    jointly: bool = False
    top: Any = None  # None: the default of the language
    epsilon: Any = None
    budget: Any = None
    within: Any = None  # seconds
    seed: Any = None
    into: str | None = None  # table to create
    kind: str = "node"  # of the targets: "node", "graph" or "link"
    without_itself: bool = False  # WITHOUT ITSELF: a link is in no graph
    # OF TYPE, of the keys in a heterogeneous graph; of links their relation, or all of an edge type
    node_type: str | tuple[str, str, str] | None = None
    of_class: Any = None  # c of EXPLAIN CLASS c
    most_targets: Any = None  # TARGETS
    labels: str | None = None  # LABELS: what nodes of a pattern are told apart by
    text: str = ""  # the statement as the user wrote it


@dataclass(frozen=True)
class PlanExplain:
    """PLAN EXPLAIN ... : show the plan; run only the sub-query of NODES."""

    explain: Explain


@dataclass(frozen=True)
class ProfileExplain:
    """PROFILE EXPLAIN ... : run and store, show the plan with counts and times."""

    explain: Explain


@dataclass(frozen=True)
class Audit:
    """AUDIT [STRUCTURE] [QUERY id]: check stored answers, and measure them again; None means all."""

    structure: bool = False  # only what needs no model
    query_id: Any = None


@dataclass(frozen=True)
class Resume:
    """RESUME QUERY id: explain the targets that a stored query did not reach."""

    query_id: Any


@dataclass(frozen=True)
class Refresh:
    """REFRESH [QUERY id]: bring stored answers to the present version of their graph; None means all."""

    query_id: Any = None


@dataclass(frozen=True)
class DropQuery:
    """DROP QUERY id: delete a stored query with its answers."""

    query_id: Any


@dataclass(frozen=True)
class Predict:
    """PREDICT [NODES | GRAPHS | LINKS ...] USING MODEL m [ON GRAPH g] [INTO table]: what a model says."""

    keys: tuple[Any, ...] | Subquery | Parameter | None  # None: of all
    kind: str  # of the keys: "node", "graph" or "link"
    model: str
    graph: str | None = None  # None: the graph that the model was registered on
    into: str | None = None  # table to create
    node_type: str | tuple[str, str, str] | None = None  # OF TYPE, as in Explain


@dataclass(frozen=True)
class FileSource:
    """FROM FILE 'path'."""

    path: Any


@dataclass(frozen=True)
class DatasetSource:
    """FROM DATASET 'name': a data set that PyG ships or downloads."""

    name: Any


@dataclass(frozen=True)
class QuerySource:
    """FROM NODES (SELECT ...) EDGES (SELECT ...)."""

    nodes: Subquery
    edges: Subquery


@dataclass(frozen=True)
class NodesOfType:
    """NODES type (SELECT ...)."""

    node_type: str
    query: Subquery


@dataclass(frozen=True)
class EdgesOfType:
    """EDGES source -relation-> head (SELECT ...)."""

    edge_type: tuple[str, str, str]
    query: Subquery


@dataclass(frozen=True)
class TypedQuerySource:
    """FROM NODES type (SELECT ...), ..., EDGES type -relation-> type (SELECT ...), ..."""

    parts: tuple[NodesOfType | EdgesOfType, ...]  # as they were written


@dataclass(frozen=True)
class CreateGraph:
    """CREATE [OR REPLACE] GRAPH name FROM ... [(options)]."""

    name: str
    source: FileSource | DatasetSource | QuerySource | TypedQuerySource
    options: tuple[tuple[str, Any], ...] = ()
    replace: bool = False


@dataclass(frozen=True)
class GraphChange:
    """One change of ALTER GRAPH: ADD NODES, REMOVE NODES, ADD EDGES or REMOVE EDGES [type] (SELECT ...)."""

    what: str  # its words, in capitals
    query: Subquery
    # Of a heterogeneous graph, the type of the nodes, or of the edges: its relation, or all three parts.
    of: str | tuple[str, str, str] | None = None


@dataclass(frozen=True)
class AlterGraph:
    """ALTER GRAPH name change, ...: the next version of a graph."""

    name: str
    changes: tuple[GraphChange, ...]  # in the order in which they are made


@dataclass(frozen=True)
class AddedGraphs:
    """ADD GRAPHS (SELECT ...) NODES (SELECT ...) EDGES (SELECT ...)."""

    graphs: Subquery
    nodes: Subquery
    edges: Subquery


@dataclass(frozen=True)
class RemovedGraphs:
    """REMOVE GRAPHS (SELECT ...)."""

    graphs: Subquery  # of their keys


@dataclass(frozen=True)
class AlterGraphs:
    """ALTER GRAPHS name change, ...: the next version of a collection."""

    name: str
    changes: tuple[AddedGraphs | RemovedGraphs, ...]  # in the order in which they are made


@dataclass(frozen=True)
class GraphsQuerySource:
    """FROM GRAPHS (SELECT ...) NODES (SELECT ...) EDGES (SELECT ...)."""

    graphs: Subquery
    nodes: Subquery
    edges: Subquery


@dataclass(frozen=True)
class CreateGraphs:
    """CREATE [OR REPLACE] GRAPHS name FROM ... [(options)]: a collection of graphs."""

    name: str
    source: FileSource | DatasetSource | GraphsQuerySource
    options: tuple[tuple[str, Any], ...] = ()
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class CreateModel:
    """CREATE [OR REPLACE] MODEL name ON GRAPH | GRAPHS graph FROM FILE 'w.safetensors' (options)."""

    name: str
    graph: str
    path: Any
    options: tuple[tuple[str, Any], ...] = ()
    replace: bool = False
    kind: str = "graph"  # `graph` names a "graph", or a collection of "graphs"


@dataclass(frozen=True)
class TrainModel:
    """TRAIN [OR REPLACE] MODEL name ON GRAPH | GRAPHS graph (options)."""

    name: str
    graph: str
    options: tuple[tuple[str, Any], ...] = ()
    replace: bool = False
    kind: str = "graph"  # as in CreateModel


@dataclass(frozen=True, kw_only=True)
class PretrainRefine:
    """PRETRAIN [OR REPLACE] REFINE name FOR MODEL model ON GRAPH | GRAPHS graph (options)."""

    name: str
    model: str
    graph: str
    options: tuple[tuple[str, Any], ...] = ()
    replace: bool = False
    kind: str = "graph"  # as in CreateModel


@dataclass(frozen=True)
class Show:
    """SHOW GRAPHS | MODELS | MEASURES | GENERATORS | QUERIES | SETTINGS | REFINES."""

    what: str  # lower-case


@dataclass(frozen=True)
class Describe:
    """DESCRIBE GRAPH | GRAPHS | MODEL | REFINE name."""

    kind: str  # "graph", "graphs", "model" or "refine"
    name: str


@dataclass(frozen=True)
class Drop:
    """DROP GRAPH | GRAPHS | MODEL | REFINE [IF EXISTS] name."""

    kind: str
    name: str
    if_exists: bool = False


@dataclass(frozen=True)
class SetOption:
    """SET sxq_name = value."""

    name: str
    value: Any


@dataclass(frozen=True)
class ResetOption:
    """RESET sxq_name."""

    name: str


@dataclass(frozen=True)
class Sql:
    """A statement of DuckDB's, unchanged; `parameters` as in Subquery."""

    sql: str
    parameters: tuple[Any, ...] = ()


Statement = (
    Explain
    | PlanExplain
    | ProfileExplain
    | Resume
    | Refresh
    | DropQuery
    | Audit
    | Predict
    | CreateGraph
    | AlterGraph
    | AlterGraphs
    | CreateGraphs
    | CreateModel
    | TrainModel
    | PretrainRefine
    | Show
    | Describe
    | Drop
    | SetOption
    | ResetOption
    | Sql
)
