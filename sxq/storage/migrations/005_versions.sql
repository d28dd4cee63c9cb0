-- From version 4 to 5: graphs have versions, and stored answers are refreshed on a new one.

ALTER TABLE graphs ADD COLUMN version INTEGER;
UPDATE graphs SET version = (SELECT count(*) FROM graphs earlier
    WHERE earlier.name = graphs.name AND earlier.graph_id <= graphs.graph_id);

ALTER TABLE queries ADD COLUMN refreshes BIGINT;

ALTER TABLE targets ADD COLUMN refreshed VARCHAR;

ALTER TABLE explanations ADD COLUMN graph_version INTEGER;
UPDATE explanations SET graph_version = (SELECT min(version) FROM queries JOIN graphs USING (graph_id)
    WHERE queries.query_id = explanations.query_id);
