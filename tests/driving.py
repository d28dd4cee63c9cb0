"""Generators driven without a model: a made-up score stands in for the verifier."""

import numpy as np

from sxq.generators.catalog import GENERATORS, load
from sxq.generators.protocol import Context, Estimate, Scored

BLIND = [name for name, entry in GENERATORS.items() if not entry.looks_inside]  # need no model
SEARCHES = [name for name in BLIND if name != "exhaustive"]  # which cannot work to an allowance


def worth(field, seed=0):
    """A made-up verifier: scores [n, 2] of bits [n, U], a mix of what single units are worth and of size."""
    weights = np.random.default_rng(seed).normal(size=field.num_units)

    def score(bits):
        value = 1 / (1 + np.exp(-(bits @ weights)))
        return np.stack([value, 1 - bits.mean(axis=1)], axis=1).round(4)

    return score


def drive(name, field, allowance=10**6, seed=0, score=None, rows=1000, **options):
    """Run a generator to its end; all candidates it proposed, in order, and the number of distinct ones."""
    score = score or worth(field)
    asked = []
    empty = np.zeros((1, field.num_units), bool)
    ids = {bytes(np.packbits(~empty)): 0}  # the whole field was verified before
    context = Context(
        full=score(~empty)[0],
        empty=score(empty)[0],
        full_id=0,
        allowance=allowance,
        rows=rows,
        rng=np.random.default_rng(seed),
        p_full=0.9,
        p_empty=0.2,
        predict=lambda sizes, p: np.full((len(sizes), score(empty).shape[1]), np.nan),
        measures=("fdl+", "fdl-"),
        subject=None,
    )
    search = load(name)(field, context, **options)
    answer = None
    while True:
        try:
            candidates = search.send(answer)
        except StopIteration:
            return np.concatenate(asked) if asked else empty[:0], len(ids)
        if isinstance(candidates, Estimate):
            answer = np.zeros(candidates.bits.shape)
            continue
        assert len(candidates.bits) <= rows
        asked.append(candidates.bits)
        numbers = np.array(
            [ids.setdefault(bytes(row), len(ids)) for row in np.packbits(candidates.bits, axis=1)]
        )
        flags = np.ones(len(numbers), bool)
        assert len(candidates.parent) == len(candidates.edited) == len(candidates.bits)
        answer = Scored(
            ids=numbers,
            sizes=candidates.bits.sum(axis=1),
            scores=score(candidates.bits),
            factual=flags,
            counterfactual=flags,
            explanatory=flags,
            p=np.full((len(flags), 2), 0.5),
        )
