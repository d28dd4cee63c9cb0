"""From placeholders to values: the `?` and `$name` of statements replaced by what the caller passed.

Values of numpy and torch become Python's own, by their methods: neither library is imported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from sxq.errors import InvalidValue
from sxq.language.lexemes import placeholders
from sxq.language.statements import Explain, Parameter, Predict, Sql, Statement, Subquery, Units

EDGES = ("include", "exclude")  # clauses of EXPLAIN that list edges


def parameters(sql: str, first: int = 0) -> tuple[Any, ...]:
    """The placeholders of SQL text in the form of `Subquery.parameters`; its first `?` is number `first`."""
    names = [placeholder.text[1:].lower() for placeholder in placeholders(sql)]
    if any(names):
        return tuple((name, parameter(name)) for name in dict.fromkeys(names))
    return tuple(Parameter(first + i) for i in range(len(names)))


def parameter(name: str) -> Parameter:
    """`$name` by name, in any case as in DuckDB; `$1` is the first value by position."""
    by_position = name.isdecimal() and len(name) < 5 and int(name) > 0
    return Parameter(int(name) - 1 if by_position else name.lower())


def bind(statements: Sequence[Statement], values: Any = None) -> list[Statement]:
    """The statements with their placeholders replaced.

    `values` is a mapping for `$name`, or a sequence for `?`: each statement takes its own, in order.
    Raises InvalidValue for a wrong number of values, a missing or unknown name, or a value of the wrong type.
    """
    return _bind(statements, values)


def _bind(nodes: Sequence[Any], values: Any) -> list[Any]:
    """The same for statements, or for parts of them."""
    if isinstance(values, Mapping):
        return _bind_by_name(nodes, {str(name).lower(): value for name, value in values.items()})
    return _bind_by_position(
        nodes, _sequence(() if values is None else values, "the values of a query")
    )


def subquery(sql: str, values: Any = None) -> Subquery:
    """The sub-query of SQL text with its values; raises InvalidValue where they do not fit its placeholders."""
    return _bind([Subquery(sql.strip(), parameters(sql))], values)[0]


def arguments(query: Sql | Subquery) -> list[Any] | dict[str, Any]:
    """The bound values of SQL text in the form that DuckDB takes: by position or by name."""
    named = query.parameters and isinstance(query.parameters[0], tuple)
    return dict(query.parameters) if named else list(query.parameters)


def _bind_by_name(nodes: Sequence[Any], values: dict[str, Any]) -> list[Any]:
    wanted = {key for node in nodes for key in _keys(node)}
    if any(isinstance(key, int) for key in wanted):
        raise InvalidValue(
            "the query has placeholders by position, but the values are by name: pass a list"
        )
    if wanted != set(values):
        raise InvalidValue(
            f"the query has {_named(wanted, 'placeholder')}, but {_named(values, 'value')} were given"
        )
    return [_bound(node, values.__getitem__) for node in nodes]


def _bind_by_position(nodes: Sequence[Any], values: list[Any]) -> list[Any]:
    keys: list[set[Any]] = [set(_keys(node)) for node in nodes]
    names = sorted(key for key in set().union(*keys) if isinstance(key, str))
    if names:
        raise InvalidValue(f"no value for ${names[0]}: pass a mapping from names to values")
    counts = [max(needed, default=-1) + 1 for needed in keys]
    if sum(counts) != len(values):
        raise InvalidValue(
            f"the query has {sum(counts)} placeholder{'s' * (sum(counts) != 1)}, but "
            f"{len(values)} value{' was' if len(values) == 1 else 's were'} given"
        )
    left = iter(values)
    taken = [[next(left) for _ in range(count)] for count in counts]
    return [_bound(node, own.__getitem__) for node, own in zip(nodes, taken)]


def _named(names: Iterable[Any], noun: str) -> str:
    names = sorted(names)
    listed = f" ({', '.join('$' + name for name in names)})" if names else ""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}{listed}"


def _keys(node: Any) -> Iterable[int | str]:
    """The key of every placeholder in a statement."""
    if isinstance(node, Parameter):
        yield node.key
    elif isinstance(node, (tuple, list)):
        for part in node:
            yield from _keys(part)
    elif is_dataclass(node):
        for field in fields(node):
            yield from _keys(getattr(node, field.name))


def _bound(node: Any, value_of: Callable) -> Any:
    """A copy of a statement, or of a part of one, with values in place of its placeholders."""
    match node:
        case Parameter(key):
            return _literal(value_of(key))
        case Sql() | Subquery():
            return replace(node, parameters=_sql_values(node.parameters, value_of))
        case Explain(keys=Parameter(key)) | Predict(keys=Parameter(key)):
            if node.kind == "link":
                links = _pairs("the links of LINKS ?", value_of(key))
                return _bound(replace(node, keys=links), value_of)
            listed = _sequence(value_of(key), "the keys of NODES ?")
            return _bound(replace(node, keys=tuple(map(_key, listed))), value_of)
        case Explain(keys=tuple() as keys) | Predict(keys=tuple() as keys) if any(
            isinstance(key, Parameter) for key in keys
        ):
            own = tuple(_given(key, value_of) for key in keys)
            return _bound(replace(node, keys=own), value_of)
        case (
            Explain(kind="link", keys=tuple() as keys) | Predict(kind="link", keys=tuple() as keys)
        ) if _open(keys):
            own = tuple(
                tuple(
                    _key(value_of(end.key)) if isinstance(end, Parameter) else end for end in link
                )
                for link in keys
            )
            return _bound(replace(node, keys=own), value_of)
        case Explain() if any(_open(getattr(node, clause)) for clause in EDGES):
            include = _edges("include", node.include, value_of)
            exclude = _edges("exclude", node.exclude, value_of)
            return _bound(replace(node, include=include, exclude=exclude), value_of)
        case Units(over, listed) if not isinstance(listed, Subquery):
            return replace(node, listed=_units(over, listed, value_of))
        case tuple():
            return tuple(_bound(part, value_of) for part in node)
        case list():  # of an option
            return [_bound(part, value_of) for part in node]
    if is_dataclass(node) and not isinstance(node, type):
        parts = {field.name: _bound(getattr(node, field.name), value_of) for field in fields(node)}
        return replace(node, **parts)
    return node


def _open(edges: Any) -> bool:
    """Whether edges of INCLUDE or EXCLUDE, listed or as a whole, are placeholders."""
    return isinstance(edges, tuple | Parameter) and next(iter(_keys(edges)), None) is not None


def _edges(clause: str, edges: Any, value_of: Callable) -> Any:
    """Edges of INCLUDE or EXCLUDE with keys in place of placeholders."""
    if isinstance(edges, Subquery | Units):
        return edges
    if isinstance(edges, Parameter):
        return _pairs(f"the edges of {clause.upper()} ?", value_of(edges.key))
    return tuple(tuple(_given(key, value_of) for key in pair) for pair in edges)


def _pairs(name: str, values: Any) -> tuple[tuple[Any, Any], ...]:
    """Pairs of keys that a placeholder stands for."""
    pairs = [tuple(_sequence(pair, name)) for pair in _sequence(values, name)]
    if wrong := [pair for pair in pairs if len(pair) != 2]:
        raise InvalidValue(f"{name} are pairs of keys, such as (3, 4); found {wrong[0]!r}")
    return tuple((_key(first), _key(second)) for first, second in pairs)


def _units(over: str, listed: Any, value_of: Callable) -> tuple[Any, ...]:
    """Nodes or features of INCLUDE or EXCLUDE with values in place of placeholders."""
    if isinstance(listed, Parameter):
        return tuple(map(_key, _sequence(value_of(listed.key), f"the {over} of {over.upper()} ?")))
    return tuple(_given(one, value_of) for one in listed)


def _sql_values(parameters: tuple[Any, ...], value_of: Callable) -> tuple[Any, ...]:
    """Values of any type, for DuckDB to judge; never a tuple, which would read as a (name, value) pair."""

    def value(parameter: Parameter) -> Any:
        plain = _plain(value_of(parameter.key))
        return list(plain) if isinstance(plain, tuple) else plain

    return tuple(
        (each[0], value(each[1])) if isinstance(each, tuple) else value(each) for each in parameters
    )


def _given(key: Any, value_of: Callable) -> Any:
    """A key, or a pair of its type and a key, with a value in place of a placeholder."""
    if isinstance(key, tuple) and len(key) == 2:
        return key[0], _given(key[1], value_of)
    return _key(value_of(key.key)) if isinstance(key, Parameter) else key


def _key(value: Any) -> Any:
    """A key of any type; those that no literal writes as they are go to the graph unchanged.

    A pair (node type, key) is the name of a node of a heterogeneous graph.
    """
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        return value[0], _key(value[1])
    return value if isinstance(value, UUID | date | time | Decimal | bytes) else _literal(value)


def _literal(value: Any) -> bool | int | float | str:
    """A value that could be written in a statement; for an array of one element, that element."""
    plain = _plain(value)
    while isinstance(plain, list) and len(plain) == 1 and plain is not value:
        plain = plain[0]
    if not isinstance(plain, (bool, int, float, str)):
        kind = type(value).__name__
        raise InvalidValue(
            f"a placeholder stands for a number, text or a boolean, not for {kind}; "
            "only NODES ?, LINKS ?, INCLUDE ? and EXCLUDE ? take a list"
        )
    return plain


def _sequence(values: Any, role: str) -> list[Any]:
    plain = _plain(values)
    if isinstance(plain, (str, bytes, Mapping)) or not isinstance(plain, Iterable):
        raise InvalidValue(f"{role} are a list, not {type(values).__name__}")
    return list(plain)


def _plain(value: Any) -> Any:
    """A scalar or an array of numpy or torch as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value
