-- Views and macros for the usual questions, in schema `sxq` beside the tables. Keys are VARIANT as there.
-- They only read; nothing is stored twice. This file is run after schema.sql, and again when an opened file holds
-- other views or macros in schema `sxq`, which are dropped. Put views of your own into schema main.

-- The explanations that are best by one measure, over all queries or of one: FROM best('fdl+', k := 3).
CREATE MACRO best(measure, of_query := NULL, k := 10) AS TABLE
SELECT
    row_number() OVER (ORDER BY scores[measure] DESC, size, explanation_id) AS place, -- 1 is the best
    explanation_id,                   -- of explanations
    query_id,                         -- of queries
    target,                           -- key
    rank,                             -- in its own answer
    size,                             -- units
    raw[measure] AS value,            -- the literature's value
    scores[measure] AS score          -- the value that was compared
FROM sxq.explanations
WHERE scores[measure] IS NOT NULL AND (of_query IS NULL OR query_id = of_query)
QUALIFY place <= k
ORDER BY place;

-- The knee of every answer of a query, or of all with NULL: the member nearest to the best scores of its answer over
-- all optimised measures, each scaled to the range of the answer: a compromise between the measures. FROM knee(1).
CREATE MACRO knee(of_query) AS TABLE
WITH
    points AS (
        SELECT explanation_id, query_id, e.target, rank, unnest(CAST(settings->'optimize' AS VARCHAR[])) AS measure,
               scores[measure] AS score
        FROM sxq.explanations e JOIN sxq.queries USING (query_id) WHERE of_query IS NULL OR query_id = of_query),
    stretched AS (
        SELECT *, max(score) OVER answer AS best,
               (best - score) / greatest(best - min(score) OVER answer, 1e-9) AS short
        FROM points WINDOW answer AS (PARTITION BY query_id, target, measure))
SELECT
    query_id,                         -- of queries
    target,                           -- key
    explanation_id,                   -- of explanations
    rank,                             -- in the answer
    sqrt(sum(short ** 2)) AS distance -- from the best score in every measure; 0: it is the best in all
FROM stretched
GROUP BY query_id, target, explanation_id, rank
QUALIFY row_number() OVER (PARTITION BY query_id, target ORDER BY distance, rank) = 1;

-- The knees of all queries.
CREATE VIEW knee AS SELECT * FROM sxq.knee(NULL);

-- The classes of the nodes in explanations, by predicted class: what the explanations of class 1 consist of. A
-- target node itself is not counted. FROM label_mix(1); NULL stands for all queries.
CREATE MACRO label_mix(of_query) AS TABLE
WITH
    own AS (FROM sxq.explanations WHERE of_query IS NULL OR query_id = of_query),
    typed AS (                        -- with the types of both ends, where nodes have types
        SELECT e.*, src_type, dst_type FROM sxq.explanation_edges e
        JOIN own USING (explanation_id) JOIN sxq.queries q USING (query_id)
        LEFT JOIN sxq.edge_types t ON t.graph_id = q.graph_id AND t.edge_type = e.edge_type),
    ends AS (
        SELECT explanation_id, src AS node, src_type AS node_type FROM typed
        UNION SELECT explanation_id, dst, dst_type FROM typed),
    labelled AS (
        SELECT query_id, prediction, label
        FROM ends x JOIN own e USING (explanation_id) JOIN sxq.targets t USING (query_id, target)
        JOIN sxq.queries USING (query_id) JOIN sxq.nodes n USING (graph_id, node)
        WHERE n.node_type IS NOT DISTINCT FROM x.node_type AND label IS NOT NULL AND CASE
            WHEN n.graph IS NULL THEN node <> e.target OR n.node_type IS DISTINCT FROM t.node_type
            ELSE n.graph = e.target END)
SELECT
    query_id,                         -- of queries
    prediction,                       -- the class of the explained nodes, or graphs
    label,                            -- the class of nodes in their explanations
    count(*) AS nodes,                -- number of them, over all explanations
    nodes / sum(nodes) OVER (PARTITION BY query_id, prediction) AS share -- share of all nodes in them
FROM labelled
GROUP BY query_id, prediction, label;

-- The classes in explanations of all queries.
CREATE VIEW label_mix AS SELECT * FROM sxq.label_mix(NULL);

-- Edges that recur: the number of explanations, and of targets, of a query that contain each directed edge. Graphs of
-- a collection share no edges, so theirs are counted graph by graph. FROM recurring_edges(1); NULL stands for all queries.
CREATE MACRO recurring_edges(of_query) AS TABLE
WITH
    own AS (FROM sxq.explanations WHERE of_query IS NULL OR query_id = of_query),
    counted AS (SELECT query_id, count(*) AS total FROM own GROUP BY query_id)
SELECT
    query_id,                         -- of queries
    src,                              -- key
    dst,                              -- key
    count(*) AS explanations,         -- explanations that contain the edge
    count(DISTINCT target) AS targets, -- targets with such an explanation
    explanations / any_value(total) AS share, -- of the query's explanations
    CASE WHEN num_graphs IS NOT NULL THEN target END AS graph, -- the graph of a collection that the edge is in; NULL: a single graph
    edge_type                         -- as in edges; it says of what types src and dst are
FROM sxq.explanation_edges JOIN own USING (explanation_id) JOIN counted USING (query_id) JOIN sxq.queries USING (query_id)
JOIN sxq.graphs USING (graph_id)
GROUP BY query_id, src, dst, graph, edge_type;

-- The recurring edges of all queries.
CREATE VIEW recurring_edges AS SELECT * FROM sxq.recurring_edges(NULL);

-- Two queries side by side, target by target: FROM compare(1, 2). Models, generators, seeds or settings may differ;
-- measures that only one of them optimised are ignored.
CREATE MACRO compare(a, b) AS TABLE
WITH
    common AS (
        SELECT list_intersect(any_value(CAST(settings->'optimize' AS VARCHAR[])) FILTER (query_id = a),
                              any_value(CAST(settings->'optimize' AS VARCHAR[])) FILTER (query_id = b)) AS measures
        FROM sxq.queries WHERE query_id IN (a, b)),
    members AS (
        SELECT query_id, target, explanation_id,
               list_transform(list_sort(measures), lambda name: scores[name]) AS point
        FROM sxq.explanations, common WHERE query_id IN (a, b)),
    beaten AS (
        SELECT query_id, target, count(*) AS beaten
        FROM members m WHERE EXISTS (
            FROM members o WHERE o.query_id <> m.query_id AND o.target = m.target AND o.point <> m.point
            AND list_bool_and(list_transform(list_zip(o.point, m.point), lambda p: p[1] >= p[2])))
        GROUP BY ALL),
    found AS (
        SELECT query_id, target, list(DISTINCT (src, dst, edge_type)) AS edges
        FROM sxq.explanation_edges JOIN sxq.explanations USING (explanation_id) WHERE query_id IN (a, b) GROUP BY ALL),
    sides AS (
        SELECT t.query_id, t.target, t.node_type, t.prediction, t.coverage, t.hypervolume, coalesce(beaten, 0) AS beaten,
               coalesce(edges, []) AS edges,
               (SELECT count(*) FROM members m WHERE m.query_id = t.query_id AND m.target = t.target) AS members
        FROM sxq.targets t LEFT JOIN beaten USING (query_id, target) LEFT JOIN found USING (query_id, target)
        WHERE query_id IN (a, b))
SELECT
    x.target AS target,               -- key; only targets of both
    x.prediction = y.prediction AS same_class, -- both predict the same class
    x.members AS members_a,           -- of the answer of a
    y.members AS members_b,           -- of the answer of b
    x.beaten AS beaten_a,             -- members of a that a member of b dominates
    y.beaten AS beaten_b,             -- members of b that a member of a dominates
    x.hypervolume AS hypervolume_a,   -- as in targets; comparable if both optimised the same
    y.hypervolume AS hypervolume_b,   -- of b
    x.coverage AS coverage_a,         -- as in targets
    y.coverage AS coverage_b,         -- of b
    len(list_intersect(x.edges, y.edges))
        / nullif(len(list_distinct(list_concat(x.edges, y.edges))), 0) AS jaccard, -- of all edges in the two answers
    x.node_type AS node_type          -- as in targets: a key names a node within its type
FROM sides x JOIN sides y ON x.target = y.target AND x.node_type IS NOT DISTINCT FROM y.node_type
WHERE x.query_id = a AND y.query_id = b
ORDER BY x.target;

-- The skyline of any relation: the rows that no other row dominates, all their columns unchanged.
--     FROM skyline('houses', larger := ['rooms'], smaller := ['price', 'distance']);
--     FROM skyline('(SELECT * FROM houses WHERE city = ''Oslo'')', smaller := ['price', 'distance']);
-- A row dominates another if it is at least as good in every column named and better in one; equal rows all stay. A row
-- with NULL or NaN in one of the columns cannot be compared and is left out. To save time, a few good rows first remove
-- the rows far from the front; the rest are compared with each other.
CREATE MACRO skyline(relation, larger := [], smaller := []) AS TABLE
WITH
    held AS MATERIALIZED (
        SELECT row AS line, row_number() OVER () AS number, list_concat(
            list_transform(larger, lambda c: CAST(to_json(row)->>('$."' || c || '"') AS DOUBLE)),
            list_transform(smaller, lambda c: -CAST(to_json(row)->>('$."' || c || '"') AS DOUBLE))) AS point
        FROM query('FROM ' || relation) AS row),
    points AS MATERIALIZED (
        SELECT DISTINCT point FROM held
        WHERE NOT list_bool_or(list_transform(point, lambda v: v IS NULL OR isnan(v)))),
    placed AS (                       -- the place of every value in its column, from 0 to 1
        SELECT point, percent_rank() OVER (PARTITION BY i ORDER BY point[i]) AS share
        FROM points, unnest(range(1, len(larger) + len(smaller) + 1)) u(i)),
    ranked AS MATERIALIZED (
        SELECT point, row_number() OVER (ORDER BY sum(share) DESC) AS place FROM placed GROUP BY point),
    left_over AS MATERIALIZED (
        SELECT point FROM ranked r WHERE NOT EXISTS (
            FROM ranked o WHERE o.place <= 64 AND o.point <> r.point
            AND list_bool_and(list_transform(list_zip(o.point, r.point), lambda p: p[1] >= p[2])))),
    undominated AS (
        SELECT point FROM left_over r WHERE NOT EXISTS (
            FROM left_over o WHERE o.point <> r.point
            AND list_bool_and(list_transform(list_zip(o.point, r.point), lambda p: p[1] >= p[2]))))
SELECT unnest(line) FROM held JOIN undominated USING (point) ORDER BY number;

-- The true edges of every target. If table truths names any for the target, these are the true edges, as alternatives.
-- Otherwise they come from the ground truth of the graph, if it has one: for a node the ground-truth edges connected to
-- it (its motif), for a graph all ground-truth edges in it.
CREATE VIEW true_edges AS
WITH RECURSIVE
    named AS (SELECT graph_id, graph, src, dst, src_position AS u, dst_position AS v, edge_type FROM sxq.edges WHERE truth),
    asked AS (
        SELECT query_id, target, queries.graph_id, position AS root, num_graphs IS NOT NULL AS whole
        FROM sxq.targets JOIN sxq.queries USING (query_id) JOIN sxq.graphs ON graphs.graph_id = queries.graph_id
        LEFT JOIN sxq.nodes ON nodes.graph_id = queries.graph_id AND node = target AND num_graphs IS NULL
            AND nodes.node_type IS NOT DISTINCT FROM targets.node_type),
    typed AS (SELECT DISTINCT graph_id, graph, src, dst, edge_type FROM sxq.edges WHERE edge_type IS NOT NULL),
    given AS (                        -- a row for each type that the edges between the two ends have
        SELECT DISTINCT query_id, a.target, alternative, t.src, t.dst, edge_type
        FROM asked a JOIN sxq.truths t USING (graph_id, target)
        LEFT JOIN typed e ON e.graph_id = a.graph_id AND e.src = t.src AND e.dst = t.dst
            AND (e.graph IS NULL OR e.graph = a.target)),
    others AS (FROM asked WHERE (query_id, target) NOT IN (SELECT (query_id, target) FROM given)),
    joined AS (SELECT graph_id, u, v FROM named UNION SELECT graph_id, v, u FROM named),
    motif AS (                        -- positions of the nodes that true edges join to a target
        SELECT DISTINCT graph_id, root, root AS u FROM others WHERE NOT whole
        UNION
        SELECT graph_id, root, v FROM motif JOIN joined USING (graph_id, u))
SELECT
    query_id,                         -- of queries
    target,                           -- key
    alternative,                      -- number of the truth, where a target has several
    src,                              -- key
    dst,                              -- key
    edge_type                         -- as in edges
FROM given
UNION ALL
SELECT query_id, target, 0, src, dst, edge_type
FROM others JOIN motif USING (graph_id, root) JOIN named USING (graph_id, u)
UNION ALL
SELECT query_id, target, 0, src, dst, edge_type FROM others JOIN named USING (graph_id) WHERE whole AND graph = target;

-- The agreement of every answer with the truth (true_edges), edge by edge and node by node. Each member of the answer
-- has a row with member 'rank'. The rows 'recommended', 'knee' and 'best' (by f1) repeat one of these, and 'union' is for
-- all their edges together. Of several alternative truths, the one with the largest f1 counts.
CREATE VIEW agreement AS
WITH
    members_held AS (                 -- types are '' where there are none
        SELECT query_id, target, rank, src, dst, coalesce(x.edge_type, '') AS edge_type,
               coalesce(src_type, '') AS src_type, coalesce(dst_type, '') AS dst_type
        FROM sxq.explanations JOIN sxq.explanation_edges x USING (explanation_id) JOIN sxq.queries q USING (query_id)
        LEFT JOIN sxq.edge_types t ON t.graph_id = q.graph_id AND t.edge_type = x.edge_type),
    held AS (
        SELECT DISTINCT * FROM members_held
        UNION
        SELECT * REPLACE (NULL AS rank) FROM members_held),
    held_nodes AS (
        SELECT query_id, target, rank, src AS node, src_type AS node_type FROM held
        UNION SELECT query_id, target, rank, dst, dst_type FROM held),
    real AS (
        SELECT DISTINCT query_id, target, alternative, src, dst, coalesce(e.edge_type, '') AS edge_type,
               coalesce(src_type, '') AS src_type, coalesce(dst_type, '') AS dst_type
        FROM sxq.true_edges e JOIN sxq.queries q USING (query_id)
        LEFT JOIN sxq.edge_types t ON t.graph_id = q.graph_id AND t.edge_type = e.edge_type),
    real_nodes AS (
        SELECT query_id, target, alternative, src AS node, src_type AS node_type FROM real
        UNION SELECT query_id, target, alternative, dst, dst_type FROM real),
    truth_edges AS (SELECT query_id, target, alternative, count(*) AS wanted FROM real GROUP BY ALL),
    truth_nodes AS (SELECT query_id, target, alternative, count(*) AS wanted_nodes FROM real_nodes GROUP BY ALL),
    found AS (SELECT query_id, target, rank, count(*) AS having_edges FROM held GROUP BY ALL),
    found_nodes AS (SELECT query_id, target, rank, count(*) AS having_nodes FROM held_nodes GROUP BY ALL),
    hits AS (
        SELECT query_id, target, rank, alternative, count(*) AS hits
        FROM held JOIN real USING (query_id, target, src, dst, edge_type) GROUP BY ALL),
    node_hits AS (
        SELECT query_id, target, rank, alternative, count(*) AS node_hits
        FROM held_nodes JOIN real_nodes USING (query_id, target, node, node_type) GROUP BY ALL),
    counted AS (
        SELECT f.query_id, f.target, f.rank, t.alternative, having_edges, having_nodes, wanted, wanted_nodes,
               coalesce(hits, 0) AS hits, coalesce(node_hits, 0) AS node_hits
        FROM found f JOIN truth_edges t USING (query_id, target)
        JOIN truth_nodes USING (query_id, target, alternative)
        JOIN found_nodes n ON n.query_id = f.query_id AND n.target = f.target AND n.rank IS NOT DISTINCT FROM f.rank
        LEFT JOIN hits h ON h.query_id = f.query_id AND h.target = f.target AND h.rank IS NOT DISTINCT FROM f.rank
            AND h.alternative = t.alternative
        LEFT JOIN node_hits o ON o.query_id = f.query_id AND o.target = f.target
            AND o.rank IS NOT DISTINCT FROM f.rank AND o.alternative = t.alternative
        QUALIFY row_number() OVER (PARTITION BY f.query_id, f.target, f.rank
            ORDER BY coalesce(hits, 0) / (having_edges + wanted) DESC, t.alternative) = 1),
    members AS (
        SELECT counted.*, coalesce(e.recommended, false) AS recommended, k.rank IS NOT NULL AS is_knee,
               counted.rank IS NOT NULL AND row_number() OVER (PARTITION BY counted.query_id, counted.target
                   ORDER BY counted.rank IS NULL, hits / (having_edges + wanted) DESC, counted.rank) = 1 AS is_best
        FROM counted
        LEFT JOIN sxq.explanations e ON e.query_id = counted.query_id AND e.target = counted.target AND e.rank = counted.rank
        LEFT JOIN sxq.knee k ON k.query_id = counted.query_id AND k.target = counted.target AND k.rank = counted.rank)
SELECT
    query_id,                         -- of queries
    target,                           -- key
    m.member AS member,               -- rank, recommended, knee, best or union
    rank,                             -- of the member; NULL: the union
    alternative,                      -- of true_edges: the truth that it is compared with
    hits / having_edges AS precision, -- share of its edges that are true
    hits / wanted AS recall,          -- share of the true edges that it has
    2 * hits / (having_edges + wanted) AS f1, -- their harmonic mean
    hits / (having_edges + wanted - hits) AS jaccard, -- edges in both / edges in either
    node_hits / having_nodes AS node_precision, -- the same of the nodes at these edges
    node_hits / wanted_nodes AS node_recall, -- share of the true nodes that it has
    2 * node_hits / (having_nodes + wanted_nodes) AS node_f1, -- their harmonic mean
    node_hits / (having_nodes + wanted_nodes - node_hits) AS node_jaccard -- nodes in both / nodes in either
FROM members, (VALUES ('rank'), ('recommended'), ('knee'), ('best'), ('union')) m(member)
WHERE CASE m.member WHEN 'union' THEN rank IS NULL WHEN 'rank' THEN rank IS NOT NULL
      WHEN 'recommended' THEN recommended WHEN 'knee' THEN is_knee ELSE is_best END;

-- The counterfactual explanations of a query, as the literature reports them: FROM counterfactuals(1). For each size k
-- from 1 to 25, the share of targets with an explanation of at most k units; the other columns are of the whole query.
CREATE MACRO counterfactuals(of_query) AS TABLE
WITH
    smallest AS (
        SELECT t.target, any_value(field_size) AS field_size, min(size) FILTER (factual) AS keeps,
               min(size) FILTER (counterfactual) AS turns
        FROM sxq.targets t LEFT JOIN sxq.explanations USING (query_id, target)
        WHERE query_id = of_query GROUP BY t.target)
SELECT
    k,                                -- units, from 1 to 25
    count(*) FILTER (keeps <= k) / count(*) AS factual, -- share of targets with a factual explanation of at most k units
    count(*) FILTER (turns <= k) / count(*) AS counterfactual, -- the same for counterfactual ones
    count(turns) / count(*) AS found, -- share of targets with a counterfactual explanation of any size
    avg(turns) AS size,               -- mean size of the smallest, over the targets that have one
    avg(1 - turns / field_size) AS sparsity -- mean share of the field that it leaves alone
FROM smallest, range(1, 26) sizes(k)
GROUP BY k
ORDER BY k;

-- How much each edge, node and feature of a query's answers matters: FROM unit_scores(1). The score is the share of the
-- answer's members that hold it, each weighted by how many candidates it dominates. What no member holds has no row.
CREATE MACRO unit_scores(of_query) AS TABLE
WITH
    weighted AS MATERIALIZED (
        SELECT explanation_id, target, min(explanation_id) OVER own AS answer, dominance / sum(dominance) OVER own AS weight
        FROM sxq.explanations WHERE query_id = of_query WINDOW own AS (PARTITION BY target)),
    -- Keys are compared once for each different edge; all else goes by numbers. Files of earlier versions may lack the
    -- number of an edge: there each row is an edge of its own.
    listed AS MATERIALIZED (
        SELECT explanation_id, answer, weight, coalesce(edge, -1 - e.rowid) AS edge, src, dst, edge_type,
               worth_kept, worth_removed
        FROM weighted JOIN sxq.explanation_edges e USING (explanation_id)),
    different AS MATERIALIZED (
        SELECT edge, any_value(src) AS src, any_value(dst) AS dst, any_value(edge_type) AS edge_type
        FROM listed GROUP BY edge),
    parallel AS MATERIALIZED (        -- one number for all edges between the same nodes
        SELECT edge, min(edge) OVER (PARTITION BY src, dst, edge_type) AS first FROM different),
    ends AS MATERIALIZED (            -- the nodes at each edge
        SELECT edge, 2 * edge AS place, src AS node, src_type AS node_type
        FROM different e LEFT JOIN sxq.edge_types t
            ON t.edge_type = e.edge_type AND t.graph_id = (SELECT graph_id FROM sxq.queries WHERE query_id = of_query)
        UNION ALL
        SELECT edge, 2 * edge + 1, dst, dst_type
        FROM different e LEFT JOIN sxq.edge_types t
            ON t.edge_type = e.edge_type AND t.graph_id = (SELECT graph_id FROM sxq.queries WHERE query_id = of_query)),
    alike AS MATERIALIZED (           -- one number for all ends that are the same node
        SELECT edge, min(place) OVER (PARTITION BY node, node_type) AS first FROM ends),
    by_edge AS (
        SELECT answer, first, count(*) AS members, sum(weight) AS score, avg(worth_kept) AS worth_kept,
               avg(worth_removed) AS worth_removed
        FROM (SELECT answer, first, any_value(weight) AS weight, any_value(worth_kept) AS worth_kept,
                     any_value(worth_removed) AS worth_removed
              FROM listed JOIN parallel USING (edge) GROUP BY answer, explanation_id, first)
        GROUP BY answer, first),
    by_node AS (
        SELECT answer, first, count(*) AS members, sum(weight) AS score
        FROM (SELECT DISTINCT answer, explanation_id, first, weight FROM listed JOIN alike USING (edge)
              WHERE explanation_id NOT IN (SELECT explanation_id FROM sxq.explanation_nodes))
        GROUP BY answer, first),
    held AS (
        SELECT answer, 'edge' AS kind, src, dst, members, score, worth_kept, worth_removed, edge_type, NULL AS node_type
        FROM by_edge JOIN different ON different.edge = first
        UNION ALL
        SELECT answer, 'node', node, NULL, members, score, NULL, NULL, NULL, node_type
        FROM by_node JOIN ends ON place = first
        UNION ALL
        SELECT answer, 'node', node, NULL, count(*), sum(weight), avg(worth_kept), avg(worth_removed), NULL, node_type
        FROM weighted JOIN sxq.explanation_nodes USING (explanation_id) GROUP BY answer, node, node_type
        UNION ALL
        SELECT answer, 'feature', name::VARIANT, NULL, count(*), sum(weight), avg(worth_kept), avg(worth_removed), NULL, NULL
        FROM weighted JOIN sxq.explanation_features USING (explanation_id) GROUP BY answer, name)
SELECT
    target,                           -- key
    kind,                             -- edge, node or feature
    src,                              -- key of the edge's source, or of the node; name of the feature
    dst,                              -- key of the edge's head; NULL: no edge
    members,                          -- explanations that hold it
    score,                            -- 0 to 1
    worth_kept,                       -- mean over these explanations, of a unit
    worth_removed,                    -- as in explanation_edges
    edge_type,                        -- as in edges; NULL: no edge, or the graph has no types
    node_type                         -- as in nodes; NULL: no node, or the graph has no types
FROM held JOIN weighted ON explanation_id = held.answer
ORDER BY target, kind, score DESC, src, dst;

-- The quality of every answer by the indicators of Qiu et al. (equations 9 to 11), on the scores of the measures
-- that its query optimised. The union is taken over all stored answers for the target with the same model, graph,
-- measures and kind of units: explain a target in several ways, then compare.
-- FROM indicators(1); NULL stands for all queries.
CREATE MACRO indicators(of_query) AS TABLE
WITH
    asked AS (
        SELECT query_id, k, model_id, graph_id,
               CASE coalesce(settings->>'over', 'edges')
                   WHEN 'edges' THEN settings->>'edges_directed' WHEN 'nodes' THEN 'nodes'
                   ELSE settings->>'sxq_baseline' END AS directed,
               CAST(settings->'optimize' AS VARCHAR[]) AS measures
        FROM sxq.queries),
    wanted AS (FROM asked WHERE of_query IS NULL OR query_id = of_query),
    peers AS (                        -- the queries that ask the same
        SELECT query_id, measures FROM asked SEMI JOIN wanted USING (model_id, graph_id, directed, measures)),
    answered AS (FROM sxq.explanations WHERE of_query IS NULL OR query_id IN (SELECT query_id FROM peers)),
    members AS (
        SELECT query_id, target, list_transform(measures, lambda name: scores[name]) AS point
        FROM answered JOIN peers USING (query_id)),
    held AS (
        SELECT query_id, target, list(point) AS points FROM members
        WHERE of_query IS NULL OR query_id = of_query GROUP BY query_id, target),
    unions AS (
        SELECT model_id, graph_id, directed, measures, target, list(DISTINCT point) AS points
        FROM members JOIN asked USING (query_id)
        GROUP BY model_id, graph_id, directed, measures, target),
    compared AS (                     -- by measure: the scores of the answer, and the k largest of the union
        SELECT query_id, target, i, measures[i] AS measure,
               list_transform(held.points, lambda point: point[i]) AS own,
               list_reverse_sort(list_transform(unions.points, lambda point: point[i]))[:k] AS best
        FROM held JOIN asked USING (query_id)
        JOIN unions USING (model_id, graph_id, directed, measures, target), unnest(range(1, len(measures) + 1)) u(i))
SELECT
    query_id,                         -- of queries
    target,                           -- key
    any_value(len(own)) AS answers,   -- members of the answer
    avg(list_avg(own)) AS nipf,       -- mean score; larger is better
    sum(list_sum(list_transform(best, lambda b: list_min(list_transform(own, lambda o: abs(o - b))))))
        / sum(len(best)) AS nigd,     -- mean distance to the k largest scores of the union; smaller is better
    map_from_entries(list((measure, list_max(own) / best[1]) ORDER BY i)) AS nms, -- by measure: best score / best score of the union
    any_value(hypervolume) AS hypervolume, -- as in targets
    any_value(coverage) AS coverage,  -- as in targets
    any_value(epsilon_achieved) AS epsilon_achieved -- as in targets
FROM compared JOIN sxq.targets USING (query_id, target)
GROUP BY query_id, target;

-- The indicators of the answers of all queries.
CREATE VIEW indicators AS SELECT * FROM sxq.indicators(NULL);

-- The similarity of the answers to one question under several seeds: the Jaccard similarity of their edges (or features),
-- |shared| / |either|, over all pairs of queries whose plans differ only in SEED.
-- FROM stability(1): those of the question of query 1; NULL stands for all questions.
CREATE MACRO stability(of_query) AS TABLE
WITH
    questions AS (
        SELECT query_id, seed,
               (model_id, graph_id, settings, regexp_replace(plan, '; seed [0-9]+', '')) AS question
        FROM sxq.queries),
    alike AS (                        -- the queries with the question of the given one
        FROM questions WHERE of_query IS NULL
        OR question IN (SELECT question FROM questions WHERE query_id = of_query)),
    found AS (
        SELECT query_id, target, list(DISTINCT (src, dst, edge_type)) AS edges
        FROM (FROM sxq.explanations WHERE of_query IS NULL OR query_id IN (SELECT query_id FROM alike)) JOIN (
            SELECT explanation_id, src, dst, edge_type FROM sxq.explanation_edges
            UNION ALL SELECT explanation_id, name::VARIANT, name::VARIANT, NULL FROM sxq.explanation_features)
        USING (explanation_id) GROUP BY query_id, target),
    asked AS (
        SELECT query_id, seed, target, edges, question FROM found JOIN alike USING (query_id)),
    paired AS (
        SELECT a.question, a.target, a.query_id, len(list_intersect(a.edges, b.edges)) AS shared,
               shared / (len(a.edges) + len(b.edges) - shared) AS jaccard
        FROM asked a JOIN asked b ON a.question = b.question AND a.target = b.target AND a.seed < b.seed)
SELECT
    min(query_id) AS query_id,        -- the first query with that question
    target,                           -- key
    count(*) AS pairs,                -- pairs of answers compared
    avg(jaccard) AS jaccard,          -- their mean similarity; 1 means that all answers have the same edges
    min(jaccard) AS least             -- the similarity of the two that are least alike
FROM paired
GROUP BY question, target;

-- The stability of the answers to all questions.
CREATE VIEW stability AS SELECT * FROM sxq.stability(NULL);

-- The saliency that ReFine (PRETRAIN REFINE) gives to the edges of a pattern of EXPLAIN CLASS, beside that of the other
-- edges of the same targets. Only targets that hold the pattern and that the attributors learned from are counted.
CREATE VIEW pattern_saliency AS
WITH
    held AS (                         -- the edges of every match, in both directions if the pattern has none
        SELECT m.query_id, m.pattern, e.target, u.node AS src, v.node AS dst
        FROM sxq.pattern_edges m
        JOIN sxq.pattern_matches u ON u.query_id = m.query_id AND u.pattern = m.pattern AND u.pattern_node = m.src
        JOIN sxq.pattern_matches v ON v.query_id = m.query_id AND v.pattern = m.pattern AND v.pattern_node = m.dst
            AND v.explanation_id = u.explanation_id
        JOIN sxq.explanations e ON e.explanation_id = u.explanation_id),
    ways AS (
        SELECT DISTINCT query_id, pattern, target, src, dst FROM held
        UNION
        SELECT query_id, pattern, target, dst, src FROM held JOIN sxq.patterns USING (query_id, pattern) WHERE NOT directed),
    known AS (                        -- the saliency of every edge of a target of the class
        SELECT p.query_id, p.pattern, r.name AS refine, s.target, d.src, d.dst, s.saliency
        FROM sxq.patterns p JOIN sxq.queries q ON q.query_id = p.query_id
        JOIN sxq.refines r ON r.model_id = q.model_id AND r.graph_id = q.graph_id AND r.dropped_at IS NULL
        JOIN sxq.saliency s ON s.refine_id = r.refine_id AND s.class = p.class
        JOIN sxq.edges d ON d.graph_id = r.graph_id AND d.edge = s.edge
        WHERE EXISTS (FROM ways w WHERE w.query_id = p.query_id AND w.pattern = p.pattern AND w.target = s.target))
SELECT
    k.query_id,                       -- of queries
    k.pattern,                        -- of patterns
    k.refine,                         -- name of the attributors
    count(DISTINCT k.target) AS targets, -- targets that hold the pattern and that the attributors learned from
    avg(k.saliency) FILTER (w.src IS NOT NULL) AS inside, -- mean saliency of the edges of the pattern
    avg(k.saliency) FILTER (w.src IS NULL) AS outside -- mean saliency of the other edges of the same targets
FROM known k LEFT JOIN ways w USING (query_id, pattern, target, src, dst)
GROUP BY k.query_id, k.pattern, k.refine;

-- How well the models predict the labels, as measured when they were trained or their weights were read: accuracy for each
-- split; precision, recall and counts by class for the test nodes (without a split, for all), for at most 50 classes.
-- FROM model_metrics WHERE model = 'gcn' AND metric = 'recall'.
CREATE VIEW model_metrics AS
WITH
    facts AS (
        SELECT model_id, name, spec->'learned' AS learned, unnest(json_keys(spec->'learned')) AS fact
        FROM sxq.models WHERE dropped_at IS NULL AND json_type(spec->'learned') = 'OBJECT'),
    found AS (
        SELECT model_id, name, learned->>fact AS words, regexp_extract(fact, '^(train|val|test|all) (accuracy|AUC)$', 2) AS rate,
               regexp_extract(fact, '^(train|val|test|all)(:? )', 1) AS split,
               TRY_CAST(regexp_extract(fact, '^(train|val|test|all): label (\d+)$', 2) AS BIGINT) AS label
        FROM facts),
    counts AS (
        SELECT model_id, name, split, label, TRY_CAST(regexp_extract(pair, ' as (\d+)$', 1) AS BIGINT) AS predicted,
               coalesce(TRY_CAST(regexp_extract(pair, '^(\d+) as ', 1) AS BIGINT), 0) AS nodes
        FROM (SELECT * EXCLUDE words, unnest(string_split(words, ', ')) AS pair FROM found WHERE label IS NOT NULL)),
    classes AS (
        SELECT model_id, name, split, c.label,
               (SELECT sum(nodes) FROM counts o WHERE o.model_id = c.model_id AND o.predicted = c.label) AS predicted,
               sum(nodes) AS labelled, sum(nodes) FILTER (predicted = c.label) AS right_ones
        FROM counts c GROUP BY model_id, name, split, c.label)
SELECT
    m.model_id,                       -- of models
    m.name AS model,                  -- the user's name of the model
    m.split,                          -- train, val, test, or all labelled nodes
    m.metric,                         -- accuracy, AUC (of links), precision, recall, or count: how many nodes
    m.class,                          -- for count, the label of the nodes; for precision and recall, the class; NULL: all classes
    m.predicted,                      -- for count, the class that the model predicts for the nodes; else NULL
    m.value                           -- a share, or for count the number of nodes; NULL: there is no node to divide by
FROM (
    SELECT model_id, name, split, rate AS metric, NULL::BIGINT AS class, NULL::BIGINT AS predicted,
           TRY_CAST(words AS DOUBLE) AS value
    FROM found WHERE rate <> ''
    UNION ALL
    SELECT model_id, name, split, 'precision', label, NULL, coalesce(right_ones, 0) / nullif(predicted, 0) FROM classes
    UNION ALL
    SELECT model_id, name, split, 'recall', label, NULL, coalesce(right_ones, 0) / nullif(labelled, 0) FROM classes
    UNION ALL
    SELECT model_id, name, split, 'count', label, predicted, nodes FROM counts WHERE predicted IS NOT NULL) m;

-- Edge columns that are no numbers, such as the time of a transfer: as text, which a cast turns back. Numbers are in
-- edges.attr; with SCALE, edges.attr has the scaled numbers, and this view those of your table.
CREATE VIEW edge_attributes AS
SELECT
    graph_id,                         -- of graphs
    unnest(generate_series(0, num_edges - 1)) AS edge, -- of edges
    i.name,                           -- of the column in the user's table
    unnest(CAST(decode(content) AS JSON)::VARCHAR[]) AS value -- as SQL writes it; NULL where the column was
FROM sxq.graph_inputs i JOIN sxq.graphs USING (graph_id)
WHERE level = 'edge attribute';

-- Whether the answer of each target is that of the present version of its graph, and what REFRESH did with it.
CREATE VIEW freshness AS
SELECT
    q.query_id,                       -- of queries
    t.target,                         -- key
    t.node_type,                      -- of targets
    g.name AS graph,                  -- of graphs
    g.version AS graph_version,       -- that the answer holds on
    now.version AS current_version,   -- of the graph; NULL: it was dropped
    coalesce(g.graph_id = now.graph_id, false) AS fresh, -- whether the two are the same graph
    t.refreshed,                      -- of targets: carried, measured, searched, gone; NULL: of an EXPLAIN
    t.status,                         -- of targets
    q.refreshes,                      -- of queries: the query that had the answer before
    (SELECT max(later.query_id) FROM sxq.queries later WHERE later.refreshes = q.query_id) AS refreshed_by, -- the one that has it next
    t.note                            -- of targets
FROM sxq.queries q JOIN sxq.targets t ON t.query_id = q.query_id
JOIN sxq.graphs g ON g.graph_id = q.graph_id
LEFT JOIN sxq.graphs now ON now.name = g.name AND now.dropped_at IS NULL;
