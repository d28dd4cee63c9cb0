-- From versions 1 and 2 to 3. Versions 1 and 2 name several shapes: `hypervolume` and `pruned` came to targets,
-- collections and true edges to graphs, nodes and edges, and attributors in tables of their own. Version 3 adds
-- `queries.status`. Every table that ever changed is made anew and filled by name, so that whatever shape a file has,
-- its columns have the names, types and order of a new one. No function is called here: a macro of the file could
-- bear its name.

CREATE SEQUENCE IF NOT EXISTS refine_ids;

CREATE TABLE IF NOT EXISTS graph_members (
    graph_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    graph VARIANT NOT NULL,
    label BIGINT,
    split VARCHAR,
    num_nodes BIGINT NOT NULL,
    num_edges BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS graph_inputs (
    graph_id BIGINT NOT NULL,
    ordinal  INTEGER NOT NULL,
    name     VARCHAR NOT NULL,
    level    VARCHAR NOT NULL,
    form     VARCHAR NOT NULL,
    content  BLOB
);

CREATE TABLE IF NOT EXISTS truths (
    graph_id BIGINT NOT NULL,
    target VARIANT NOT NULL,
    alternative INTEGER NOT NULL,
    src VARIANT NOT NULL,
    dst VARIANT NOT NULL
);

CREATE TABLE IF NOT EXISTS explanation_nodes (
    explanation_id BIGINT NOT NULL,
    node VARIANT NOT NULL,
    worth_kept DOUBLE,
    worth_removed DOUBLE,
    needed BOOLEAN
);

CREATE TABLE IF NOT EXISTS explanation_features (
    explanation_id BIGINT NOT NULL,
    feature INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    worth_kept DOUBLE,
    worth_removed DOUBLE,
    needed BOOLEAN
);

CREATE TABLE IF NOT EXISTS features (
    graph_id BIGINT NOT NULL,
    feature INTEGER NOT NULL,
    name VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS refines (
    refine_id BIGINT PRIMARY KEY,
    name VARCHAR NOT NULL,
    model_id BIGINT NOT NULL,
    graph_id BIGINT NOT NULL,
    content_hash VARCHAR NOT NULL,
    spec JSON NOT NULL,
    weights BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    dropped_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS saliency (
    refine_id BIGINT NOT NULL,
    target VARIANT NOT NULL,
    class INTEGER NOT NULL,
    edge BIGINT NOT NULL,
    saliency DOUBLE NOT NULL
);

CREATE TABLE IF NOT EXISTS query_edges (
    query_id BIGINT NOT NULL,
    clause VARCHAR NOT NULL,
    src VARIANT NOT NULL,
    dst VARIANT NOT NULL
);

ALTER TABLE graphs RENAME TO old_graphs;
CREATE TABLE graphs (
    graph_id BIGINT PRIMARY KEY,
    name VARCHAR NOT NULL,
    content_hash VARCHAR NOT NULL,
    num_nodes BIGINT NOT NULL,
    num_edges BIGINT NOT NULL,
    num_features INTEGER NOT NULL,
    num_classes INTEGER,
    num_graphs BIGINT,
    undirected BOOLEAN NOT NULL,
    key_type VARCHAR,
    graph_key_type VARCHAR,
    edge_features INTEGER,
    parts VARCHAR[] NOT NULL,
    attributes VARCHAR[] NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    dropped_at TIMESTAMP
);
INSERT INTO graphs BY NAME SELECT * FROM old_graphs;
DROP TABLE old_graphs;

ALTER TABLE nodes RENAME TO old_nodes;
CREATE TABLE nodes (
    graph_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    node VARIANT NOT NULL,
    graph VARIANT,
    label BIGINT,
    split VARCHAR,
    x FLOAT[] NOT NULL,
    attributes MAP(VARCHAR, VARIANT)
);
INSERT INTO nodes BY NAME SELECT * FROM old_nodes;
DROP TABLE old_nodes;

ALTER TABLE edges RENAME TO old_edges;
CREATE TABLE edges (
    graph_id BIGINT NOT NULL,
    edge BIGINT NOT NULL,
    graph VARIANT,
    src VARIANT NOT NULL,
    dst VARIANT NOT NULL,
    src_position BIGINT NOT NULL,
    dst_position BIGINT NOT NULL,
    weight FLOAT,
    attr FLOAT[],
    truth BOOLEAN
);
INSERT INTO edges BY NAME SELECT * FROM old_edges;
DROP TABLE old_edges;

ALTER TABLE explanations RENAME TO old_explanations;
CREATE TABLE explanations (
    explanation_id BIGINT PRIMARY KEY,
    query_id BIGINT NOT NULL,
    target VARIANT NOT NULL,
    rank INTEGER NOT NULL,
    recommended BOOLEAN,
    size BIGINT NOT NULL,
    num_nodes BIGINT NOT NULL,
    factual BOOLEAN NOT NULL,
    counterfactual BOOLEAN NOT NULL,
    tie BOOLEAN NOT NULL,
    generator VARCHAR NOT NULL,
    dominance BIGINT NOT NULL,
    fdl_plus DOUBLE,
    fdl_minus DOUBLE,
    conc DOUBLE,
    raw MAP(VARCHAR, DOUBLE) NOT NULL,
    scores MAP(VARCHAR, DOUBLE) NOT NULL
);
INSERT INTO explanations BY NAME SELECT * FROM old_explanations;
DROP TABLE old_explanations;

ALTER TABLE explanation_edges RENAME TO old_explanation_edges;
CREATE TABLE explanation_edges (
    explanation_id BIGINT NOT NULL,
    src VARIANT NOT NULL,
    dst VARIANT NOT NULL,
    unit BIGINT,
    edge BIGINT,
    worth_kept DOUBLE,
    worth_removed DOUBLE,
    needed BOOLEAN
);
INSERT INTO explanation_edges BY NAME SELECT * FROM old_explanation_edges;
DROP TABLE old_explanation_edges;

ALTER TABLE targets RENAME TO old_targets;
CREATE TABLE targets (
    query_id BIGINT NOT NULL,
    target VARIANT NOT NULL,
    ordinal INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    prediction INTEGER,
    class INTEGER,
    against INTEGER,
    probability DOUBLE,
    p_empty DOUBLE,
    self_sufficient BOOLEAN,
    field_size BIGINT,
    hops INTEGER,
    candidates BIGINT,
    pruned BIGINT,
    explanatory BIGINT,
    front BIGINT,
    dominance BIGINT,
    coverage DOUBLE,
    epsilon_achieved DOUBLE,
    hypervolume DOUBLE,
    proved BOOLEAN,
    bound BIGINT,
    complete BOOLEAN,
    seconds DOUBLE,
    note VARCHAR,
    PRIMARY KEY (query_id, ordinal)
);
INSERT INTO targets BY NAME SELECT * FROM old_targets;
DROP TABLE old_targets;

-- `seconds` told until now whether a query came to its end.
ALTER TABLE queries RENAME TO old_queries;
CREATE TABLE queries (
    query_id BIGINT PRIMARY KEY,
    text VARCHAR NOT NULL,
    plan VARCHAR NOT NULL,
    model_id BIGINT NOT NULL,
    graph_id BIGINT NOT NULL,
    settings JSON NOT NULL,
    seed BIGINT NOT NULL,
    epsilon DOUBLE NOT NULL,
    k INTEGER NOT NULL,
    device VARCHAR NOT NULL,
    versions JSON NOT NULL,
    started_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    seconds DOUBLE,
    complete BOOLEAN,
    status VARCHAR NOT NULL
);
INSERT INTO queries BY NAME
SELECT *, CASE WHEN seconds IS NULL THEN 'running' ELSE 'done' END AS status FROM old_queries;
DROP TABLE old_queries;

CREATE TABLE IF NOT EXISTS patterns (
    query_id BIGINT NOT NULL,
    pattern INTEGER NOT NULL,
    class INTEGER NOT NULL,
    support DOUBLE NOT NULL,
    held_by BIGINT NOT NULL,
    targets BIGINT NOT NULL,
    fidelity DOUBLE NOT NULL,
    size INTEGER NOT NULL,
    num_nodes INTEGER NOT NULL,
    alike BIGINT NOT NULL,
    shape VARCHAR NOT NULL,
    labelled_by VARCHAR NOT NULL,
    directed BOOLEAN NOT NULL
);

CREATE TABLE IF NOT EXISTS pattern_nodes (
    query_id BIGINT NOT NULL,
    pattern INTEGER NOT NULL,
    node INTEGER NOT NULL,
    label VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS pattern_edges (
    query_id BIGINT NOT NULL,
    pattern INTEGER NOT NULL,
    src INTEGER NOT NULL,
    dst INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS pattern_matches (
    query_id BIGINT NOT NULL,
    pattern INTEGER NOT NULL,
    explanation_id BIGINT NOT NULL,
    pattern_node INTEGER NOT NULL,
    node VARIANT NOT NULL
);
