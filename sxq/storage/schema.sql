-- The tables of schema `sxq`. The engine writes them; read them as you like, and join them with your own.
--
-- A node is known by its *key*, the name you gave it: an integer, text, UUID, DATE, TIME, TIMESTAMP, DECIMAL,
-- DOUBLE or BLOB. Key columns are VARIANT, which compares and joins with your column as it is; a literal needs
-- the type (42 and '42' are different keys, a UUID is UUID '...'). *Positions*
-- 0 .. n-1 index the rows of `data.x`; for a graph registered from a `Data` without keys, key = position.
-- Times are UTC. Only the result columns of `queries` and `targets` are ever updated.
--
-- This file is run once, in an empty schema that is the search path. It makes what the files of migrations/ make of
-- an older database.

CREATE TABLE schema_version (
    version INTEGER NOT NULL          -- of this file; the largest counts; migrations/ convert an older file
);

CREATE SEQUENCE graph_ids;
CREATE SEQUENCE model_ids;
CREATE SEQUENCE refine_ids;
CREATE SEQUENCE query_ids;
CREATE SEQUENCE explanation_ids;

-- One row per graph, and per collection of graphs. A name is in use by at most one row whose dropped_at is NULL.
CREATE TABLE graphs (
    graph_id      BIGINT PRIMARY KEY, -- allotted once, never used again
    name          VARCHAR NOT NULL,   -- the user's
    content_hash  VARCHAR NOT NULL,   -- equal content, equal hash
    num_nodes     BIGINT NOT NULL,    -- length of nodes
    num_edges     BIGINT NOT NULL,    -- directed edges
    num_features  INTEGER NOT NULL,   -- length of nodes.x
    num_classes   INTEGER,            -- distinct labels; NULL without labels
    num_graphs    BIGINT,             -- graphs in a collection, whose counts are sums; NULL: a single graph
    undirected    BOOLEAN NOT NULL,   -- every edge is stored in both directions
    key_type      VARCHAR,            -- SQL type of the keys; NULL: they are positions
    graph_key_type VARCHAR,           -- the same for the graphs of a collection; NULL: keys are numbers
    edge_features INTEGER,            -- length of edges.attr; NULL without edge features
    parts         VARCHAR[] NOT NULL, -- those of y, split, edge_weight, edge_attr, edge_truth that it has; inputs: rows of graph_inputs; types: rows of node_types
    attributes    VARCHAR[] NOT NULL, -- names of the further node columns, in order
    created_at    TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), -- UTC
    dropped_at    TIMESTAMP,          -- when the name was dropped or replaced; the row stays while something refers to it
    version       INTEGER             -- of the graph with this name, from 1: ALTER GRAPH and OR REPLACE make the next one
);

-- One row per graph of a collection.
CREATE TABLE graph_members (
    graph_id   BIGINT NOT NULL,       -- of graphs: the collection
    number     BIGINT NOT NULL,       -- 0 .. num_graphs - 1
    graph      VARIANT NOT NULL,      -- key: the number, unless you named it
    label      BIGINT,                -- class
    split      VARCHAR,               -- train, val, test or ''
    num_nodes  BIGINT NOT NULL,       -- its nodes follow those of the graphs before it
    num_edges  BIGINT NOT NULL        -- so do its edges
);

-- One row per node.
CREATE TABLE nodes (
    graph_id   BIGINT NOT NULL,       -- of graphs
    position   BIGINT NOT NULL,       -- 0 .. num_nodes - 1, through all graphs of a collection
    node       VARIANT NOT NULL,      -- key; in a collection, unique within its graph; with types, within its type
    graph      VARIANT,               -- key of its graph in a collection; NULL: no collection
    label      BIGINT,                -- class
    split      VARCHAR,               -- train, val, test or ''
    x          FLOAT[] NOT NULL,      -- features; with types, those of a type come first, the rest are 0
    attributes MAP(VARCHAR, VARIANT), -- further columns, never shown to a model: attributes['city']
    node_type  VARCHAR                -- of node_types; NULL: the graph has no types
);

-- One row per directed edge; messages flow from src to dst.
CREATE TABLE edges (
    graph_id     BIGINT NOT NULL,     -- of graphs
    edge         BIGINT NOT NULL,     -- 0 .. num_edges - 1: column of data.edge_index
    graph        VARIANT,             -- as in nodes
    src          VARIANT NOT NULL,    -- key
    dst          VARIANT NOT NULL,    -- key
    src_position BIGINT NOT NULL,     -- src as nodes.position
    dst_position BIGINT NOT NULL,     -- dst as nodes.position
    weight       FLOAT,               -- edge_weight
    attr         FLOAT[],             -- edge_attr
    truth        BOOLEAN,             -- in the ground truth, such as a motif of generated data; NULL: unknown
    edge_type    VARCHAR              -- of edge_types; NULL: the graph has no types
);

-- One row per array of a graph that the tables above cannot hold as a model is given it: features of another type than
-- float, further inputs of models such as edge_type.
CREATE TABLE graph_inputs (
    graph_id BIGINT NOT NULL,         -- of graphs
    ordinal  INTEGER NOT NULL,        -- place among those of the graph, from 0
    name     VARCHAR NOT NULL,        -- the field of the data
    level    VARCHAR NOT NULL,        -- node, edge: an input with a row for each; form: of x, edge_weight or edge_attr; left out; encoding; names: of the columns of
                                      -- edge_attr; edge attribute: a further edge column, which the view edge_attributes shows
    form     VARCHAR NOT NULL,        -- type and shape of a row: int64 []; if left out, what was found; of encoding (how columns
                                      -- of a table became x) and names, JSON; of an edge attribute JSON (text), or the SQL type that a cast gives back
    content  BLOB                     -- the values, row by row; NULL: nodes or edges hold them exactly
);

-- The types of the nodes of a heterogeneous graph; its nodes lie in this order.
CREATE TABLE node_types (
    graph_id     BIGINT NOT NULL,     -- of graphs
    number       INTEGER NOT NULL,    -- from 0
    node_type    VARCHAR NOT NULL,    -- name
    num_features INTEGER NOT NULL     -- how many values of nodes.x its nodes have
);

-- The types of its edges.
CREATE TABLE edge_types (
    graph_id      BIGINT NOT NULL,    -- of graphs
    number        INTEGER NOT NULL,   -- from 0
    edge_type     VARCHAR NOT NULL,   -- as a statement writes it: account -pays-> merchant
    src_type      VARCHAR NOT NULL,   -- type of the sources
    relation      VARCHAR NOT NULL,   -- rev_ begins that of a type whose edges mirror another's
    dst_type      VARCHAR NOT NULL,   -- type of the heads
    edge_features INTEGER NOT NULL    -- how many values of edges.attr its edges have
);

-- One row per model. Names as in graphs.
CREATE TABLE models (
    model_id     BIGINT PRIMARY KEY,  -- allotted once, never used again
    name         VARCHAR NOT NULL,    -- the user's
    graph_id     BIGINT NOT NULL,     -- the graph it was registered on
    content_hash VARCHAR NOT NULL,    -- of architecture, options and weights
    spec         JSON NOT NULL,       -- architecture, options, output, layers; the class of a foreign module
    weights      BLOB,                -- safetensors; NULL: a foreign module, detached after reopening
    probe        JSON,                -- always NULL; earlier versions stored logits here
    created_at   TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), -- UTC
    dropped_at   TIMESTAMP            -- as in graphs
);

-- One row per set of pre-trained attributors (PRETRAIN REFINE). Names as in graphs.
CREATE TABLE refines (
    refine_id    BIGINT PRIMARY KEY,  -- allotted once, never used again
    name         VARCHAR NOT NULL,    -- the user's
    model_id     BIGINT NOT NULL,     -- of models: the model they explain
    graph_id     BIGINT NOT NULL,     -- of graphs: the graph they learned from
    content_hash VARCHAR NOT NULL,    -- of weights and spec
    spec         JSON NOT NULL,       -- sizes, options, targets learned from, losses of the epochs, versions
    weights      BLOB NOT NULL,       -- safetensors
    created_at   TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), -- UTC
    dropped_at   TIMESTAMP            -- as in graphs
);

-- The saliency that attributors give to every edge they learned from: the global view of a model, class by class.
CREATE TABLE saliency (
    refine_id BIGINT NOT NULL,        -- of refines
    target    VARIANT NOT NULL,       -- key of the graph of a collection, or of the node whose field it is
    class     INTEGER NOT NULL,       -- the model's prediction for the target; the attributor of this class was used
    edge      BIGINT NOT NULL,        -- of edges
    saliency  DOUBLE NOT NULL         -- probability that the edge matters to that class, 0 to 1
);

-- One row per EXPLAIN.
CREATE TABLE queries (
    query_id   BIGINT PRIMARY KEY,    -- counted from 1
    text       VARCHAR NOT NULL,      -- the statement
    plan       VARCHAR NOT NULL,      -- as PLAN EXPLAIN printed it
    model_id   BIGINT NOT NULL,       -- of models
    graph_id   BIGINT NOT NULL,       -- of graphs
    settings   JSON NOT NULL,         -- the sxq_ settings it ran with, edges_directed and optimize
    seed       BIGINT NOT NULL,       -- SEED: every random choice follows from it
    epsilon    DOUBLE NOT NULL,       -- EPSILON of the dominance
    k          INTEGER NOT NULL,      -- TOP k
    device     VARCHAR NOT NULL,      -- where the model ran: cpu, cuda
    versions   JSON NOT NULL,         -- of sxq, torch, torch_geometric, ...
    started_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), -- UTC
    seconds    DOUBLE,                -- NULL while it runs, and afterwards if its process was killed
    complete   BOOLEAN,               -- every generator of every target came to its end, leaving nothing out for lack
                                      -- of budget
    status     VARCHAR NOT NULL,      -- running; done: it came to an end, also a stopped one or one that failed;
                                      -- interrupted: its process was killed
    refreshes  BIGINT                 -- the query whose answers REFRESH brought to a new version of the graph; NULL: none
);

-- One row per edge that INCLUDE or EXCLUDE of a query names; where units are pairs, it stands for both directions.
CREATE TABLE query_edges (
    query_id BIGINT NOT NULL,         -- of queries
    clause   VARCHAR NOT NULL,        -- include: every explanation holds it; exclude: none does
    src      VARIANT NOT NULL,        -- key
    dst      VARIANT NOT NULL         -- key
);

-- One row per target of a query: written pending before the run, filled in with its explanations.
CREATE TABLE targets (
    query_id         BIGINT NOT NULL,  -- of queries
    target           VARIANT NOT NULL, -- key of the node, or of the graph; of a link a STRUCT of the keys u and v of its ends
    ordinal          INTEGER NOT NULL, -- place in the query, from 0
    status           VARCHAR NOT NULL, -- pending, done, stopped, empty, failed; interrupted: still pending when
                                       -- its process was killed
    prediction       INTEGER,          -- what the model says: the class, of several labels the most probable, of a regression the column
    class            INTEGER,          -- the class c in question: that of FOR CLASS, or what the model says; NULL in older files: prediction
    against          INTEGER,          -- the class d of AGAINST
    probability      DOUBLE,           -- p(c) on the whole graph, AGAINST d its share of both; of a regression the number
    p_empty          DOUBLE,           -- the same without any candidate edge
    self_sufficient  BOOLEAN,          -- the model gives the same answer without any edge, so "factual" is weak evidence
    field_size       BIGINT,           -- candidate units in the receptive field
    hops             INTEGER,          -- depth of the receptive field; for a graph, its onion layers
    candidates       BIGINT,           -- distinct candidates verified
    pruned           BIGINT,           -- distinct candidates not verified, because they are dominated whatever the model says
    explanatory      BIGINT,           -- verified candidates that are factual or counterfactual (and admitted by WHERE)
    front            BIGINT,           -- size of the exact Pareto set of the explanatory ones
    dominance        BIGINT,           -- explanatory candidates that the answer epsilon-dominates
    coverage         DOUBLE,           -- dominance / explanatory
    epsilon_achieved DOUBLE,           -- smallest epsilon at which the answer covers everything
    hypervolume      DOUBLE,           -- volume that the answer's scores dominate above 0, in their own measures
    proved           BOOLEAN,          -- of SMALLEST: no smaller member exists; NULL without SMALLEST, or without a member
    bound            BIGINT,           -- every candidate of at most so many units was verified: what exhaustive and SMALLEST prove
    complete         BOOLEAN,          -- every generator came to its end, leaving nothing out for lack of budget
    seconds          DOUBLE,           -- time spent on this target
    note             VARCHAR,          -- why an answer is empty, thinned, or shorter than asked; how exact its values are if logits are too large for 1e-5
    node_type        VARCHAR,          -- as in nodes; the same for all targets of a query
    refreshed        VARCHAR,          -- what REFRESH did: carried (nothing in its field changed), measured (its explanations
                                       -- were, again), searched (again), gone; NULL: the target of an EXPLAIN, or still to do
    PRIMARY KEY (query_id, ordinal)
);

-- One row per member of an answer.
CREATE TABLE explanations (
    explanation_id BIGINT PRIMARY KEY, -- unique across queries
    query_id       BIGINT NOT NULL,   -- of queries
    target         VARIANT NOT NULL,  -- key
    rank           INTEGER NOT NULL,  -- from 1; in a joint answer, counted across all its targets
    recommended    BOOLEAN,           -- the member to look at first: most like the others of its target, weighted by their
                                      -- fidelities; NULL in files of earlier versions
    size           BIGINT NOT NULL,   -- units: pairs on undirected graphs, directed edges otherwise
    num_nodes      BIGINT NOT NULL,   -- nodes of its edges, the target among them
    factual        BOOLEAN NOT NULL,  -- the subgraph alone keeps the prediction
    counterfactual BOOLEAN NOT NULL,  -- removing it changes the prediction
    tie            BOOLEAN NOT NULL,  -- one of the two rests on a top-two margin below 1e-5, or below the resolution of float32 for logits so large
    generator      VARCHAR NOT NULL,  -- the generator that proposed it; field: the whole field or its largest part, tried before all others
    dominance      BIGINT NOT NULL,   -- explanatory candidates that it epsilon-dominates
    fdl_plus       DOUBLE,            -- raw measure; NULL if the query did not ask for it
    fdl_minus      DOUBLE,            -- raw measure
    conc           DOUBLE,            -- raw measure
    raw            MAP(VARCHAR, DOUBLE) NOT NULL, -- the literature's value of every measure: raw['fdl+'];
                                      -- for sampled ones also the standard error: raw['rfdl+ se']
    scores         MAP(VARCHAR, DOUBLE) NOT NULL, -- the values that were compared: larger is better, in (0, 1]
    graph_version  INTEGER            -- the version of the graph that it holds on, as in graphs
);

-- One row per directed edge of an explanation.
CREATE TABLE explanation_edges (
    explanation_id BIGINT NOT NULL,   -- of explanations
    src            VARIANT NOT NULL,  -- key
    dst            VARIANT NOT NULL,  -- key
    unit           BIGINT,            -- the unit it belongs to, by its number in the field of the target: both directions of a
                                      -- pair, and parallel edges, have one; NULL here and below in files of earlier versions
    edge           BIGINT,            -- of edges: parallel edges are told apart
    worth_kept     DOUBLE,            -- what p loses on G_s when the unit alone is left out; NULL: not measured, it did
                                      -- not fit sxq_worth_budget
    worth_removed  DOUBLE,            -- what p regains on G \ G_s when the unit alone is put back
    needed         BOOLEAN,           -- without the unit the explanation is no longer factual or counterfactual as it is
    edge_type      VARCHAR            -- as in edges; it says of what types src and dst are
);

-- One row per node that is a unit of an explanation OVER NODES; explanation_edges has the edges among them and the
-- target, without unit and worth.
CREATE TABLE explanation_nodes (
    explanation_id BIGINT NOT NULL,   -- of explanations
    node           VARIANT NOT NULL,  -- key
    worth_kept     DOUBLE,            -- as in explanation_edges
    worth_removed  DOUBLE,            -- as in explanation_edges
    needed         BOOLEAN,           -- as in explanation_edges
    node_type      VARCHAR            -- as in nodes
);

-- One row per feature that is a unit of an explanation OVER FEATURES.
CREATE TABLE explanation_features (
    explanation_id BIGINT NOT NULL,   -- of explanations
    feature        INTEGER NOT NULL,  -- column of x, from 0
    name           VARCHAR NOT NULL,  -- as in features; x[3] where the graph has no names
    value          DOUBLE NOT NULL,   -- what it is at the target; of a graph, the mean over its nodes
    worth_kept     DOUBLE,            -- as in explanation_edges
    worth_removed  DOUBLE,            -- as in explanation_edges
    needed         BOOLEAN            -- as in explanation_edges
);

-- The names of the features of graphs that have them: those of the columns that a query gave for the nodes, in order.
CREATE TABLE features (
    graph_id BIGINT NOT NULL,         -- of graphs
    feature  INTEGER NOT NULL,        -- column of x, from 0
    name     VARCHAR NOT NULL,        -- of the column; if it is a list, with the place in it: x[3]
    node_type VARCHAR                 -- of nodes, whose column it is; NULL: the graph has no types
);

-- Known truths: edges that explain a target. The view agreement compares answers with them. Fill the table as you
-- like, for nodes of a graph or graphs of a collection; the engine only reads it. A target may have several alternatives.
CREATE TABLE truths (
    graph_id    BIGINT NOT NULL,      -- of graphs
    target      VARIANT NOT NULL,     -- key of the node, or of the graph
    alternative INTEGER NOT NULL,     -- number of the truth, from 0
    src         VARIANT NOT NULL,     -- key of an edge's source; both directions of a pair are two rows
    dst         VARIANT NOT NULL      -- key of its head
);

-- Every candidate that a search verified, with the one it was made from; kept with SET sxq_keep_candidates = true.
CREATE TABLE candidates (
    query_id       BIGINT NOT NULL,   -- of queries
    target         VARIANT NOT NULL,  -- key
    candidate      BIGINT NOT NULL,   -- number within the target, in the order of verification
    parent         BIGINT,            -- the candidate it was made from
    edited_src     VARIANT,           -- key of one end of the unit that was removed from the parent or added to it; OVER
                                      -- NODES the node, OVER FEATURES the feature's name
    edited_dst     VARIANT,           -- key of its other end; OVER NODES and OVER FEATURES the same again
    generator      VARCHAR,           -- the generator that proposed it
    size           BIGINT,            -- units
    factual        BOOLEAN,           -- as in explanations
    counterfactual BOOLEAN,           -- as in explanations
    explanatory    BOOLEAN,           -- factual or counterfactual, and admitted by WHERE
    scores         MAP(VARCHAR, DOUBLE), -- as in explanations
    edge_type      VARCHAR,           -- as in edges, of the edited edge; of a pair, the type from edited_src to edited_dst. NULL: the
                                      -- unit is no edge, the graph has no types, or an earlier version wrote the file
    node_type      VARCHAR            -- as in nodes, of the edited node (OVER NODES); else NULL
);

-- The patterns that recur in the explanations of a class: those of EXPLAIN CLASS that no other pattern beats in
-- support, fidelity and size.
CREATE TABLE patterns (
    query_id    BIGINT NOT NULL,      -- of queries
    pattern     INTEGER NOT NULL,     -- number within the query, from 1: by support, then size
    class       INTEGER NOT NULL,     -- c of EXPLAIN CLASS c
    support     DOUBLE NOT NULL,      -- held_by / targets
    held_by     BIGINT NOT NULL,      -- targets of which some explanation holds it
    targets     BIGINT NOT NULL,      -- targets that have explanations
    fidelity    DOUBLE NOT NULL,      -- mean over the targets that hold it of (fdl+ + 1 - |fdl-|) / 2 of their best
                                      -- explanation that does
    size        INTEGER NOT NULL,     -- edges; a pair of an undirected graph counts once
    num_nodes   INTEGER NOT NULL,     -- nodes
    alike       BIGINT NOT NULL,      -- patterns with the same support, fidelity and size, this one among them
    shape       VARCHAR NOT NULL,     -- in words: edge, path, star, tree, triangle, house, ...
    labelled_by VARCHAR NOT NULL,     -- what tells nodes apart: prediction, label, feature, none or a node column
    directed    BOOLEAN NOT NULL      -- whether its edges have directions
);

-- One row per node of a pattern.
CREATE TABLE pattern_nodes (
    query_id BIGINT NOT NULL,         -- of queries
    pattern  INTEGER NOT NULL,        -- of patterns
    node     INTEGER NOT NULL,        -- number within the pattern, from 0
    label    VARCHAR NOT NULL,        -- as text; empty where a node has none; begins with node_type if the graph has types
    node_type VARCHAR                 -- as in nodes; NULL: the graph has no types
);

-- One row per edge of a pattern; a pair of an undirected graph has one row.
CREATE TABLE pattern_edges (
    query_id BIGINT NOT NULL,         -- of queries
    pattern  INTEGER NOT NULL,        -- of patterns
    src      INTEGER NOT NULL,        -- node of the pattern
    dst      INTEGER NOT NULL,        -- node of the pattern
    edge_type VARCHAR,                -- as in edges; of a pair, the type that mirrors no other. NULL: the graph has no types, or the
                                      -- file is of a version that did not tell patterns apart by edge type
    one_way  BOOLEAN                  -- true: one edge from src to dst; false: a pair of edges of one type, in both directions
);

-- The explanations that hold a pattern, each with one place where it does: one row per node of the pattern.
CREATE TABLE pattern_matches (
    query_id       BIGINT NOT NULL,   -- of queries
    pattern        INTEGER NOT NULL,  -- of patterns
    explanation_id BIGINT NOT NULL,   -- of explanations
    pattern_node   INTEGER NOT NULL,  -- node of the pattern
    node           VARIANT NOT NULL   -- key of the node of the explanation
);
