"""`ExplainQuery`: an EXPLAIN put together in Python, with a method for every clause.

    con.explain(node=42).using("gcn").optimize("fdl+", "conc").top(5).run()

A query is a value: each method returns a new one, so that a common beginning can be kept and varied. It becomes
the same `Explain` that the parser makes; its text is written only to be stored and shown.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sxq import language
from sxq.errors import InvalidValue
from sxq.language import statements as st
from sxq.values.result import Result, Table

FLAGS = ("factual", "counterfactual")
CONDITIONS = (*FLAGS, "connected")
UNITS = ("edges", "nodes", "features")
KINDS = ("node", "graph", "link")  # of targets
COMPARISONS = ("<", "<=", ">", ">=", "=", "!=")
Where = str | tuple[str, str, float]  # "factual", "not counterfactual", ("size", "<=", 12)


@dataclass(frozen=True)
class ExplainQuery:
    """An EXPLAIN under construction: `con.explain` starts one, and `run` runs it.

        query = con.explain(nodes=[19, 28]).using("gcn").optimize("fdl+", "fdl-", "conc")
        few = query.top(3).run()
        many = query.top(20).seed(1).run()

    `str(query)` is its text in the language. Values are checked when it runs, as those of a text are.
    """

    _run: Callable[[st.Statement], Table]  # `Connection.run`
    _keys: tuple[Any, ...] | st.Subquery | None
    _model: str = ""
    _measures: tuple[str, ...] = ()
    _clauses: tuple[tuple[str, Any], ...] = ()  # the other fields of `Explain`, as they were given

    def using(self, model: str, graph: str | None = None) -> "ExplainQuery":
        """USING MODEL model [ON GRAPH graph]; for a graph classifier, `graph` is a collection."""
        return replace(self, _model=model)._with(graph=graph)

    def optimize(self, *measures: str) -> "ExplainQuery":
        """OPTIMIZE measure, ...: the measures that compare members, such as "fdl+" and "conc"."""
        return replace(self, _measures=tuple(name.lower() for name in measures))

    def for_class(self, c: int) -> "ExplainQuery":
        """FOR CLASS c: explain class c; if the model predicts another class, the question is "why not c?".

        For a multilabel model c is a label, for a regression a column of the output.
        """
        return self._with(for_class=plain(c))

    def against(self, d: int) -> "ExplainQuery":
        """AGAINST d: "why this class rather than d?"."""
        return self._with(against=plain(d))

    def over(self, units: str) -> "ExplainQuery":
        """OVER units: explain by "edges" (the default), by "nodes" or by "features"."""
        if units.lower() not in UNITS:
            raise InvalidValue(f"over({units!r}); expected 'edges', 'nodes' or 'features'")
        return self._with(over=units.lower())

    def by(self, generator: str, **options: Any) -> "ExplainQuery":
        """BY generator (option = value, ...); a second call adds a second generator."""
        given = tuple((name, plain(value)) for name, value in options.items())
        call = st.GeneratorCall(generator.lower(), given)
        return self._with(generators=(*self._given("generators"), call))

    def where(self, *conditions: Where) -> "ExplainQuery":
        """WHERE condition AND ...: "factual", "not counterfactual", or ("size", "<=", 12)."""
        return self._with(where=(*self._given("where"), *map(_condition, conditions)))

    def include(self, *held: Any, units: str = "edges", query: str | None = None) -> "ExplainQuery":
        """INCLUDE u->v, ...: edges that every member holds, as pairs of keys, or a SELECT of them.

        With units="nodes" these are nodes by key, with units="features" features by name or number.
        """
        return self._with(include=_restricted("include", held, units, query))

    def exclude(self, *held: Any, units: str = "edges", query: str | None = None) -> "ExplainQuery":
        """EXCLUDE u->v, ...: edges, or nodes or features, that no member holds; written as in `include`."""
        return self._with(exclude=_restricted("exclude", held, units, query))

    def anywhere(self) -> "ExplainQuery":
        """ANYWHERE: members need not be connected."""
        return self._with(anywhere=True)

    def smallest(self, flag: str) -> "ExplainQuery":
        """SMALLEST flag: the smallest "factual" or "counterfactual" member, and what is proved."""
        if flag.lower() not in FLAGS:
            raise InvalidValue(f"smallest({flag!r}); expected 'factual' or 'counterfactual'")
        return self._with(smallest=flag.lower())

    def directed(self) -> "ExplainQuery":
        """EDGES DIRECTED: explain by directed edges, even on an undirected graph."""
        return self._with(directed=True)

    def diversify(self, alpha: float | None = None) -> "ExplainQuery":
        """DIVERSIFY [ALPHA alpha]: members that cover many nodes (1) and differ from each other (0)."""
        return self._with(diversify=st.Diversify(plain(alpha)))

    def without_itself(self) -> "ExplainQuery":
        """WITHOUT ITSELF: the edge between the ends of a link, if there is one, is removed from every graph first."""
        return self._with(without_itself=True)

    def jointly(self) -> "ExplainQuery":
        """JOINTLY: one answer of k members for all targets together."""
        return self._with(jointly=True)

    def top(self, k: int) -> "ExplainQuery":
        """TOP k: at most k members in each answer (10)."""
        return self._with(top=plain(k))

    def epsilon(self, epsilon: float) -> "ExplainQuery":
        """EPSILON e: a member covers a candidate if its scores, times 1 + e, reach the candidate's (0.1)."""
        return self._with(epsilon=plain(epsilon))

    def budget(self, candidates: int) -> "ExplainQuery":
        """BUDGET n CANDIDATES: verify at most n distinct candidates per target."""
        return self._with(budget=plain(candidates))

    def within(self, seconds: float) -> "ExplainQuery":
        """WITHIN t SECONDS, for the whole query; the answer is chosen from the candidates found."""
        return self._with(within=plain(seconds))

    def seed(self, seed: int) -> "ExplainQuery":
        """SEED n: the seed of every random choice (0)."""
        return self._with(seed=plain(seed))

    def into(self, table: str) -> "ExplainQuery":
        """INTO table: also create a table of the answers."""
        return self._with(into=table)

    def targets(self, most: int) -> "ExplainQuery":
        """TARGETS n: at most n targets of the class, chosen by the seed (50)."""
        return self._with(most_targets=plain(most))

    def labels(self, name: str) -> "ExplainQuery":
        """LABELS name: what tells the nodes of a pattern apart, a node column or "prediction"."""
        return self._with(labels=name)

    def run(self) -> Result:
        """Run it: the same as `Connection.query` of its text."""
        return cast(Result, self._run(self.statement))

    def plan(self) -> Table:
        """PLAN EXPLAIN: the plan, without running it; `print` it."""
        return self._run(st.PlanExplain(self.statement))

    def profile(self) -> Table:
        """PROFILE EXPLAIN: run it, and show counts and times by operator."""
        return self._run(st.ProfileExplain(self.statement))

    @property
    def statement(self) -> st.Explain:
        """The statement as the parser makes it; raises InvalidValue without `using` or `optimize`."""
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


def start(
    run: Callable[[st.Statement], Table],
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    kind: str,
    **targets: Any,
) -> ExplainQuery:
    """The start of a query with exactly one of the `targets` of `Connection.explain`.

    run  runs a statement, as `Connection.run` does

    Raises InvalidValue.
    """
    of_class = targets.pop("class_", None)
    node_type = targets.pop("node_type", None)
    edge_type = targets.pop("edge_type", None)
    given = {name: value for name, value in targets.items() if value is not None}
    if of_class is not None:
        return _of_class(run, plain(of_class), parameters, kind, **given)
    if len(given) != 1:
        *others, last = (f"{name}=" for name in targets)
        raise InvalidValue(
            f"explain takes one of {', '.join(others)} and {last}, found {', '.join(given) or 'none'}"
        )
    if kind not in KINDS:
        raise InvalidValue(
            f"kind={kind!r}; expected {' or '.join(map(repr, KINDS))}, the kind of query's keys"
        )
    ((name, value),) = given.items()
    if edge_type is not None and "link" not in (name, name.removesuffix("s"), kind):
        raise InvalidValue(f"edge_type={edge_type!r} is of links; of nodes say node_type=")
    of_type = node_type if edge_type is None else _edge_type(edge_type)
    if of_type is not None:
        return start(run, parameters, kind, **given)._with(node_type=of_type)
    if name == "query":
        return _of_kind(kind, ExplainQuery(run, language.subquery(value, parameters)))
    kind = name.removesuffix("s")
    if kind == "link":
        links = (value,) if name == kind else value
        return _of_kind(kind, ExplainQuery(run, _pairs(name, links)))
    if name == kind:
        return _of_kind(kind, ExplainQuery(run, (plain(value),)))
    if isinstance(value, str):
        raise InvalidValue(
            f"{name}={value!r}; expected a list of keys (one key is {kind}=, a SELECT is query=)"
        )
    return _of_kind(kind, ExplainQuery(run, tuple(map(plain, plain(value)))))


def _edge_type(given: Any) -> str | tuple[str, ...]:
    """A relation, or the three parts of an edge type."""
    if isinstance(given, str):
        return given
    if isinstance(given, tuple | list) and len(given) == 3:
        return tuple(map(str, given))
    raise InvalidValue(
        f"edge_type={given!r}; expected a relation, or (source type, relation, type of the head)"
    )


def _of_class(
    run: Callable[[st.Statement], Table],
    of_class: Any,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    kind: str,
    **pool: Any,
) -> ExplainQuery:
    """The start of EXPLAIN CLASS, with the targets of FROM if there is one."""
    if wrong := {"node", "graph", "link", "links"} & set(pool):
        name = min(wrong)
        raise InvalidValue(
            f"class_={of_class!r} with {name}=; the targets of a class come from {name}s= or query="
        )
    if not pool:
        return ExplainQuery(run, None)._with(of_class=of_class)
    return start(run, parameters, kind, **pool)._with(of_class=of_class)


def _of_kind(kind: str, query: ExplainQuery) -> ExplainQuery:
    """A query of nodes, which is the default, or of graphs."""
    return query if kind == "node" else query._with(kind=kind)


def _condition(condition: Where) -> st.Condition:
    """A condition as the parser makes it, or InvalidValue."""
    if isinstance(condition, str):
        negated = condition.lower().startswith("not ")
        flag = condition.lower().removeprefix("not ").strip()
        if flag in CONDITIONS:
            return st.Condition(flag, "is", not negated)
    elif isinstance(condition, tuple) and len(condition) == 3 and condition[1] in COMPARISONS:
        return st.Condition(condition[0].lower(), condition[1], plain(condition[2]))
    raise InvalidValue(
        f"condition {condition!r}; expected 'factual', 'not counterfactual' or ('size', '<=', 12)"
    )


def _restricted(clause: str, held: Sequence[Any], units: str, query: str | None) -> Any:
    """The units of a clause as the parser makes them, or InvalidValue."""
    if units not in UNITS:
        raise InvalidValue(f"units={units!r}; expected 'edges', 'nodes' or 'features'")
    if units == "edges":
        return _edges(clause, held, query)
    if bool(held) == (query is not None):
        such = "keys, such as 7" if units == "nodes" else "names or numbers, such as 'amount' or 3"
        raise InvalidValue(f"{clause} of {units} takes {such}, or query='SELECT ...'")
    return st.Units(units, tuple(map(plain, held)) if query is None else language.subquery(query))


def _edges(clause: str, edges: Sequence[Any], query: str | None) -> Any:
    """The edges of a clause as the parser makes them, or InvalidValue."""
    if bool(edges) == (query is not None):
        raise InvalidValue(f"{clause} takes edges, such as (3, 4), or query='SELECT ...'")
    if query is not None:
        return language.subquery(query)
    return _pairs(clause, edges)


def _pairs(name: str, given: Any) -> tuple[tuple[Any, Any], ...]:
    """Pairs of keys, or InvalidValue."""
    given = plain(given)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidValue(f"{name}={given!r}; expected pairs of keys, such as (3, 4)")
    pairs = [plain(pair) for pair in given]
    wrong = [pair for pair in pairs if not isinstance(pair, tuple | list) or len(pair) != 2]
    if wrong:
        raise InvalidValue(f"{name}({wrong[0]!r}); expected pairs of keys, such as (3, 4)")
    return tuple((plain(first), plain(second)) for first, second in pairs)


def plain(value: Any) -> Any:
    """A scalar or an array of numpy or torch as a Python value."""
    return value.tolist() if hasattr(value, "tolist") else value
