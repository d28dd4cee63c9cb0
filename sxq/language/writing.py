"""From a statement back to text: a query built in Python is stored and shown in this form.

`parse(text(statement))` is the statement again (except for its `text`), so a stored query can be run as it stands.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from sxq.language.statements import Condition, Explain, GeneratorCall, Parameter, Subquery, Units

Name = Callable[[str], str]  # a name as text, quoted where it must be
_BARE = re.compile(r"[^\W\d]\w*")
_MEASURE = re.compile(r"[^\W\d]\w*[+-]?")


def text(statement: Explain, reserved: frozenset[str] = frozenset()) -> str:
    """EXPLAIN with its clauses, in the order of the manual; names that are `reserved` words are quoted."""
    return " ".join(_clauses(statement, reserved))


def _clauses(s: Explain, reserved: frozenset[str]) -> Iterator[str]:
    def name(value: str) -> str:
        return value if _BARE.fullmatch(value) and value.upper() not in reserved else _quoted(value)

    def measure(value: str) -> str:
        return (
            value if _MEASURE.fullmatch(value) and value.upper() not in reserved else _quoted(value)
        )

    pairs = isinstance(s.keys, tuple) and any(isinstance(key, tuple) for key in s.keys)
    own_types = pairs and s.kind != "link"
    of_type = "" if s.node_type is None or own_types else f" OF TYPE {_type(s.node_type, name)}"
    yield f"EXPLAIN {_asked(s, name)}{of_type} USING MODEL {name(s.model)}"
    if s.graph is not None:
        yield f"ON GRAPH{'S' if s.kind == 'graph' else ''} {name(s.graph)}"
    for word, value in (("FOR CLASS", s.for_class), ("AGAINST", s.against)):
        if value is not None:
            yield f"{word} {literal(value)}"
    if s.over != "edges":
        yield f"OVER {s.over.upper()}"
    yield f"OPTIMIZE {', '.join(map(measure, s.measures))}"
    if s.generators:
        yield f"BY {', '.join(map(_generator, s.generators))}"
    if s.where:
        yield f"WHERE {' AND '.join(_condition(condition, measure) for condition in s.where)}"
    for word, edges in (("INCLUDE", s.include), ("EXCLUDE", s.exclude)):
        if edges:
            yield f"{word} {_edges(edges, name)}"
    if s.anywhere:
        yield "ANYWHERE"
    if s.smallest:
        yield f"SMALLEST {s.smallest.upper()}"
    if s.directed:
        yield "EDGES DIRECTED"
    if s.diversify:
        yield (
            "DIVERSIFY"
            if s.diversify.alpha is None
            else f"DIVERSIFY ALPHA {literal(s.diversify.alpha)}"
        )
    if s.without_itself:
        yield "WITHOUT ITSELF"
    if s.jointly:
        yield "JOINTLY"
    for word, value, unit in (
        ("TOP", s.top, ""),
        ("EPSILON", s.epsilon, ""),
        ("BUDGET", s.budget, " CANDIDATES"),
        ("WITHIN", s.within, " SECONDS"),
        ("SEED", s.seed, ""),
    ):
        if value is not None:
            yield f"{word} {literal(value)}{unit}"
    if s.most_targets is not None:
        yield f"TARGETS {literal(s.most_targets)}"
    if s.labels is not None:
        yield f"LABELS {name(s.labels)}"
    if s.into is not None:
        yield f"INTO {name(s.into)}"


def _asked(s: Explain, name: Name) -> str:
    """What is explained: the targets, or a class."""
    kind = s.kind.upper()
    if s.of_class is None:
        return _links(s.keys, name) if s.kind == "link" else _targets(kind, s.keys, name)
    if s.keys is None:
        return f"CLASS {literal(s.of_class)}"
    return f"CLASS {literal(s.of_class)} FROM {_pool(kind, s.keys, name)}"


def _pool(kind: str, keys: Any, name: Name) -> str:
    """The targets of FROM, which are never in the singular."""
    match keys:
        case (key,):
            return f"{kind}S {_key(key, name)}"
    return _targets(kind, keys, name)


def _targets(kind: str, keys: Any, name: Name) -> str:
    match keys:
        case Subquery(sql):
            return f"{kind}S ({sql})"
        case Parameter():
            return f"{kind}S ?"
        case (key,):
            return f"{kind} {_key(key, name)}"
    types = {key[0] for key in keys if _is_pair(key)}
    if len(types) == 1 and not all(map(_is_pair, keys)):  # targets are of one type
        bare = ", ".join(_key(key[1] if _is_pair(key) else key, name) for key in keys)
        return f"{kind}S {bare} OF TYPE {name(types.pop())}"
    return f"{kind}S {_listed(keys, name)}"


def _links(links: Any, name: Name) -> str:
    match links:
        case tuple():
            s = "" if len(links) == 1 else "S"
            # The types of both ends follow from that of the link.
            ends = [[end[1] if _is_pair(end) else end for end in link] for link in links]
            written = ", ".join(f"{_key(u, name)} TO {_key(v, name)}" for u, v in ends)
            return f"LINK{s} {written}"
    return _targets("LINK", links, name)


def _is_pair(key: Any) -> bool:
    """Whether a key comes with the type of its node."""
    return isinstance(key, tuple) and len(key) == 2


def _type(given: str | tuple[str, str, str], name: Name) -> str:
    """The type of nodes, a relation, or an edge type."""
    if isinstance(given, str):
        return name(given)
    source, relation, head = map(name, given)
    return f"{source} -{relation}-> {head}"


def _edges(edges: Any, name: Name) -> str:
    match edges:
        case Subquery(sql):
            return f"({sql})"
        case Parameter():
            return "?"
        case Units(over, listed, node_type):
            words = _listed(listed, name) if isinstance(listed, tuple) else _edges(listed, name)
            of_type = "" if node_type is None else f" OF TYPE {name(node_type)}"
            return f"{over.upper()} {words}{of_type}"
    return ", ".join(f"{_key(source, name)}->{_key(head, name)}" for source, head in edges)


def _listed(keys: tuple[Any, ...], name: Name) -> str:
    """Keys of nodes; those without a type come last, as OF TYPE is that of all keys before it."""
    own = sorted(keys, key=lambda key: not isinstance(key, tuple))
    types = {key[0] if isinstance(key, tuple) else None for key in own}
    if len(types) == 1 and (node_type := types.pop()) is not None:
        return f"{', '.join(_key(key[1], name) for key in own)} OF TYPE {name(node_type)}"
    return ", ".join(_key(key, name) for key in own)


def _key(key: Any, name: Name) -> str:
    """A key of any type: an integer or text, or one of these with the type of its node."""
    if isinstance(key, tuple) and len(key) == 2:
        return f"{_key(key[1], name)} OF TYPE {name(key[0])}"
    return literal(
        key if isinstance(key, int | str) else key.hex() if isinstance(key, bytes) else str(key)
    )


def _generator(call: GeneratorCall) -> str:
    options = ", ".join(f"{name} = {literal(value)}" for name, value in call.options)
    return f"{call.name} ({options})" if options else call.name


def _condition(condition: Condition, measure) -> str:
    if condition.op == "is":
        return condition.name.upper() if condition.value else f"NOT {condition.name.upper()}"
    return f"{measure(condition.name)} {condition.op} {literal(condition.value)}"


def literal(value: Any) -> str:
    """A value as the language writes it."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
