"""`sxq demo laundering`: from two tables to the schemes behind an account, and how many of them are found.

The bank is synthetic (synthetic_bank.py), so that the truth is known; everything after that is what a user would
type.
"""

import sys
from dataclasses import fields

from sxq.connection import Connection
from sxq.language import literal
from sxq.pictures.words import meaning
from sxq.shell.progress import watched
from sxq.shell.shell import Shell
from sxq.shell.synthetic_bank import Bank, generate
from sxq.values.result import Result, Table

TABLES = """
CREATE OR REPLACE TABLE accounts (account VARCHAR PRIMARY KEY, days DOUBLE, volume DOUBLE, fees DOUBLE, label INTEGER,
                                  role VARCHAR, split VARCHAR);
CREATE OR REPLACE TABLE transfers (payer VARCHAR, payee VARCHAR, amount DOUBLE);
CREATE OR REPLACE TABLE planted (scheme INTEGER, kind VARCHAR, collector VARCHAR, payer VARCHAR, payee VARCHAR,
                                 hop INTEGER);
"""
STEPS = (
    (
        "A bank with planted schemes: the columns of the accounts, by role.",
        "SELECT role, count(*) AS accounts, round(avg(days)) AS days, round(avg(volume), 1) AS volume,\n"
        "       round(avg(fees), 2) AS fees, any_value(label) AS illicit\n"
        "FROM accounts GROUP BY role ORDER BY accounts DESC",
    ),
    (
        "A graph from the two tables; accounts keep their names, and the model does not see `role`.",
        "CREATE OR REPLACE GRAPH bank\n"
        "  FROM NODES (SELECT account, days / 130 AS days, volume, 2 * fees AS fees, label, split, role\n"
        "              FROM accounts)\n"
        "       EDGES (SELECT payer, payee FROM transfers)",
    ),
    (
        "A model that flags illicit accounts.",
        "TRAIN OR REPLACE MODEL watch ON GRAPH bank (ARCHITECTURE = sage, LAYERS = 3, HIDDEN = 16, EPOCHS = 120)",
    ),
    (
        "Why does it flag an account? A hundred collectors explained in one statement, by members that differ.",
        "EXPLAIN NODES (SELECT DISTINCT collector FROM planted ORDER BY collector LIMIT 100)\n"
        "  USING MODEL watch OPTIMIZE fdl+, fdl-, conc DIVERSIFY TOP 6",
    ),
    (
        "Every edge of every explanation, compared with the planted schemes.",
        "CREATE OR REPLACE TABLE members AS\n"
        "SELECT target, rank, count(*) AS edges, count(scheme) AS planted, count(*) FILTER (kind = 'chain') AS chain,\n"
        "       count(*) FILTER (kind = 'spindle') AS spindle\n"
        "FROM explanations JOIN explanation_edges USING (explanation_id)\n"
        "LEFT JOIN planted ON collector = target AND payer = src AND payee = dst\n"
        "WHERE query_id = (SELECT max(query_id) FROM queries) GROUP BY target, rank",
    ),
    (
        "What share of the shown edges was planted? `chance` is the share among all edges of the fields.",
        "SELECT count(*) AS members, round(avg(m.edges), 1) AS edges,\n"
        "       round(sum(planted) / sum(m.edges), 3) AS precision,\n"
        "       round(sum(m.edges * seen / field_size) / sum(m.edges), 3) AS chance\n"
        "FROM members m JOIN targets USING (target)\n"
        "JOIN (SELECT collector, count(*) AS seen FROM planted WHERE hop <= 3 GROUP BY collector)\n"
        "  ON collector = target\n"
        "WHERE query_id = (SELECT max(query_id) FROM queries)",
    ),
    (
        "Accounts that both schemes serve: different members of one answer show different schemes.",
        "SELECT CASE WHEN chain > 0 AND spindle > 0 THEN 'both' WHEN chain > 0 THEN 'the chain'\n"
        "            WHEN spindle > 0 THEN 'the spindle' ELSE 'neither' END AS shows,\n"
        "       count(*) AS members, count(DISTINCT target) AS accounts\n"
        "FROM members\n"
        "WHERE target IN (SELECT collector FROM planted GROUP BY collector HAVING count(DISTINCT kind) = 2)\n"
        "GROUP BY shows ORDER BY members DESC",
    ),
    (
        "And what share of the schemes planted within three hops do the answers show? `found`: the share of schemes\n"
        "-- with an edge in some member; `recall`: the share of their edges in all members of an answer together.\n"
        "-- Members of more than half their field are left out here: a member that shows everything misses nothing.",
        "WITH visible AS (\n"
        "  SELECT p.scheme, kind, payer, payee, bool_or(explanation_id IS NOT NULL) AS held\n"
        "  FROM planted p JOIN members ON collector = target\n"
        "  LEFT JOIN (SELECT target, src, dst, explanation_id\n"
        "             FROM explanation_edges JOIN explanations USING (explanation_id)\n"
        "             JOIN targets USING (query_id, target)\n"
        "             WHERE query_id = (SELECT max(query_id) FROM queries) AND 2 * size <= field_size) e\n"
        "    ON e.target = collector AND src = payer AND dst = payee\n"
        "  WHERE hop <= 3 GROUP BY p.scheme, kind, payer, payee),\n"
        "schemes AS (\n"
        "  SELECT scheme, kind, count(*) AS edges, count(*) FILTER (held) AS held\n"
        "  FROM visible GROUP BY ALL)\n"
        "SELECT kind, count(*) AS schemes, round(avg((held > 0)::INT), 3) AS found,\n"
        "       round(sum(held) / sum(edges), 3) AS recall\n"
        "FROM schemes GROUP BY kind ORDER BY kind",
    ),
)
ONE = """SELECT target FROM members GROUP BY target
HAVING bool_or(chain > 0 AND spindle = 0) AND bool_or(spindle > 0 AND chain = 0)
   AND bool_or(chain > 0 AND spindle > 0)
ORDER BY sum(planted) / sum(edges) DESC, max(edges) DESC, target LIMIT 1"""


def laundering(path: str, page: str) -> int:
    """Run the demo into the database at `path` and the page at `page`; return the exit code."""
    with Connection(path) as con, watched(con) as pressed:
        fill(con, generate())
        shell = Shell(con)
        for title, statement in STEPS:
            result = _step(shell, title, statement)
            if pressed:
                return 130
        account = con.execute(ONE).fetchone()
        if account is None:
            print("-- No account has members that show one scheme each; see the table `members`.")
            return 0
        key = literal(
            str(account[0])
        )  # quoted: it comes from a table of the file, and anyone may have written that
        result = _step(
            shell,
            "One account that both schemes serve, with members that show one each.",
            f"EXPLAIN NODE {key} USING MODEL watch OPTIMIZE fdl+, fdl-, conc DIVERSIFY TOP 6",
        )
        _step(
            shell,
            "What each of them shows.",
            f"SELECT rank, edges, chain, spindle FROM members WHERE target = {key} ORDER BY rank",
        )
        assert isinstance(result, Result)
        print(meaning(result.targets[0]))
        result.to_html(page)
    print(f"\nLook at {page} in a browser, or go on with:\n  {command()} {path}")
    return 0


def fill(con: Connection, bank: Bank) -> None:
    """Create and fill the tables of a bank."""
    con.execute(TABLES)
    for table in fields(Bank):
        columns = [list(column) for column in zip(*getattr(bank, table.name))]
        con.execute(
            f"INSERT INTO {table.name} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns
        )


def _step(shell: Shell, title: str, statement: str) -> Table:
    indented = statement.replace("\n", "\n...> ")
    print(f"-- {title}\nsxq> {indented};")
    result = shell.con.execute(statement)
    if isinstance(result, Result) and len(result.targets) > 1:
        print(result.summary())  # a hundred skylines are too many to read
    else:
        shell.show(result)
    print()
    return result


def command() -> str:
    """The command that started this program."""
    return "sxq" if sys.argv[0].endswith("sxq") else f"{sys.executable} -m sxq"
