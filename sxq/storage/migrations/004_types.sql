-- From version 3 to 4: graphs whose nodes and edges have types.

CREATE TABLE node_types (
    graph_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    node_type VARCHAR NOT NULL,
    num_features INTEGER NOT NULL
);

CREATE TABLE edge_types (
    graph_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    edge_type VARCHAR NOT NULL,
    src_type VARCHAR NOT NULL,
    relation VARCHAR NOT NULL,
    dst_type VARCHAR NOT NULL,
    edge_features INTEGER NOT NULL
);

ALTER TABLE nodes ADD COLUMN node_type VARCHAR;
ALTER TABLE edges ADD COLUMN edge_type VARCHAR;
ALTER TABLE features ADD COLUMN node_type VARCHAR;
ALTER TABLE targets ADD COLUMN node_type VARCHAR;
ALTER TABLE explanation_edges ADD COLUMN edge_type VARCHAR;
ALTER TABLE explanation_nodes ADD COLUMN node_type VARCHAR;
