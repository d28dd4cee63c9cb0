"""sxq: a skyline query engine that explains the predictions of graph neural networks.

con = sxq.connect("tx.duckdb")
con.execute("EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 10 EPSILON 0.1")
"""

import sxq.started  # noqa: F401, I001 - first, so that Ctrl-C during the other imports is quiet

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxq.connection import Connection
from sxq.errors import (
    ConnectionBusy,
    DatabaseLocked,
    DataError,
    Error,
    ForkedConnection,
    GraphError,
    InputWarning,
    InvalidValue,
    ModelChanged,
    ModelDetached,
    ModelError,
    ModelNotLocal,
    ModelOutputError,
    NameTaken,
    NodeNotFound,
    NotAllowed,
    ParseError,
    QueryError,
    SpeedWarning,
    SQLError,
    StoreError,
    StoreWarning,
    TransactionOpen,
    UnknownName,
)
from sxq.session.builder import ExplainQuery, Where, plain
from sxq.session.npz import save_npz
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.pattern import ClassPattern, PatternMatch
from sxq.values.result import Result, Table
from sxq.values.views import attach

if TYPE_CHECKING:
    from torch_geometric.data import Data

__version__ = "0.1.0"

__all__ = [
    "ClassPattern",
    "Connection",
    "ConnectionBusy",
    "DataError",
    "DatabaseLocked",
    "Error",
    "ExplainQuery",
    "Explanation",
    "ForkedConnection",
    "GraphError",
    "InputWarning",
    "InvalidValue",
    "ModelChanged",
    "ModelDetached",
    "ModelError",
    "ModelNotLocal",
    "ModelOutputError",
    "NameTaken",
    "NodeNotFound",
    "NotAllowed",
    "ParseError",
    "PatternMatch",
    "QueryError",
    "Result",
    "SQLError",
    "SpeedWarning",
    "StoreError",
    "StoreWarning",
    "Table",
    "TargetReport",
    "TransactionOpen",
    "UnknownName",
    "connect",
    "executors",
    "explain",
    "save_npz",
]


def connect(
    path: str | None = None,
    read_only: bool = False,
    *,
    untrusted: bool = False,
    allow: Iterable[str | Path] = (),
    memory_limit: str | int | None = None,
    lock_timeout: float | str = "auto",
) -> Connection:
    """Open a database of graphs, models and explanations: a DuckDB file, created if missing, or one in memory.

    untrusted     for text from strangers, such as a web form or a language model: statements reach no files, settings,
                  extensions or Python variables; what they do raises NotAllowed or SQLError
    allow         folders whose files untrusted statements may name in FROM FILE
    memory_limit  of untrusted SQL, such as '512 MB' (default: 1 GB)
    lock_timeout  seconds to wait for another process that holds the file (auto: 1), and for the statement of
                  another thread (auto: until it ends)

    Raises StoreError for a file that is no database, DatabaseLocked for one that another process holds.
    """
    return Connection(
        path,
        read_only,
        untrusted=untrusted,
        allow=allow,
        memory_limit=memory_limit,
        lock_timeout=lock_timeout,
    )


def explain(
    model,
    data,
    node: Any = None,
    *,
    k: int = 10,
    epsilon: float = 0.1,
    optimize: Sequence[str] = ("fdl+", "fdl-", "conc"),
    by: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    where: Sequence[Where] = (),
    diversify: bool | float = False,
    jointly: bool = False,
    output: str | None = None,
    task: str | None = None,
    for_class: int | None = None,
    against: int | None = None,
    budget: int | None = None,
    within: float | None = None,
    seed: int = 0,
    directed: bool = False,
    node_type: str | None = None,
    output_key: str | int | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Result:
    """Explain one node (or a list of nodes) of a PyG `Data` or `HeteroData` in one call; stores nothing.

    Without `node` the model classifies whole graphs, and `data` is the graph to explain, or a sequence, a data set, a
    Batch or a DataLoader of graphs.

    model      any torch.nn.Module with forward(x, edge_index, ...), for graphs forward(x, edge_index, ..., batch);
               it is left as it is
    k          the most members of each skyline
    epsilon    of the dominance, 0 or more
    optimize   measures, by name
    by         generators, by name, or a mapping from names to options (default: the engine's)
    where      what every member must be: "factual", "not counterfactual", ("size", "<=", 12), ...
    diversify  members that differ from each other; a number from 0 to 1 is its ALPHA
    jointly    one answer of k members for all targets together
    output     what forward returns: "logits", "log_probs" or "probs"; left out, it is inferred; an error if uncertain
    task       what the columns are: "multiclass", "binary", "multilabel" or "regression"; inferred like output
    for_class  the class to explain, in place of the predicted one; a label of multilabel, a column of regression
    against    the class that it is compared with: "why this class rather than that?"
    budget     the most distinct candidates to verify per target
    within     seconds for the call
    seed       of every random choice
    directed   explain by directed edges, even where the graph is undirected
    node_type  of `node`, in a `HeteroData`; may be left out if the model predicts nodes of one type only

    output_key  which output is meant, where forward returns a tuple (its position) or a dictionary (its key)
    inputs     argument of forward -> field of the data, where names differ: {"weight": "edge_weight"}

    Returns a `Result`; raises what `Connection.execute` raises.
    """
    with Connection() as con:
        given = {
            "output": output,
            "task": task,
            "node_type": node_type,
            "output_key": output_key,
            "inputs": inputs,
        }
        query = _start(con, model, data, plain(node), **given)
        query = query.using("model").optimize(*optimize).where(*where).top(k).epsilon(epsilon)
        query = query.seed(seed)
        query = query if for_class is None else query.for_class(for_class)
        query = query if against is None else query.against(against)
        for name, options in (by if isinstance(by, Mapping) else dict.fromkeys(by, {})).items():
            query = query.by(name, **options)
        if diversify is not False:
            query = query.diversify(None if diversify is True else diversify)
        query = query.jointly() if jointly else query
        query = query.directed() if directed else query
        query = query if budget is None else query.budget(budget)
        query = query if within is None else query.within(within)
        return query.run()


def _start(con: Connection, model, data, node: Any, **given: Any) -> ExplainQuery:
    """Register the graph and the model of `explain`, and start the query about its targets; `given` are for the model."""
    if hasattr(data, "forward"):
        raise InvalidValue("the data are a model; expected explain(model, data, node)")
    try:
        if node is None:
            con.register_graphs("graphs", data)
            con.register_model("model", model, graphs="graphs", **given)
            collection = con.session.registry.graphs.of_kind("graphs", "graphs")
            return con.explain(graphs=range(len(collection)))
        con.register_graph("graph", data)
        con.register_model("model", model, "graph", **given)
    except ModelError as error:
        meant = (
            "without node=, data is one graph to classify, or several"
            if node is None
            else "with node=, the model says something of every node; for a model of whole graphs leave it out"
        )
        if "shape" in str(error) or "batch" in str(error):
            error.args = (f"{error} ({meant})",)
        raise
    several = isinstance(node, Iterable) and not isinstance(node, str)
    keys = node if several else [node]
    return con.explain(nodes=keys, node_type=given["node_type"])


def __getattr__(name: str) -> Any:
    """`sxq.datasets`, which imports torch, and `sxq.executors`, when they are first asked for."""
    if name == "datasets":
        import sxq.datasets

        return sxq.datasets
    if name == "executors":
        import sxq.executors

        return sxq.executors
    raise AttributeError(f"module 'sxq' has no attribute {name!r}")


def load_ipython_extension(ipython) -> None:
    """`%load_ext sxq`: the magics `%sxq` and `%%sxq`; see `sxq.notebook`."""
    from sxq.notebook import load

    load(ipython)


def _to_data(explanation: Explanation) -> "Data":
    from sxq.pyg import to_data  # imports torch

    return to_data(explanation)


def _views() -> Mapping[str, Callable[..., Any]]:
    """The functions behind the methods of values that draw or convert."""
    from sxq.pictures import VIEWS

    return {**VIEWS, "Explanation.to_data": _to_data}


attach(_views)
