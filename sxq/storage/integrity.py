"""Relations between the tables that DuckDB does not enforce: every id exists, nothing is lost or doubled.

Each check is one query whose rows are what is wrong: (query_id, target, explanation_id, words). Those
without a query_id concern the graphs and models of the whole file.
"""

from typing import Any, NamedTuple

from sxq.storage.rows import Cursor, run

# Of one query, or of all.
_OF_QUERIES = (
    """SELECT query_id, NULL, NULL, format('model_id {} is not in models', model_id) FROM queries q
       WHERE NOT EXISTS (FROM models m WHERE m.model_id = q.model_id)""",
    """SELECT query_id, NULL, NULL, format('graph_id {} is not in graphs', graph_id) FROM queries q
       WHERE NOT EXISTS (FROM graphs g WHERE g.graph_id = q.graph_id)""",
    """SELECT query_id, NULL, NULL, format('{} targets of a query that is not in queries', count(*)) FROM targets t
       WHERE NOT EXISTS (FROM queries q WHERE q.query_id = t.query_id) GROUP BY query_id""",
    """SELECT query_id, NULL, NULL, format('status is {}, expected running, done or interrupted', status) FROM queries
       WHERE status NOT IN ('running', 'done', 'interrupted')""",
    """SELECT query_id, NULL, NULL, 'complete is true, but not of every target' FROM queries q
       WHERE complete AND EXISTS (FROM targets t WHERE t.query_id = q.query_id AND NOT t.complete)""",
    """SELECT query_id, NULL, NULL, 'the query has no targets' FROM queries q
       WHERE NOT EXISTS (FROM targets t WHERE t.query_id = q.query_id)""",
    """SELECT query_id, NULL, NULL,
              format('targets with ordinals {} to {} are {}, expected {} from 0: rows are missing or renumbered',
                     min(ordinal), max(ordinal), count(*), max(ordinal)::BIGINT + 1)
       FROM targets GROUP BY query_id HAVING min(ordinal) <> 0 OR max(ordinal)::BIGINT + 1 <> count(*)""",
    """SELECT query_id, target, NULL, format('the target is there {} times', count(*)) FROM targets
       GROUP BY query_id, target HAVING count(*) > 1""",
    """SELECT query_id, target, explanation_id, 'the query is not in queries' FROM explanations e
       WHERE NOT EXISTS (FROM queries q WHERE q.query_id = e.query_id)""",
    """SELECT query_id, target, explanation_id, 'the target is not among the targets of the query' FROM explanations e
       WHERE NOT EXISTS (FROM targets t WHERE t.query_id = e.query_id AND t.target = e.target)""",
    """SELECT query_id, target, explanation_id, 'the explanation has no edges' FROM explanations e
       WHERE NOT EXISTS (FROM explanation_edges x WHERE x.explanation_id = e.explanation_id)
             AND NOT EXISTS (FROM explanation_nodes x WHERE x.explanation_id = e.explanation_id)
             AND NOT EXISTS (FROM explanation_features x WHERE x.explanation_id = e.explanation_id)""",
    """SELECT query_id, target, NULL, format('{} candidates of a target that is not in targets', count(*))
       FROM candidates c WHERE NOT EXISTS (FROM targets t WHERE t.query_id = c.query_id AND t.target = c.target)
       GROUP BY query_id, target""",
    """SELECT query_id, target, NULL,
              format('candidates are {} rows numbered {} to {}, expected {} from 0', count(*), min(candidate),
                     max(candidate), any_value(candidates))
       FROM candidates JOIN targets USING (query_id, target) GROUP BY query_id, target
       HAVING min(candidate) <> 0 OR count(*) <> any_value(candidates)
              OR max(candidate) + 1::HUGEINT <> count(*) OR count(DISTINCT candidate) <> count(*)""",
    """SELECT query_id, NULL, NULL, format('{} patterns of a query that is not in queries', count(*)) FROM patterns p
       WHERE NOT EXISTS (FROM queries q WHERE q.query_id = p.query_id) GROUP BY query_id""",
    """SELECT query_id, NULL, NULL, format('pattern {} is there {} times', pattern, count(*)) FROM patterns
       GROUP BY query_id, pattern HAVING count(*) > 1""",
    *(
        f"""SELECT query_id, NULL, NULL,
                   format('{table} has {{}} rows of pattern {{}}, which is not in patterns', count(*), pattern)
            FROM {table} n
            WHERE NOT EXISTS (FROM patterns p WHERE p.query_id = n.query_id AND p.pattern = n.pattern)
            GROUP BY query_id, pattern"""
        for table in ("pattern_nodes", "pattern_edges", "pattern_matches")
    ),
    """SELECT m.query_id, NULL, NULL,
              format('pattern_matches has {} rows of explanation {}, which is not one of the query', count(*),
                     m.explanation_id)
       FROM pattern_matches m WHERE NOT EXISTS (
           FROM explanations e WHERE e.query_id = m.query_id AND e.explanation_id = m.explanation_id)
       GROUP BY m.query_id, m.explanation_id""",
    """SELECT query_id, target, NULL,
              format('candidate {} has a parent, generator, size, flags or scores that no candidate has', min(candidate))
       FROM candidates
       WHERE generator IS NULL OR scores IS NULL OR coalesce(size, 0) < 1
             OR NOT coalesce(parent BETWEEN 0 AND candidate - 1, true)
             OR factual IS NULL OR counterfactual IS NULL OR explanatory IS NULL
             OR explanatory AND NOT (factual OR counterfactual)
       GROUP BY query_id, target""",
)
# Of the whole file.
_OF_FILE = (
    *(
        f"""SELECT NULL, NULL, NULL,
                   format('{table} has {{}} rows of explanation {{}}, which is not in explanations',
                          count(*), explanation_id)
            FROM {table} x WHERE NOT EXISTS (FROM explanations e WHERE e.explanation_id = x.explanation_id)
            GROUP BY explanation_id"""
        for table in ("explanation_edges", "explanation_nodes", "explanation_features")
    ),
    """SELECT NULL, NULL, NULL, format('model {} ({}): graph_id {} is not in graphs', model_id, name, graph_id)
       FROM models m WHERE NOT EXISTS (FROM graphs g WHERE g.graph_id = m.graph_id)""",
    """SELECT NULL, NULL, NULL, format('refine {} ({}): graph_id {} is not in graphs', refine_id, name, graph_id)
       FROM refines r WHERE NOT EXISTS (FROM graphs g WHERE g.graph_id = r.graph_id)""",
    """SELECT NULL, NULL, NULL, format('refine {} ({}): model_id {} is not in models', refine_id, name, model_id)
       FROM refines r WHERE NOT EXISTS (FROM models m WHERE m.model_id = r.model_id)""",
    """SELECT NULL, NULL, NULL, format('saliency has {} rows of refine {}, which is not in refines', count(*), refine_id)
       FROM saliency s WHERE NOT EXISTS (FROM refines r WHERE r.refine_id = s.refine_id) GROUP BY refine_id""",
    """SELECT NULL, NULL, NULL,
              format('refine {} ({}): saliency has {} rows with an edge that its graph does not have, or outside 0 to 1',
                     refine_id, any_value(refines.name), count(*))
       FROM saliency JOIN refines USING (refine_id) JOIN graphs ON graphs.graph_id = refines.graph_id
       WHERE NOT (edge BETWEEN 0 AND num_edges - 1 AND saliency BETWEEN 0 AND 1) GROUP BY refine_id""",
    *(
        f"""SELECT NULL, NULL, NULL, format('{table} has {{}} rows of graph {{}}, which is not in graphs',
                   count(*), graph_id)
            FROM {table} n WHERE NOT EXISTS (FROM graphs g WHERE g.graph_id = n.graph_id) GROUP BY graph_id"""
        for table in ("nodes", "edges", "graph_members", "features", "node_types", "edge_types")
    ),
    *(
        f"""SELECT NULL, NULL, NULL, format('{{}} {table} have the name {{}}', count(*), name) FROM {table}
            WHERE dropped_at IS NULL GROUP BY name HAVING count(*) > 1"""
        for table in ("graphs", "models", "refines")
    ),
    """SELECT NULL, NULL, NULL,
              format('graph {}: {} edges have another src or dst than the key of the node at their position',
                     e.graph_id, count(*))
       FROM edges e LEFT JOIN nodes u ON u.graph_id = e.graph_id AND u.position = src_position
       LEFT JOIN nodes v ON v.graph_id = e.graph_id AND v.position = dst_position
       WHERE src IS DISTINCT FROM u.node OR dst IS DISTINCT FROM v.node OR e.graph IS DISTINCT FROM u.graph
       GROUP BY e.graph_id""",
)


class Broken(NamedTuple):
    """A relation that does not hold."""

    query_id: int | None  # None: it concerns no query
    target: Any
    explanation_id: int | None
    words: str


def broken(cursor: Cursor, query_id: int | None = None) -> list[Broken]:
    """What is wrong in the tables, for one query, or for all and the whole file."""
    rows = [row for check in _OF_QUERIES for row in run(cursor, _narrowed(check), {"id": query_id})]
    if query_id is None:
        rows += [row for check in _OF_FILE for row in run(cursor, check)]
    return [Broken(*row) for row in rows]


def _narrowed(check: str) -> str:
    return f"SELECT * FROM ({check}) WHERE $id IS NULL OR query_id = $id"
