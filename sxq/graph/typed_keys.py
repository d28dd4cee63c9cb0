"""Keys of a heterogeneous graph: a node is named by its type and its key, which is unique in its type."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sxq.errors import GraphError, shown
from sxq.graph.keys import Keys, kind_word, plain
from sxq.graph.types import GraphTypes


class TypedKey(NamedTuple):
    """The full name of a node of a heterogeneous graph."""

    node_type: str
    key: Any  # the user's

    def __str__(self) -> str:
        return f"{self.node_type} {self.key}"

    def __repr__(self) -> str:
        return f"{self.node_type} {shown(self.key)}"


def is_pair(key: Any) -> bool:
    """Whether a key is the full name of a node: a `TypedKey`, or a plain pair (node type, key)."""
    return isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str)


def bare(key: Any) -> Any:
    """A key without the type of its node."""
    return key.key if isinstance(key, TypedKey) else key


def type_word(node_type: str) -> str:
    """The name of a node type as a statement writes it."""
    bare = re.fullmatch(r"[^\W\d]\w*", node_type)
    return node_type if bare else '"' + node_type.replace('"', '""') + '"'


class TypedKeys:
    """Names of n nodes that are unique within each type; None: numbers within the type.

    Raises GraphError as `Keys` does, and if types have keys of different kinds.
    """

    def __init__(self, names: Sequence[Any] | None, types: GraphTypes):
        self.types = types
        self.parts: list[Keys | None] = [None] * len(types.node_types)
        self.names = None if names is None else list(map(plain, names))
        if self.names is None:
            return
        if len(self.names) != len(types.of_node):
            raise GraphError(f"{len(self.names)} keys for {len(types.of_node)} nodes")
        for number, name in enumerate(types.node_types):
            own = self.names[types.starts[number] : types.starts[number + 1]]
            self.parts[number] = Keys(own, len(own), f"nodes of type {name}")
        self._require_one_kind()

    def _require_one_kind(self) -> None:
        kinds = {
            name: part.kind
            for name, part in zip(self.types.node_types, self.parts)
            if part is not None and part.names
        }
        if len(set(kinds.values())) > 1:
            found = ", ".join(f"of {name} {kind_word(kind)}" for name, kind in kinds.items())
            raise GraphError(
                f"the keys are of several types ({found}); make them one type, such as text by a cast"
            )

    def key(self, position: int) -> Any:
        """The key of a node, without its type."""
        if self.names is not None:
            return self.names[position]
        return int(position - self.types.starts[self.types.of_node[position]])

    def place(self, key: Any, node_type: str | None) -> int:
        """The position of a key, of a pair (node type, key), or of a key that only one type has.

        Raises KeyError, whose text is a hint, and GraphError for a type that there is not.
        """
        found = self.places(key, node_type)
        if len(found) > 1:
            named = [self.types.node_types[self.types.of_node[place]] for place in found]
            raise KeyError(
                f": it is a key of {' and of '.join(named)}; say which, OF TYPE {type_word(named[0])}, "
                f"in Python {(named[0], key)!r}"
            )
        return found[0]

    def places(self, key: Any, node_type: str | None = None) -> list[int]:
        """The positions that a key may mean, at least one: one in each type that has it.

        Raises KeyError and GraphError as `place` does.
        """
        if is_pair(key):
            node_type, key = key
        if node_type is not None:
            number = self.types.number_of(node_type)
            return [int(self.types.starts[number]) + self._of_type(number, key)]
        found = []
        hints = []
        for number in range(len(self.parts)):
            try:
                found.append(int(self.types.starts[number]) + self._within(number, key))
            except KeyError as hint:
                hints.append(hint.args[0])
        if not found:
            raise KeyError(hints[0])
        return found

    def _of_type(self, number: int, key: Any) -> int:
        """`_within`, whose hint names the types that do have the key."""
        try:
            return self._within(number, key)
        except KeyError as hint:
            others = [
                name for other, name in enumerate(self.types.node_types) if self._has(other, key)
            ]
            also = f"; it is a key of type {' and of '.join(others)}" if others else ""
            raise KeyError(f"{hint.args[0]}{also}") from None

    def _has(self, number: int, key: Any) -> bool:
        try:
            self._within(number, key)
        except KeyError:
            return False
        return True

    def _within(self, number: int, key: Any) -> int:
        """The place of a key among the nodes of its type; raises KeyError."""
        part = self.parts[number]
        name = self.types.node_types[number]
        if part is not None:
            try:
                return part.place(key)
            except KeyError as hint:
                raise KeyError(f" of type {name}{hint.args[0]}") from None
        count = int(self.types.starts[number + 1] - self.types.starts[number])
        key = plain(key)
        if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < count:
            return key
        raise KeyError(f" of type {name}: keys are the integers 0 to {count - 1}")
