"""Questions in Python: every clause of EXPLAIN as a method, and one call for those who want no database.

    con.explain(node=42).using("gcn").optimize("fdl+", "conc").top(5).run()

A question is a value: each method returns a new one, so that a common beginning can be kept and varied. It becomes
the same `Explain` that the parser makes; text is written only to be stored and shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from sxq import language
from sxq.errors import InvalidValue, ModelError
from sxq.language import statements as st
from sxq.values.result import Result, Table

if TYPE_CHECKING:
    from sxq.connection import Connection

FLAGS = ("factual", "counterfactual")
KINDS = ("node", "graph")  # of targets
COMPARISONS = ("<", "<=", ">", ">=", "=", "!=")
Where = str | tuple[str, str, float]  # "factual", "not counterfactual", ("size", "<=", 12)


@dataclass(frozen=True)
class ExplainQuery:
    """An EXPLAIN that is being put together; `run` asks it. `con.explain` begins one.

        question = con.explain(nodes=[19, 28]).using("gcn").optimize("fdl+", "fdl-", "conc")
        few, many = question.top(3).run(), question.top(20).seed(1).run()

    `str(question)` is its text in the language. Values are checked when it is asked, as those of a text are.
    """

    _con: "Connection"
    _keys: tuple[Any, ...] | st.Subquery
    _model: str = ""
    _measures: tuple[str, ...] = ()
    _clauses: tuple[tuple[str, Any], ...] = ()  # the other fields of `Explain`, as they were given

    def using(self, model: str, graph: str | None = None) -> "ExplainQuery":
        """USING MODEL model [ON GRAPH graph]; of a model of graphs `graph` is a collection."""
        return replace(self, _model=model)._with(graph=graph)

    def optimize(self, *measures: str) -> "ExplainQuery":
        """OPTIMIZE measure, ...: what the members are compared by, such as "fdl+", "fdl-" and "conc"."""
        return replace(self, _measures=tuple(name.lower() for name in measures))

    def by(self, generator: str, **options: Any) -> "ExplainQuery":
        """BY generator (option = value, ...); called again, the next generator beside it."""
        call = st.GeneratorCall(
            generator.lower(), tuple((name, _plain(value)) for name, value in options.items())
        )
        return self._with(generators=(*self._given("generators"), call))

    def where(self, *conditions: Where) -> "ExplainQuery":
        """WHERE condition AND ...: "factual", "not counterfactual", or ("size", "<=", 12)."""
        return self._with(where=(*self._given("where"), *map(_condition, conditions)))

    def directed(self) -> "ExplainQuery":
        """EDGES DIRECTED: explain by single directions, also where the graph is undirected."""
        return self._with(directed=True)

    def diversify(self, alpha: float | None = None) -> "ExplainQuery":
        """DIVERSIFY [ALPHA alpha]: members that cover many nodes (1) and differ from each other (0)."""
        return self._with(diversify=st.Diversify(_plain(alpha)))

    def jointly(self) -> "ExplainQuery":
        """JOINTLY: one answer of k members for all targets together."""
        return self._with(jointly=True)

    def top(self, k: int) -> "ExplainQuery":
        """TOP k: members of each answer at most (10)."""
        return self._with(top=_plain(k))

    def epsilon(self, epsilon: float) -> "ExplainQuery":
        """EPSILON e: how much worse still counts as covered (0.1)."""
        return self._with(epsilon=_plain(epsilon))

    def budget(self, candidates: int) -> "ExplainQuery":
        """BUDGET n CANDIDATES: distinct candidates verified per target at most."""
        return self._with(budget=_plain(candidates))

    def within(self, seconds: float) -> "ExplainQuery":
        """WITHIN t SECONDS, for the whole question; what is found by then is the answer."""
        return self._with(within=_plain(seconds))

    def seed(self, seed: int) -> "ExplainQuery":
        """SEED n: where every random choice starts (0)."""
        return self._with(seed=_plain(seed))

    def into(self, table: str) -> "ExplainQuery":
        """INTO table: also create a table of the answers."""
        return self._with(into=table)

    def run(self) -> Result:
        """Ask: the same as `Connection.execute` of its text."""
        return cast(Result, self._con.run(self.statement))

    def plan(self) -> Table:
        """PLAN EXPLAIN: what would be done; `print` it."""
        return self._con.run(st.PlanExplain(self.statement))

    def profile(self) -> Table:
        """PROFILE EXPLAIN: ask, and see counts and times by operator."""
        return self._con.run(st.ProfileExplain(self.statement))

    @property
    def statement(self) -> st.Explain:
        """What the parser would make of its text; raises InvalidValue while `using` or `optimize` is missing."""
        if not self._model or not self._measures:
            missing = "using(model)" if not self._model else 'optimize("fdl+", "fdl-", "conc")'
            raise InvalidValue(f"the question is not finished; add .{missing}")
        statement = st.Explain(self._keys, self._model, self._measures, **dict(self._clauses))
        return replace(statement, text=language.write(statement))

    def __str__(self) -> str:
        return self.statement.text

    def _given(self, clause: str) -> tuple:
        return dict(self._clauses).get(clause, ())

    def _with(self, **clause: Any) -> "ExplainQuery":
        return replace(self, _clauses=tuple({**dict(self._clauses), **clause}.items()))


def ask(
    con: "Connection",
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    kind: str,
    **targets: Any,
) -> ExplainQuery:
    """The beginning of a question, by exactly one of what `Connection.explain` takes; raises InvalidValue."""
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) != 1:
        *others, last = (f"{name}=" for name in targets)
        raise InvalidValue(
            f"explain takes one of {', '.join(others)} and {last}, found {', '.join(given) or 'none'}"
        )
    if kind not in KINDS:
        raise InvalidValue(
            f"kind={kind!r}; expected {' or '.join(map(repr, KINDS))}: what the query finds"
        )
    ((name, value),) = given.items()
    if name == "query":
        return _of_kind(kind, ExplainQuery(con, language.subquery(value, parameters)))
    kind = name.removesuffix("s")
    if name == kind:
        return _of_kind(kind, ExplainQuery(con, (_plain(value),)))
    if isinstance(value, str):
        raise InvalidValue(
            f"{name}={value!r}; expected a list of keys (one key is {kind}=, a SELECT is query=)"
        )
    return _of_kind(kind, ExplainQuery(con, tuple(map(_plain, _plain(value)))))


def _of_kind(kind: str, question: ExplainQuery) -> ExplainQuery:
    return question if kind == "node" else question._with(kind=kind)


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
    output: str = "logits",
    budget: int | None = None,
    within: float | None = None,
    seed: int = 0,
    directed: bool = False,
) -> Result:
    """Explain one node (or a list of nodes) of a PyG `data` in one call; stores nothing.

    Without `node` the model is one of whole graphs, and `data` the graph to be explained, or a sequence of graphs.

    model     any torch.nn.Module with forward(x, edge_index, ...), of graphs forward(x, edge_index, ..., batch); it is
              left as it is
    k         members of each skyline at most;  epsilon  of the dominance, 0 or more
    optimize  measures, by name;  by  generators, by name, or a mapping from names to options (default: the engine's)
    where     what every member must be: "factual", "not counterfactual", ("size", "<=", 12), ...
    diversify  members that differ from each other; a number from 0 to 1 is its ALPHA
    jointly   one answer of k members for all targets together
    budget    distinct candidates verified per target;  within  seconds for the call
    Returns a `Result`; raises what `Connection.execute` raises.
    """
    from sxq.connection import Connection

    with Connection() as con:
        question = _targets(con, model, data, _plain(node), output)
        question = question.using("model").optimize(*optimize).where(*where).top(k).epsilon(epsilon)
        question = question.seed(seed)._with(
            directed=directed, jointly=jointly, budget=_plain(budget), within=_plain(within)
        )
        for name, options in (by if isinstance(by, Mapping) else dict.fromkeys(by, {})).items():
            question = question.by(name, **options)
        if diversify is not False:
            question = question.diversify(None if diversify is True else diversify)
        return question.run()


def _targets(con: "Connection", model, data, node: Any, output: str) -> ExplainQuery:
    """What `explain` is asked about, registered."""
    if hasattr(data, "forward"):
        raise InvalidValue("the data are a model; expected explain(model, data, node)")
    try:
        if node is None:
            graphs = data if isinstance(data, Sequence) else [data]
            con.register_graphs("graphs", graphs)
            con.register_model("model", model, graphs="graphs", output=output)
            return con.explain(graphs=range(len(graphs)))
        con.register_graph("graph", data)
        con.register_model("model", model, "graph", output)
    except ModelError as error:
        meant = (
            "without node=, data is one graph to classify, or several"
            if node is None
            else "with node=, the model says something of every node; for a model of whole graphs leave it out"
        )
        error.args = (f"{error} ({meant})",)
        raise
    return con.explain(
        nodes=node if isinstance(node, Iterable) and not isinstance(node, str) else [node]
    )


def _condition(condition: Where) -> st.Condition:
    """A condition as the parser makes it, or InvalidValue."""
    if isinstance(condition, str):
        negated, flag = (
            condition.lower().startswith("not "),
            condition.lower().removeprefix("not ").strip(),
        )
        if flag in FLAGS:
            return st.Condition(flag, "is", not negated)
    elif isinstance(condition, tuple) and len(condition) == 3 and condition[1] in COMPARISONS:
        return st.Condition(condition[0].lower(), condition[1], _plain(condition[2]))
    raise InvalidValue(
        f"condition {condition!r}; expected 'factual', 'not counterfactual' or ('size', '<=', 12)"
    )


def _plain(value: Any) -> Any:
    """A scalar or an array of numpy or torch as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value
