"""Bad input from Python: each a clear `sxq.Error`, after which everything that was stored is still there.

What a script can get wrong is in `golden/errors`; here are tensors, modules, files and processes.
"""

import gc
import random
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCNConv, GraphNorm, InstanceNorm

import sxq
from tests import graphs, toys

EXPLAIN = "EXPLAIN NODE 3 USING MODEL votes OPTIMIZE fdl+, fdl-, conc"
DEFINED, FOUND = (
    ("graphs", "models", "nodes", "edges"),
    ("queries", "targets", "explanations", "explanation_edges"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "toys.duckdb"
    with sxq.connect(str(path)) as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", toys.Votes(), "payments")
        con.execute(EXPLAIN)
    return path.read_bytes()


@pytest.fixture
def path(made, tmp_path):
    (tmp_path / "toys.duckdb").write_bytes(made)
    return str(tmp_path / "toys.duckdb")


@pytest.fixture(scope="module")
def shared(made, tmp_path_factory):
    """A connection for many refusals, after which the file, opened anew, is whole."""
    path = tmp_path_factory.mktemp("shared") / "toys.duckdb"
    path.write_bytes(made)
    with sxq.connect(str(path)) as con:
        con.register_model("votes", toys.Votes(), "payments")
        yield con
        before = content(con)
    require_whole(str(path), before)


@contextmanager
def refused_by(con, error, said):
    """The block must raise `error`; then the connection still explains, and holds what it held."""
    before = content(con)
    with pytest.raises(error, match=said) as caught:
        yield con
    assert isinstance(caught.value, sxq.Error) and not isinstance(caught.value.__cause__, sxq.Error)
    assert len(con.execute(EXPLAIN)) == 2
    after = content(con)
    assert all(after[table] == before[table] for table in DEFINED)
    assert all(after[table] > before[table] for table in FOUND)


@contextmanager
def refused(path, error, said):
    """The same on a connection of its own; opened anew, the file holds what it held."""
    with sxq.connect(path) as con:
        con.register_model("votes", toys.Votes(), "payments")
        with refused_by(con, error, said):
            yield con
        before = content(con)
    require_whole(path, before)


def require_whole(path, before):
    """Opened anew, the file holds what it held before, and AUDIT finds nothing."""
    with sxq.connect(path, read_only=True) as con:
        assert content(con) == before
        con.register_model("votes", toys.Votes(), "payments")
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def content(con):
    """Every row of every table, as text."""
    return {table: set(map(repr, con.sql(f"FROM sxq.{table}"))) for table in DEFINED + FOUND}


# -- graphs ----------------------------------------------------------------------------------------------------------


def payments(**changed):
    data = toys.payments_data()
    for name, value in changed.items():
        data[name] = value
    return data


@pytest.mark.parametrize(
    "data, error, said",
    [
        (
            payments(edge_index=torch.tensor([[0, 6], [3, 3]])),
            sxq.GraphError,
            "edge 1 is 6 -> 3, but nodes are 0 to 5",
        ),
        (payments(edge_index=torch.tensor([[0, -1], [3, 3]])), sxq.GraphError, "edge 1 is -1 -> 3"),
        (
            payments(edge_index=torch.tensor([[0.0], [3.0]])),
            sxq.GraphError,
            "edge_index has type float32, expected int",
        ),
        (
            payments(edge_index=torch.tensor([0, 1, 2])),
            sxq.GraphError,
            r"edge_index has shape \[3\], expected \[2, E\]",
        ),
        (
            payments(x=torch.full((6, 2), float("nan"))),
            sxq.GraphError,
            "x holds NaN or infinite values in 6 of 6 rows",
        ),
        (payments(x=torch.full((6, 2), float("inf"))), sxq.GraphError, "x holds NaN or infinite"),
        (
            payments(x=torch.ones(2, 3, 4)),
            sxq.GraphError,
            r"x has shape \[2, 3, 4\], expected \[num_nodes, features\]",
        ),
        (
            payments(edge_weight=torch.ones(3)),
            sxq.GraphError,
            "edge_weight has 3 rows, expected one for each of 4 edges",
        ),
        (
            payments(edge_weight=torch.full((4,), float("nan"))),
            sxq.GraphError,
            "edge_weight holds NaN",
        ),
        (payments(x=torch.ones(6, 2).to("meta")), sxq.GraphError, "x is a tensor without data"),
        (
            payments(x=torch.nested.nested_tensor([torch.ones(2), torch.ones(1)])),
            sxq.GraphError,
            "x is a nested tensor",
        ),
        (
            Data(edge_index=torch.tensor([[0], [1]]), num_nodes=10**13),
            sxq.GraphError,
            "num_nodes is 10000000000000, more than the memory holds",
        ),
        (Data(x=torch.ones(3, 2)), sxq.GraphError, "no edge_index"),
        (HeteroData(), sxq.GraphError, "the HeteroData has no node type"),
        ("karate", sxq.DataError, "expected a torch_geometric.data.Data or HeteroData, found str"),
    ],
)
def test_a_graph_that_is_none(shared, data, error, said):
    with refused_by(shared, error, said) as con:
        con.register_graph("bad", data)


def failing(*_):
    raise RuntimeError("no value")


@pytest.mark.slow
@pytest.mark.parametrize(
    "measure, score", [(failing, None), (lambda b: np.ones(len(b.bits)), failing)]
)
def test_a_measure_that_fails(path, measure, score):
    with refused(path, sxq.InvalidValue, "measure 'own' failed: RuntimeError: no value") as con:
        con.register_model("votes", toys.Votes(), "payments")
        con.register_measure("own", measure, larger_is_better=True, score=score)
        con.execute(EXPLAIN + ", own")


# -- models ----------------------------------------------------------------------------------------------------------


class Says(nn.Module):
    """A model whose whole forward is one function."""

    def __init__(self, forward):
        super().__init__()
        self.says = forward

    def forward(self, x, edge_index):
        return self.says(x, edge_index)


def votes(x, edge_index):
    return x.index_add(0, edge_index[1], x[edge_index[0]])


class NeedsBatch(nn.Module):
    def forward(self, x, edge_index, batch):
        return x


class TakesOne(nn.Module):
    def forward(self, molecule):
        return molecule.x


class Global(nn.Module):
    """A layer, and a normalisation over all nodes of the graph."""

    def __init__(self, norm):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.norm = GCNConv(5, 3), norm

    def forward(self, x, edge_index):
        return self.norm(self.layer(x, edge_index))


def fails(x, edge_index):
    raise KeyError("no such thing")


@pytest.mark.parametrize(
    "module, output, error, said",
    [
        (
            Says(lambda x, _: x.sum(0)),
            "logits",
            sxq.ModelOutputError,
            r"shape \[2\], expected \[6, classes\]",
        ),
        (
            Says(lambda x, _: x[:, 0]),
            "logits",
            sxq.ModelOutputError,
            r"shape \[6\], expected \[6, classes\]",
        ),
        (
            Says(lambda x, _: x[:4]),
            "logits",
            sxq.ModelOutputError,
            r"shape \[4, 2\], expected \[6, classes\]",
        ),
        (Says(lambda x, _: x[:, :0]), "logits", sxq.ModelOutputError, r"shape \[6, 0\]"),
        (Says(lambda x, _: x[None]), "logits", sxq.ModelOutputError, r"shape \[1, 6, 2\]"),
        (Says(lambda x, _: x / 0), "logits", sxq.ModelOutputError, "NaN or infinite"),
        (Says(votes), "probs", sxq.ModelOutputError, "rows do not sum to one; is it 'logits'"),
        (Says(votes), "log_probs", sxq.ModelOutputError, "rows do not sum to one"),
        (
            Says(votes),
            "scores",
            sxq.ModelError,
            "output = 'scores'; expected one of logits, log_probs, probs",
        ),
        (
            Says(fails),
            "logits",
            sxq.ModelError,
            "forward pass of Says failed on the registered graph .*KeyError: 'no such",
        ),
        (Says(lambda x, _: (x, x)), "logits", sxq.ModelError, "tuple"),
        (Says(lambda x, _: None), "logits", sxq.ModelError, "returned None, expected one tensor"),
        (
            NeedsBatch(),
            "logits",
            sxq.ModelError,
            r"forward\(x, edge_index, batch\) cannot be called.*nothing fills batch",
        ),
        (TakesOne(), "logits", sxq.ModelError, r"forward\(molecule\) cannot be called"),
        (nn.Linear(2, 2), "logits", sxq.ModelError, "cannot be called"),
        ("votes", "logits", sxq.ModelError, "expected a torch.nn.Module, found str"),
        (GCNConv(7, 2), "logits", sxq.ModelError, "failed on the registered graph"),
    ],
)
def test_a_model_that_cannot_be_explained(shared, module, output, error, said):
    with refused_by(shared, error, said) as con:
        con.register_model("bad", module, "payments", output=output)


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize("norm", [GraphNorm(3), InstanceNorm(3), Centred()])
def test_a_model_that_is_not_local(norm):
    data = graphs.random_graph(np.random.default_rng(0))
    with sxq.connect() as con:
        con.register_graph("g", data)
        with pytest.raises(sxq.ModelNotLocal, match="mixes all nodes|graph-wide normalisation"):
            con.register_model("m", Global(norm), "g")
        assert len(con.execute("SHOW MODELS")) == 0


def test_too_few_layers_are_noticed():
    with sxq.connect() as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0)))
        with pytest.raises(sxq.ModelNotLocal, match="with 1 hop and 3 rings of context"):
            con.register_model("m", graphs.make("sage", layers=6), "g", layers=1)


def test_unknown_graph_of_a_model(path):
    with refused(path, sxq.UnknownName, "no graph named 'payment', did you mean 'payments'") as con:
        con.register_model("m", toys.Votes(), "payment")


@pytest.mark.parametrize("calls", [0, 12, 70])
def test_a_forward_that_ends_the_program_is_an_error_of_the_model(calls):
    class Ends(toys.Votes):
        left = calls

        def forward(self, x, edge_index):
            Ends.left -= 1
            if Ends.left < 0:
                sys.exit("bye")
            return super().forward(x, edge_index)

    graph = graphs.random_graph(np.random.default_rng(1), features=2)
    with sxq.connect() as con, pytest.raises(sxq.ModelError, match="bye"):
        con.register_graph("g", graph)
        con.register_model("ends", Ends(), "g")
        con.execute("EXPLAIN NODES 0, 1, 2 USING MODEL ends OPTIMIZE fdl+, fdl-, conc")


@pytest.mark.slow
def test_a_forward_that_fails_while_explaining_keeps_what_was_found(path):
    class Moody(toys.Votes):
        calls, limit = 0, 10**9

        def forward(self, x, edge_index):
            Moody.calls += 1
            if Moody.calls > Moody.limit:
                raise IndexError("enough")
            return super().forward(x, edge_index)

    with sxq.connect(path) as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(1), features=2))
        con.register_model("moody", Moody(), "g")
        Moody.limit = Moody.calls + 5
        with pytest.raises(
            sxq.ModelError, match="forward pass of Moody failed on copies of .*IndexError: enough"
        ):
            con.execute("EXPLAIN NODES 0, 1, 2 USING MODEL moody OPTIMIZE fdl+, fdl-, conc")
        result, Moody.limit = con.last_result, 10**9
        assert len(result) and not result.complete and result.candidates > 0
        stored = con.sql(
            "SELECT count(*) FROM explanations WHERE query_id = ?", [result.query_id]
        ).fetchone()
        assert stored == (len(result),)
        assert {row[-1] for row in con.execute("AUDIT QUERY 2")} == {"ok"}
    with sxq.connect(path) as con:
        targets = con.sql(
            "SELECT status, complete, note FROM targets WHERE query_id = 2"
        ).fetchall()
        assert {row[:2] for row in targets} == {("stopped", False)} and "enough" in targets[0][2]
        assert con.sql("SELECT complete FROM queries ORDER BY query_id").fetchall() == [
            (True,),
            (False,),
        ]


def test_a_target_that_is_not_local_fails_alone():
    """A model that looks further on one node than anywhere registration looked."""

    class Far(toys.Votes):
        def forward(self, x, edge_index):
            out = super().forward(x, edge_index)
            return out + (x[:, :1] == 77) * len(x) * 1.0 * torch.tensor([[1.0, 0.0]])

    x = torch.rand(60, 2)
    x[7, 0] = 77
    data = Data(x=x, edge_index=torch.stack([torch.arange(59), torch.arange(1, 60)]))
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("far", Far(), "g", layers=1)
        result = con.execute("EXPLAIN NODES 6, 7, 8 USING MODEL far OPTIMIZE fdl+, fdl-, conc")
        assert [r.status for r in result.targets] == [
            "done",
            "failed",
            "done",
        ] and not result.complete
        assert "node 7" in result.targets[1].note and "layers=" in result.targets[1].note
        with pytest.raises(sxq.ModelNotLocal, match="node 7"):
            con.execute("EXPLAIN NODE 7 USING MODEL far OPTIMIZE fdl+, fdl-, conc")
        assert con.sql("SELECT status FROM targets WHERE query_id = 2").fetchall() == [("failed",)]
        assert con.sql("SELECT complete FROM queries WHERE query_id = 2").fetchall() == [(False,)]


@pytest.mark.slow
def test_a_model_whose_module_is_gone_is_still_there(path):
    with sxq.connect(path) as con:
        con.register_model("votes", toys.Votes(), "payments")
        gc.collect()
        assert len(con.execute(EXPLAIN)) == 2


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is empty, so it is not a DuckDB database"),
        (b"PK\x03\x04 something else entirely", "not a DuckDB database"),
        (b"SQLite format 3\x00" + bytes(100), "starts with b'SQLite forma'"),
    ],
)
def test_a_file_that_is_no_database(tmp_path, content, said):
    path = tmp_path / "x.duckdb"
    path.write_bytes(content)
    with pytest.raises(sxq.StoreError, match=said):
        sxq.connect(str(path))
    assert path.read_bytes() == content


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(sxq.StoreError, match="there is no directory"):
        sxq.connect(str(tmp_path / "nowhere" / "x.duckdb"))
    with pytest.raises(sxq.StoreError, match="no database.*without read_only"):
        sxq.connect(str(tmp_path / "x.duckdb"), read_only=True)


def test_a_damaged_database(path):
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(sxq.StoreError):
        sxq.connect(path)


@pytest.mark.slow
def test_a_database_that_another_process_holds(path):
    code = f"import sxq; con = sxq.connect({path!r}); print('open', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(sxq.DatabaseLocked, match=f"another process holds .*{other.pid}"):
            sxq.connect(path)
        other.communicate("\n")
    with sxq.connect(path) as con:
        assert con.sql("SELECT count(*) FROM explanations").fetchone() == (2,)


def test_a_closed_connection_says_so(path):
    con = sxq.connect(path)
    con.close()
    con.close()
    for text in ("SELECT 1", EXPLAIN, "SHOW GRAPHS", "PLAN " + EXPLAIN, "AUDIT"):
        with pytest.raises(sxq.Error, match="(?i)closed"):
            con.execute(text)


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, said",
    [
        ([[1, 2]], "only NODES"),
        ([None], "number, text or a boolean"),
        ([{"a": 1}], "number, text or a boolean"),
        ([3, 4], "1 placeholder, but 2 values"),
        ({"a": 3}, "by position, but the values are by name"),
        (3, "are a list, not int"),
        ([99], "no node 99"),
        (["3"], "no node '3'"),
        ([3.0], "no node 3.0"),
        ([True], "no node True"),
    ],
)
def test_a_parameter_that_does_not_fit(shared, values, said):
    with refused_by(shared, sxq.Error, said) as con:
        con.execute("EXPLAIN NODE ? USING MODEL votes OPTIMIZE conc", values)


def test_a_failed_statement_of_a_script_keeps_what_ran_before(path):
    with sxq.connect(path) as con:
        con.register_model("votes", toys.Votes(), "payments")
        with pytest.raises(sxq.UnknownName):
            con.execute(
                f"CREATE TABLE t AS SELECT 1; {EXPLAIN}; EXPLAIN NODE 3 USING MODEL vote OPTIMIZE conc; "
                "DROP TABLE t"
            )
        assert con.sql("SELECT count(*) FROM t").fetchone() == (1,)
        assert con.sql("SELECT count(*) FROM queries").fetchone() == (2,)


def test_a_script_that_does_not_parse_runs_nothing(path):
    with refused(path, sxq.ParseError, "line 2, column 9: found 'NODDE'") as con:
        con.execute("DROP MODEL votes;\nEXPLAIN NODDE 3 USING MODEL votes OPTIMIZE conc")


# -- anything --------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    """EXPLAIN NODE NODES USING MODEL ON GRAPH OPTIMIZE BY WHERE AND NOT EDGES DIRECTED TOP EPSILON
    BUDGET CANDIDATES WITHIN SECONDS SEED INTO PLAN PROFILE AUDIT QUERY CREATE OR REPLACE FROM FILE DATASET SHOW MODELS
    GRAPHS QUERIES SETTINGS MEASURES GENERATORS DESCRIBE DROP IF EXISTS SET RESET sxq_budget sxq_answer SELECT votes
    payments conc fdl+ fdl- size lift onion growing random factual counterfactual answers 0 1 3 -1 2.5 1e400 1e18 ? $a
    'x' '3' "q" ( ) , ; = < <= [ ] (SELECT$1) (SELECT$node$FROM$nodes) -- /* */ *""".split()
)
LIKELY = st.lists(WORDS, max_size=14).map(lambda words: " ".join(words).replace("$", " "))


# Parts of a statement, those that are right and those that are not.
VERBS = ["", "PLAN ", "PROFILE "], []
KEYS = (
    [
        "NODE 3",
        "NODES 3, 4, 3",
        "NODE 5",
        "NODES (SELECT node FROM sxq.nodes)",
        "NODES (SELECT 4::HUGEINT)",
    ],
    [
        "NODE -1",
        "NODE '3'",
        "NODE 99999999999999999999999999",
        "NODES (SELECT NULL)",
        "NODES (SELECT [3])",
        "NODES (SELECT 1, 2)",
        "NODES (VALUES (3.0))",
        "NODES (SELECT 'a' UNION SELECT 'b')",
        "NODES (SELECT {'a': 3})",
        "NODE ?",
    ],
)
MEASURES = ["conc", "fdl+, fdl-, conc", "size, lift", "FDL_PLUS"], ["size, size", "nothing"]
CLAUSES = (
    [
        "TOP 2",
        "TOP 1e5",
        "EPSILON 0",
        "EPSILON 1e300",
        "BUDGET 3 CANDIDATES",
        "BUDGET 1e18 CANDIDATES",
        "SEED 7",
        "SEED 1e18",
        "WITHIN 1e-9 SECONDS",
        "EDGES DIRECTED",
        "WHERE factual",
        "WHERE size < -1e308",
        "WHERE lift != 1e-320 AND NOT counterfactual",
        "BY random (size = 2) WITHIN 1e-3 SECONDS",
        "BY onion",
        "BY growing, onion",
        'INTO "a""b; --"',
    ],
    [
        "TOP 0",
        "EPSILON -1",
        "BUDGET 1e19 CANDIDATES",
        "SEED 1e19",
        "BY random (size = 1e300)",
        'INTO ""',
        "INTO nodes",
    ],
)


def statement(seed):
    """An EXPLAIN with any of the clauses; in one of two, one part in ten is wrong."""
    rng = random.Random(seed)
    odd = rng.choice([0, 0.1])

    def part(parts):
        return rng.choice(parts[1] if parts[1] and rng.random() < odd else parts[0])

    clauses = {
        clause.split()[0]: clause for clause in (part(CLAUSES) for _ in range(rng.randrange(5)))
    }
    return f"{part(VERBS)}EXPLAIN {part(KEYS)} USING MODEL votes OPTIMIZE {part(MEASURES)} {' '.join(clauses.values())}"


@pytest.fixture(scope="module")
def toy():
    with sxq.connect() as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", toys.Votes(), "payments")
        yield con


def only_our_errors(con, text):
    """Run a text; whether it was refused. Any other exception fails the test."""
    con.execute('DROP TABLE IF EXISTS "a""b; --"')
    try:
        repr(con.execute(text))
    except sxq.Error as error:
        assert str(error)
        return True
    return False


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(LIKELY, st.text(max_size=60)))
def test_no_text_raises_anything_but_our_errors(toy, text):
    only_our_errors(toy, text)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32), st.sampled_from([(), (3,), {"a": 3}, (float("nan"),), ((3,),), (b"\0",)])
)
def test_no_statement_raises_anything_but_our_errors(toy, seed, values):
    note(text := statement(seed))
    refused = only_our_errors(toy, text)
    if "NODE ?" in text:
        try:
            toy.execute(text, values)
        except sxq.Error:
            return
    event("refused" if refused else "explained")


@pytest.mark.parametrize(
    "sql,found", [("DROP TABLE kept", "DROP"), ("INSERT INTO kept VALUES (2)", "INSERT")]
)
def test_a_sub_query_only_reads(sql, found):
    with sxq.connect() as con:
        con.execute("CREATE TABLE kept AS SELECT 1 AS a")
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0)))
        con.register_model("m", graphs.make("gin"), "g")
        with pytest.raises(sxq.InvalidValue, match=f"one SELECT, found {found}"):
            con.execute(f"PLAN EXPLAIN NODES ({sql}) USING MODEL m OPTIMIZE fdl+")
        assert con.sql("SELECT a FROM kept").fetchall() == [(1,)]


def test_into_never_hides_a_table_of_the_engine():
    with sxq.connect() as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0)))
        con.register_model("m", graphs.make("gin"), "g")
        for name in ("nodes", "Explanations"):
            with pytest.raises(sxq.NameTaken, match="one of the engine's own"):
                con.execute(f"EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+ INTO {name}")
        assert con.sql("SELECT count(*) FROM nodes").fetchone() == (24,) and not len(
            con.execute("SHOW QUERIES")
        )


def test_a_name_that_appears_meanwhile_is_not_its_own_remedy():
    """Another connection may make a model between the question for it and the list of all."""
    said = str(sxq.UnknownName("model", "m", ["m", "n"]))
    assert (
        said == "no model named 'm'; another connection has just made it; run the statement again"
    )
    assert "did you mean 'gcn'" in str(sxq.UnknownName("model", "gnc", ["gcn"]))
