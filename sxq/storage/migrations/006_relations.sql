-- From version 5 to 6: the patterns of a class, and the candidates of a search, know the types of their nodes and edges.

ALTER TABLE candidates ADD COLUMN edge_type VARCHAR;
ALTER TABLE candidates ADD COLUMN node_type VARCHAR;

ALTER TABLE pattern_nodes ADD COLUMN node_type VARCHAR;
UPDATE pattern_nodes SET node_type = (SELECT max_by(k.node_type, length(k.node_type))
    FROM queries q JOIN node_types k USING (graph_id)
    WHERE q.query_id = pattern_nodes.query_id
        AND (label = k.node_type OR starts_with(label, k.node_type || ' ')));

ALTER TABLE pattern_edges ADD COLUMN edge_type VARCHAR;
ALTER TABLE pattern_edges ADD COLUMN one_way BOOLEAN;
UPDATE pattern_edges SET one_way = (SELECT any_value(directed) FROM patterns p
    WHERE p.query_id = pattern_edges.query_id AND p.pattern = pattern_edges.pattern);
