"""AUDIT's checks of a query and of its targets, which need no model."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sxq.errors import NodeNotFound
from sxq.scoring.dominance import GRID, epsilon_dominates, millionths
from sxq.scoring.hypervolume import hypervolume
from sxq.session.audited import NEAR, AuditedTarget, StoredAnswers, Words, grid_vectors, identity
from sxq.storage import StoredQuery
from sxq.storage.checked import short

STATUSES = ("pending", "done", "stopped", "empty", "failed", "interrupted")
LEAST = {  # of columns of `targets`; NULL: not known
    "probability": 0,
    "p_empty": 0,
    "coverage": 0,
    "hypervolume": 0,
    "prediction": 0,
    "field_size": 0,
    "hops": 0,
    "candidates": 0,
    "pruned": 0,
    "explanatory": 0,
    "front": 0,
    "dominance": 0,
    "epsilon_achieved": 0,
}
SHARES = ("probability", "p_empty", "coverage", "hypervolume")  # at most 1
NUMBERS = ("probability", "p_empty")  # of a regression any number
REQUIRED = [*LEAST, "self_sufficient", "complete"]  # of a target that is done
LATER = ("hypervolume", "pruned")  # columns that the oldest files lack


def of_query(query: StoredQuery) -> Words:
    """What is wrong in the row of a query."""
    if not (math.isfinite(query.epsilon) and query.epsilon >= 0):
        yield f"epsilon is {query.epsilon}, expected a number of 0 or more"
    if query.k < 1:
        yield f"k is {query.k}, expected 1 or more"


def wrong_ranks(answers: StoredAnswers) -> Words:
    """Ranks are 1 to n for each target or, in a joint answer, for all targets together."""
    ranks: dict[tuple[str, Any], list[int]] = defaultdict(list)
    for member in answers.members:
        ranks[identity(member.target)].append(member.rank)
    everything = sorted(rank for own in ranks.values() for rank in own)
    if everything == list(range(1, len(everything) + 1)) and is_joint(answers.query):
        if len(everything) > max(answers.query.k, 1):
            yield f"{len(everything)} explanations, but TOP {answers.query.k} in a joint answer"
        return
    for (_, target), own in ranks.items():
        if sorted(own) != list(range(1, len(own) + 1)):
            found = ", ".join(map(str, sorted(own)[:10]))
            yield f"the ranks of target {target!s:.80} are {found}, expected 1 to {len(own)}"
        elif len(own) > answers.query.k:
            yield f"target {target!s:.80} has {len(own)} explanations, but TOP {answers.query.k}"


def is_joint(query: StoredQuery) -> bool:
    """Whether all targets of a query have one answer."""
    return " of all targets jointly" in query.plan


def of_target(place: AuditedTarget) -> Words:
    """What is wrong in the row of a target, given its explanations and its field."""
    yield from _wrong_status(place)
    yield from _out_of_range(place.target.columns, place.answers.numeric)
    yield from _wrong_counts(place)
    yield from _wrong_field(place)
    yield from _wrong_proof(place)
    if place.members and not place.thinned:
        yield from _wrong_volume(place)


def _wrong_status(place: AuditedTarget) -> Words:
    columns = place.target.columns
    status = columns["status"]
    answered = len(place.members)
    if status not in STATUSES:
        yield f"status is {short(status)}, expected one of {', '.join(STATUSES)}"
    elif answered and status not in ("done", "stopped", "interrupted"):
        yield f"status is {status!r}, but there are {answered} explanations"
    elif status == "done" and not answered:
        yield "status is 'done', but there is no explanation"
    required = [name for name in REQUIRED if place.answers.objectives or name not in LATER]
    if status == "done" and (lacking := [name for name in required if columns[name] is None]):
        yield f"status is 'done', but {', '.join(lacking)} are NULL"


def _out_of_range(columns: Mapping[str, Any], numeric: bool) -> Words:
    for name, least in LEAST.items():
        if numeric and name in NUMBERS:
            continue
        value = columns[name]
        most = 1 + 1e-3 if name in SHARES else math.inf
        if value is not None and not least <= value <= most:
            yield f"{name} is {value}, expected {'0 to 1' if name in SHARES else '0 or more'}"


def _wrong_counts(place: AuditedTarget) -> Words:
    columns = place.target.columns
    count = {
        name: columns[name] or 0 for name in ("candidates", "explanatory", "front", "dominance")
    }
    for fewer, more in (
        ("explanatory", "candidates"),
        ("front", "explanatory"),
        ("dominance", "explanatory"),
    ):
        if count[fewer] > count[more]:
            yield f"{fewer} is {count[fewer]}, but {more} is {count[more]}"
    if len(place.members) > count["front"] and not place.thinned:
        yield f"{len(place.members)} explanations, but front is {count['front']}"
    powers = [member.dominance for member in place.members]
    if powers and not max(powers) <= count["dominance"] <= sum(powers):
        yield (
            f"dominance is {count['dominance']}, but its explanations cover {max(powers)} to"
            f" {sum(powers)} candidates"
        )
    yield from _wrong_coverage(place, count)
    yield from _wrong_dominance(place, count)


def _wrong_proof(place: AuditedTarget) -> Words:
    """A member is proved to be the smallest if all smaller candidates were verified."""
    columns = place.target.columns
    if columns.get("proved") is None:
        return
    sizes = [member.columns["size"] for member in place.members]
    enough = [size <= (columns["bound"] or 0) + 1 for size in sizes if size is not None]
    if enough and all(enough) is not columns["proved"]:
        yield f"proved is {columns['proved']}, but size is {sizes[0]:g} and bound {columns['bound']}"


def _wrong_coverage(place: AuditedTarget, count: Mapping[str, int]) -> Words:
    columns = place.target.columns
    coverage = columns["coverage"]
    share = count["dominance"] / count["explanatory"] if count["explanatory"] else None
    if coverage is None or share is None:
        if coverage is not None:
            yield f"coverage is {coverage}, but nothing is explanatory"
        return
    if not abs(coverage - share) <= NEAR:
        yield f"coverage is {coverage}, but dominance / explanatory is {share:.6g}"
    needed = columns["epsilon_achieved"]
    enough = needed is not None and needed <= place.answers.query.epsilon + NEAR
    if (
        needed is not None
        and place.members
        and enough != (count["dominance"] == count["explanatory"])
    ):
        yield f"epsilon_achieved is {needed}, but coverage is {coverage}"


def _wrong_dominance(place: AuditedTarget, count: Mapping[str, int]) -> Words:
    """The candidates that the members dominate, counted again among those that were kept."""
    answers = place.answers
    kept = answers.candidates.get(identity(place.target.target), [])
    if not kept:
        return
    vectors = grid_vectors(kept, answers.objectives)
    own = grid_vectors([member.scores for member in place.members], answers.objectives)
    if vectors is None or own is None or not answers.query.epsilon >= 0:
        return
    if len(vectors) != count["explanatory"]:
        yield f"explanatory is {count['explanatory']}, but {len(vectors)} kept candidates are"
    covered = epsilon_dominates(own, vectors, millionths(answers.query.epsilon))
    for member, power in zip(place.members, covered.sum(axis=1).tolist()):
        if member.dominance != power:
            yield f"rank {member.rank} has dominance {member.dominance}, found {power}"
    if (found := int(covered.any(axis=0).sum())) != count["dominance"] and place.members:
        yield f"dominance is {count['dominance']}, found {found} among the kept candidates"


def _wrong_volume(place: AuditedTarget) -> Words:
    stored = place.target.columns["hypervolume"]
    points = grid_vectors([member.scores for member in place.members], place.answers.objectives)
    if points is None or stored is None:
        return
    if not abs(stored - (found := hypervolume(points / GRID))) <= NEAR:
        yield f"hypervolume is {stored:.6g}, but its explanations dominate {found:.6g}"


def _wrong_field(place: AuditedTarget) -> Words:
    columns = place.target.columns
    try:
        units = place.units
    except NodeNotFound as error:
        yield str(error)
        return
    stored = columns["field_size"]
    if stored is not None and units is not None and stored != len(units):
        yield f"field_size is {stored}, but the field has {len(units)} units"
