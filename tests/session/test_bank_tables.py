"""From a bank's tables to answers in Parquet: NULLs, doubles, ends that are missing, transfers to oneself."""

import datetime

import pytest

import sxq

BANK = """
SELECT setseed(0.5);
CREATE TABLE accounts AS SELECT 'acct-' || range AS id,
    CASE WHEN random() < 0.1 THEN NULL ELSE 'city-' || (random() * random() * 50)::INT END AS city,
    CASE WHEN random() < 0.05 THEN NULL ELSE (random() * 50000)::DOUBLE END AS balance,
    random() < 0.3 AS business, DATE '2019-01-03' + (random() * 1000)::INT AS opened, 'owner ' || range AS owner,
    CASE WHEN random() < 0.2 THEN 'fraud' ELSE 'honest' END AS label
FROM range(2000);
CREATE TABLE transfers AS SELECT 'acct-' || (random() * 2050)::INT AS payer, 'acct-' || (random() * 1999)::INT AS payee,
    round(random() * 900, 2)::DOUBLE AS amount, TIMESTAMP '2024-01-01' + to_seconds((random() * 1e6)::INT) AS at,
    CASE WHEN random() < 0.5 THEN 'card' END AS channel FROM range(6000);
INSERT INTO transfers FROM transfers LIMIT 100;
INSERT INTO transfers SELECT id, id, 1.0, NULL, 'itself' FROM accounts LIMIT 50;
"""
GRAPH = "CREATE GRAPH bank FROM NODES (FROM accounts) EDGES (FROM transfers)"


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("bank") / "bank.duckdb")
    with sxq.connect(path) as con:
        con.execute(BANK)
        with pytest.raises(
            sxq.GraphError, match="2 problems in the tables:\n- .*'balance'.*\n- .*'payer'"
        ):
            con.execute(GRAPH)
        con.execute(f"{GRAPH} (ENCODE = auto, SCALE = standard, DANGLING = drop)")
        con.execute(
            "TRAIN MODEL watch ON GRAPH bank (ARCHITECTURE = gine, LAYERS = 2, EPOCHS = 10)"
        )
    with sxq.connect(path) as con:  # everything that follows comes from the file
        yield con


@pytest.mark.slow
def test_what_was_made_of_each_column_is_told(con):
    facts = dict(con.execute("DESCRIBE GRAPH bank").rows)
    assert facts["column city"].startswith("one-hot of 32 values of 5")
    assert "NULL set to" in facts["column balance"] and "scaled" in facts["column balance"]
    assert facts["column owner"].startswith("attribute only")
    assert facts["names of classes"] == "fraud, honest"
    ((missing,),) = con.execute(
        "SELECT count(*) FROM transfers ANTI JOIN accounts ON payer = id"
    ).rows
    assert missing and facts["dangling edges"] == f"{missing:,} of 6,150 dropped"
    assert int(facts["self-loops"]) >= 50


@pytest.mark.slow
def test_columns_of_edges_stay_with_them(con):
    """Parallel transfers keep their own times."""
    facts = dict(con.execute("DESCRIBE GRAPH bank").rows)
    assert (facts["edge_attr"], facts["edge attributes"]) == ("1: amount", "amount, at, channel")
    found = con.execute(
        "SELECT src, dst, amount, edges.at, channel FROM bank_graph.edges ORDER BY ALL"
    ).rows
    given = con.execute(
        """SELECT payer, payee, amount::DOUBLE, transfers.at, channel FROM transfers
           SEMI JOIN accounts ON payer = id ORDER BY ALL"""
    ).rows
    assert found == given
    ((far,),) = con.execute(
        """SELECT max(abs(amount_feature * spread + mean - amount)) FROM bank_graph.edges,
               (SELECT avg(amount) AS mean, stddev_pop(amount) AS spread FROM bank_graph.edges)"""
    ).rows
    assert far < 0.01
    assert "mean 0" in facts["edge column amount"]
    assert "amount_feature" in facts["renamed"]


def test_features_are_called_by_their_columns(con):
    names = {name for (name,) in con.execute("SELECT name FROM features").rows}
    assert {"city=(other)", "city is NULL", "balance", "business"} <= names
    answer = con.query(
        "EXPLAIN NODE 'acct-3' USING MODEL watch OVER FEATURES OPTIMIZE fdl+, conc TOP 2 BUDGET 50 CANDIDATES"
    )
    assert set(answer[0].units) <= names


def test_a_stored_encoding_encodes_new_rows(con):
    con.execute(
        "CREATE OR REPLACE GRAPH june FROM NODES (SELECT * FROM accounts LIMIT 200) EDGES (FROM transfers)"
        " (ENCODE = bank, DANGLING = drop)"
    )
    same = con.execute(
        "SELECT count(*) FROM nodes a JOIN nodes b USING (node) JOIN graphs g ON g.graph_id = a.graph_id"
        " WHERE g.name = 'bank' AND b.graph_id <> a.graph_id AND a.x = b.x"
    ).fetchone()
    assert same == (200,)
    assert len(con.execute("PREDICT USING MODEL watch ON GRAPH june")) == 200


@pytest.mark.parametrize("wrong", ["'no JSON'", "'{}'", "replace(form, 'c0', 'c9')"])
def test_a_changed_encoding_is_found(wrong):
    with sxq.connect() as con:
        con.execute("CREATE TABLE a AS SELECT range AS id, 'c' || range % 3 AS c FROM range(6)")
        con.execute("CREATE GRAPH g FROM NODES (FROM a) EDGES (SELECT 1, 2) (ENCODE = auto)")
        con.execute(f"UPDATE sxq.graph_inputs SET form = {wrong} WHERE level = 'encoding'")
        with pytest.raises(sxq.StoreError):
            con.session.registry.graphs.reloaded(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ENCODE = nowhere", "no graph named 'nowhere'"),
        ("ENCODE = 3", "expected auto, none or a graph"),
        ("SCALE = standard", "needs ENCODE = auto"),
        ("ENCODE = bank, SCALE = standard", "part of the encoding of graph 'bank'"),
        ("ENCODE = bank, SCALE = none", "SCALE = none, but .*: leave it out"),
        ("SCALE = large", "expected none or standard"),
        ("DANGLING = keep", "expected error or drop"),
    ],
)
def test_options_that_make_no_sense(con, options, words):
    with pytest.raises(sxq.QueryError, match=words):
        con.execute(f"CREATE GRAPH x FROM NODES (FROM accounts) EDGES (FROM transfers) ({options})")
    with pytest.raises(sxq.InvalidValue, match="is for graphs from tables"):
        con.execute("CREATE GRAPH x FROM DATASET 'KarateClub' (ENCODE = auto)")


@pytest.mark.parametrize("options", ["ENCODE = auto", "ENCODE = none"])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    "kind", ["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_NS", "TIMESTAMPTZ"]
)
def test_an_infinite_date_is_refused(kind, sign, options):
    with sxq.connect() as con:
        con.execute(
            f"""CREATE TABLE a AS SELECT 'n' || range AS id, '{sign}infinity'::{kind} AS opened, range AS n
                FROM range(3)"""
        )
        with pytest.raises(
            sxq.GraphError,
            match=r"3 rows of NODES with an infinite 'opened', such as 'n0', .*: make it NULL or a",
        ):
            con.execute(f"CREATE GRAPH g FROM NODES (FROM a) EDGES (SELECT 'n0', 'n1') ({options})")
        with pytest.raises(
            sxq.GraphError, match=r"1 row of EDGES with an infinite 'opened', such as row 2: "
        ):
            con.execute(
                f"""CREATE GRAPH g FROM NODES (SELECT id, n FROM a) EDGES (
                    SELECT 'n0', 'n1', CASE WHEN id = 'n1' THEN opened END AS opened FROM a ORDER BY id) ({options})"""
            )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_time_stamps_with_a_zone_are_encoded_as_utc(zone):
    with sxq.connect() as con:
        con.execute(f"SET TimeZone = '{zone}'")
        frame = con.execute(
            """SELECT range AS id, TIMESTAMPTZ '2020-01-01 00:00:00+02' + INTERVAL 12 HOUR * range AS at
               FROM range(3)"""
        ).df()
        frame.loc[2, "at"] = None
        assert frame["at"].dt.tz is not None
        con.register_table("a", frame)
        con.execute("CREATE GRAPH g FROM NODES (FROM a) EDGES (SELECT 1, 2) (ENCODE = auto)")
        con.execute("CREATE GRAPH h FROM NODES (FROM a) EDGES (SELECT 1, 2) (ENCODE = g)")
        for graph in "gh":
            facts = dict(con.execute(f"DESCRIBE GRAPH {graph}").rows)
            assert facts["column at"].startswith("days since 2019-12-31 22:00:00; 1 NULL")
            graph_id = f"(SELECT graph_id FROM graphs WHERE name = '{graph}')"
            nodes = con.execute(
                f"SELECT x, attributes.at::TIMESTAMP FROM nodes WHERE graph_id = {graph_id} ORDER BY position"
            ).rows
            first = datetime.datetime(2019, 12, 31, 22)
            later = datetime.datetime(2020, 1, 1, 10)
            assert nodes == [([0, 0], first), ([0.5, 0], later), ([0.25, 1], None)]


def test_the_last_day_is_a_date_like_others():
    """Python reads infinity as that day."""
    with sxq.connect() as con:
        con.execute(
            """CREATE GRAPH g FROM NODES (FROM (VALUES (1, DATE '9999-12-31'), (2, '9999-12-30')) t(id, ends))
               EDGES (SELECT 1, 2) (ENCODE = auto)"""
        )
        assert con.execute("SELECT x FROM nodes ORDER BY position").rows == [([1.0],), ([0.0],)]


def test_answers_go_to_parquet_and_come_back(con, tmp_path):
    con.execute(
        "EXPLAIN NODES (SELECT id FROM accounts WHERE label = 'fraud' LIMIT 5) USING MODEL watch"
        " OPTIMIZE fdl+, fdl-, conc TOP 2 BUDGET 50 CANDIDATES"
    )
    query = """SELECT e.explanation_id, e.target::VARCHAR AS account, rank, factual, fdl_plus,
                      count(*) FILTER (src IS NOT NULL) AS transfers
               FROM explanations e LEFT JOIN explanation_edges USING (explanation_id)
               WHERE query_id = (SELECT max(query_id) FROM queries) GROUP BY ALL ORDER BY ALL"""
    path = str(tmp_path / "answers.parquet")
    con.execute(f"COPY ({query}) TO '{path}'")
    expected = con.execute(query)
    assert expected.rows and con.execute(f"FROM '{path}'").rows == expected.rows
    _read_by("polars", lambda library: library.read_parquet(path).rows(), expected.rows)
    _read_by(
        "pyarrow.parquet",
        lambda library: [tuple(row.values()) for row in library.read_table(path).to_pylist()],
        expected.rows,
    )


def _read_by(name, read, rows):
    """What a library that may not be installed reads."""
    try:
        library = __import__(name, fromlist=["x"])
    except ImportError:
        return
    assert read(library) == rows


# -- frames of Python as tables


def test_a_frame_is_a_table(con):
    frame = con.execute("SELECT id, city, balance FROM accounts LIMIT 5").df()
    con.register_table("frame", frame)
    found = con.execute("SELECT * FROM frame JOIN accounts USING (id, balance)")
    assert len(found) == int(frame.balance.notna().sum())
    with pytest.raises(sxq.NameTaken, match="table 'frame' exists"):
        con.register_table("frame", frame)
    con.register_table("Frame", frame.head(2), replace=True)
    assert con.execute("SELECT count(*) FROM frame").fetchone() == (2,)
    for taken in ("accounts", "ACCOUNTS", "nodes"):
        with pytest.raises(sxq.NameTaken):
            con.register_table(taken, frame, replace=True)
    con.execute("DROP VIEW frame")
    del frame  # FROM frame would find the variable
    with pytest.raises(sxq.SQLError):
        con.execute("FROM frame")


@pytest.mark.parametrize(
    ("name", "frame", "words"),
    [
        ("", {}, "expected text"),
        (3, {}, "expected text"),
        ("x", [1, 2], "expected a DataFrame"),
        (
            "x",
            None,
            "table 'x' is None, which DuckDB does not read; expected a DataFrame of pandas or",
        ),
        (
            "x",
            iter([1]),
            "table 'x' is list_iterator, which DuckDB does not read; expected a DataFrame",
        ),
    ],
)
def test_what_is_no_frame_is_refused(con, name, frame, words):
    with pytest.raises(sxq.InvalidValue, match=words):
        con.register_table(name, frame)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(library):
    module = pytest.importorskip(library)
    made = {"polars": "DataFrame", "pyarrow": "table"}[library]
    with sxq.connect() as con:
        con.register_table("t", getattr(module, made)({"id": [1, 2], "city": ["Oslo", None]}))
        assert con.execute("FROM t ORDER BY id").rows == [(1, "Oslo"), (2, None)]


def test_an_untrusted_script_reads_frames_that_its_host_registers_and_no_others():
    with sxq.connect() as trusted:
        frame = trusted.execute("SELECT 7 AS seven").df()
    with sxq.connect(untrusted=True) as con:
        con.register_table("given", frame)
        assert con.execute("FROM given").rows == [(7,)]
        with pytest.raises(sxq.Error):
            con.execute("FROM frame")
