"""The checks of AUDIT that need no model: stored answers agree with themselves, and with their graph.

A finding is a `Broken`: the query, the target and the explanation that it concerns, and words. Relations
between tables are checked by `storage.integrity`; here are the values of one query.
"""

from collections.abc import Iterator

from sxq.session.audited import AuditedTarget, StoredAnswers
from sxq.session.member_checks import of_member
from sxq.session.target_checks import of_query, of_target, wrong_ranks
from sxq.storage import Broken, StoredQuery


def check_query(query: StoredQuery) -> Iterator[Broken]:
    """What is wrong in the row of a query itself."""
    for words in of_query(query):
        yield Broken(query.query_id, None, None, words)


def check_ranks(answers: StoredAnswers) -> Iterator[Broken]:
    """What is wrong in the ranks of the answers of targets; of a joint answer these must be all."""
    for words in wrong_ranks(answers):
        yield Broken(answers.query.query_id, None, None, words)


def check_targets(answers: StoredAnswers) -> Iterator[Broken]:
    """Everything that is wrong in targets and in their explanations."""
    query = answers.query
    for target in query.targets:
        members = answers.of(target)
        place = AuditedTarget(answers, target, members)
        for words in of_target(place):
            yield Broken(query.query_id, target.target, None, words)
        for member in members:
            for words in of_member(place, member):
                yield Broken(query.query_id, target.target, member.explanation_id, words)
