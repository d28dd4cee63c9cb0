"""REFRESH: the answers of stored queries, brought to the present version of their graph.

Each query becomes a new one, which says what it refreshes; the one before stays as it was. Interrupted, the new
query keeps the targets that are done, and REFRESH goes on with the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sxq.errors import Error, InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.graph.difference import Difference, difference
from sxq.graph.graphs_difference import graphs_difference
from sxq.language import statements as st
from sxq.session.context import Session
from sxq.session.refreshing import Refreshing
from sxq.storage import NO_TARGETS, QueryVersion
from sxq.values.result import Table

COLUMNS = {
    "query_id": "BIGINT",  # the new query
    "refreshes": "BIGINT",
    "graph": "VARCHAR",
    "from_version": "INTEGER",
    "to_version": "INTEGER",
    "targets": "BIGINT",
    "carried": "BIGINT",
    "measured": "BIGINT",
    "searched": "BIGINT",
    "gone": "BIGINT",
    "left": "BIGINT",
    "seconds": "DOUBLE",
    "note": "VARCHAR",
}


def refresh(session: Session, statement: st.Refresh) -> Table:
    """Refresh one query, or each that is not on the present version; a row for each.

    A query that cannot be refreshed has a row that says why. If it is named, that raises InvalidValue.
    """
    session.store.require_writable("REFRESH")
    if statement.query_id is not None:
        session.store.stored_queries(
            statement.query_id, NO_TARGETS
        )  # InvalidValue if there is none
    versions = {query.query_id: query for query in session.store.versions()}
    if statement.query_id is None:
        followed = {query.refreshes for query in versions.values()}
        last = [query for number, query in versions.items() if number not in followed]
    else:
        last = [_last(versions, statement.query_id)]
    differences: dict[tuple[int, int], Difference] = {}
    rows = []
    for query in last:
        if statement.query_id is None and not _stale(query):
            continue
        try:
            rows.append(_refreshed(session, query, versions, differences))
        except Error as error:
            if statement.query_id is not None:
                raise
            rows.append(_row(query, None, note=f"not refreshed: {error}"))
        if session.should_stop():
            break
    found = [tuple(row[name] for name in COLUMNS) for row in rows]
    return Table(list(COLUMNS), found, types=list(COLUMNS.values()))


def _last(versions: Mapping[int, QueryVersion], query_id: int) -> QueryVersion:
    """The last query of those that refreshed this one, one after the other."""
    later = {query.refreshes: query for query in versions.values()}
    found = versions[query_id]
    while found.query_id in later:
        found = later[found.query_id]
    return found


def _stale(query: QueryVersion) -> bool:
    """Whether a query is not on the present version, or REFRESH did not come to its end."""
    return query.graph_id != query.current_id or _unfinished(query)


def _unfinished(query: QueryVersion) -> bool:
    return query.refreshes is not None and query.left_over > 0


def _refreshed(
    session: Session,
    query: QueryVersion,
    versions: Mapping[int, QueryVersion],
    differences: dict[tuple[int, int], Difference],
) -> dict[str, Any]:
    """The row of a query that was refreshed; raises InvalidValue."""
    if query.current_id is None:
        raise InvalidValue(f"graph {query.graph!r} of query {query.query_id} was dropped")
    if not _stale(query):
        note = f"query {query.query_id} is on the present version of graph {query.graph!r}"
        return _row(query, None, note=note)
    goes_on = query.graph_id == query.current_id
    if goes_on and query.refreshes not in versions:
        raise InvalidValue(
            f"query {query.query_id} was not refreshed completely, and query {query.refreshes}, whose answers it "
            f"takes, was dropped: say RESUME QUERY {query.query_id}"
        )
    assert not goes_on or query.refreshes is not None
    source = versions[query.refreshes] if goes_on and query.refreshes else query
    differ = _difference(session, source, differences)
    work = Refreshing(session, source, differ, into=query.query_id if goes_on else None)
    work.run()
    return _row(source, work)


def _difference(
    session: Session, query: QueryVersion, known: dict[tuple[int, int], Difference]
) -> Difference:
    """What differs between the version of a query and the present one; both are compared once."""
    assert query.current_id is not None
    pair = (query.graph_id, query.current_id)
    if pair not in known:
        graphs = session.registry.graphs
        earlier, later = (graphs.stored(number) for number in pair)
        known[pair] = _compared(query, earlier, later)
    return known[pair]


def _compared(
    query: QueryVersion, earlier: Graph | GraphSet, later: Graph | GraphSet
) -> Difference:
    """What differs between two versions; raises InvalidValue if only one of them is a collection."""
    if isinstance(earlier, GraphSet) and isinstance(later, GraphSet):
        return graphs_difference(earlier, later)
    if isinstance(earlier, GraphSet) or isinstance(later, GraphSet):
        kinds = ["a collection" if isinstance(g, GraphSet) else "a graph" for g in (earlier, later)]
        raise InvalidValue(
            f"query {query.query_id} explains targets of {kinds[0]}, and {query.graph!r} is {kinds[1]} now; explain them "
            "anew"
        )
    return difference(earlier, later)


def _row(query: QueryVersion, work: Refreshing | None, note: str = "") -> dict[str, Any]:
    done = work.counts if work else {}
    return {
        "query_id": work.query_id if work else None,
        "refreshes": query.query_id,
        "graph": query.graph,
        "from_version": query.version,
        "to_version": query.current_version,
        "targets": work.targets if work else None,
        **{name: done.get(name, 0) if work else None for name in COUNTED},
        "seconds": work.seconds if work else None,
        "note": "; ".join(work.notes) if work else note,
    }


COUNTED: Sequence[str] = ("carried", "measured", "searched", "gone", "left")
