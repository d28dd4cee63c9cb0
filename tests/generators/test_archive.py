"""Hashes of subgraphs, the coarse front, and the survivors, against slow twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sxq.generators.search.archive import SURVIVORS, Archive, Members
from sxq.generators.search.hashes import SLOTS, HashSet
from sxq.scoring.dominance import GRID


def members(values: np.ndarray, explanatory: np.ndarray) -> Members:
    count = len(values)
    return Members(
        np.eye(count, count + 1, dtype=bool),
        np.zeros((count, 2)),
        values,
        explanatory,
        np.arange(count),
    )


def beaten(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((other >= one).all() and (other > one).any())


def ranks(rows: np.ndarray) -> list[int]:
    """Non-dominated ranks, peeled front by front."""
    left, rank, found = set(range(len(rows))), 0, [0] * len(rows)
    while left:
        front = {i for i in left if not any(beaten(rows[i], rows[j]) for j in left)}
        for i in front:
            found[i] = rank
        left, rank = left - front, rank + 1
    return found


@pytest.mark.slow
@settings(deadline=None)  # the twin is slow
@given(some.integers(1, 260), some.integers(0, 2**32 - 1))
def test_survivors_are_the_first_by_non_dominated_rank(count, seed):
    rng = np.random.default_rng(seed)
    values, explanatory = rng.integers(1, 60, (count, 3)) / GRID, rng.random(count) < 0.7
    archive = Archive(count + 1, 3)
    every = members(values, explanatory)
    archive.add(every[: count // 2])
    archive.survivors()
    archive.add(every[count // 2 :])
    rows = np.column_stack([np.rint(values * GRID), explanatory])
    _, first = np.unique(rows, axis=0, return_index=True)
    by_rank = dict(zip(map(bytes, rows[first]), ranks(rows[first])))
    kept = [by_rank[row.tobytes()] for row in rows[archive.survivors().ids]]
    assert (
        len(kept)
        == min(SURVIVORS, len(first))
        == len({row.tobytes() for row in rows[archive.survivors().ids]})
    )
    assert max(kept) <= sorted(by_rank.values())[len(kept) - 1]


def test_refining_tells_apart_what_was_one():
    values = np.array([[0.5, 0.5, 0.5], [0.5005, 0.4995, 0.5]])
    archive = Archive(3, 3)
    archive.add(members(values, np.ones(2, bool)))
    assert len(archive) == 1
    assert archive.refine() and archive.refine()
    archive.add(members(values, np.ones(2, bool)))
    assert len(archive) == 2
    while archive.refine():
        pass
    assert not archive.refine() and len(archive) == 2


@given(
    some.lists(some.lists(some.integers(0, 2**64 - 1), max_size=40), max_size=6),
    some.integers(1, 60),
    some.lists(some.integers(0, 2**64 - 1), max_size=40),
)
def test_hashes_are_a_set_whatever_their_slots(batches, low, asked):
    """`low` makes many hashes want the same slots."""
    hashes, twin = HashSet(), set()
    for batch in batches:
        batch = [
            each - each % low if each % 2 else each % (1 << 20) * SLOTS % 2**64 for each in batch
        ]
        assert hashes.add(np.array(batch, np.uint64)) == len(set(batch) - {0} - twin)
        twin |= set(batch) - {0}
        assert len(hashes) == len(twin)
        some_of_them = np.array([*batch, *asked, 0, *twin], np.uint64)
        assert hashes.has(some_of_them).tolist() == [each in twin for each in some_of_them.tolist()]


def test_hashes_grow():
    every = np.random.default_rng(0).integers(1, 2**63, 3 * SLOTS, dtype=np.uint64)
    hashes = HashSet()
    for part in np.split(every, 12):
        hashes.add(part)
    assert len(hashes) == len(set(every.tolist())) and hashes.has(every.reshape(3, -1)).all()
    assert not hashes.has(every + np.uint64(1)).any()
