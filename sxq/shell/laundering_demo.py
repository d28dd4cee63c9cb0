"""`sxq demo laundering`: from a bank's tables to the schemes behind an account, and how many of them are found.

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
CREATE OR REPLACE TABLE merchants (merchant VARCHAR, turnover DOUBLE);
CREATE OR REPLACE TABLE devices (device VARCHAR, age DOUBLE);
CREATE OR REPLACE TABLE transfers (payer VARCHAR, payee VARCHAR, amount DOUBLE, hour INTEGER);
CREATE OR REPLACE TABLE purchases (account VARCHAR, merchant VARCHAR, amount DOUBLE);
CREATE OR REPLACE TABLE logins (account VARCHAR, device VARCHAR);
CREATE OR REPLACE TABLE planted (scheme INTEGER, kind VARCHAR, collector VARCHAR, payer VARCHAR, payee VARCHAR,
                                 hop INTEGER);
"""
MOST_ROWS = 12  # of a table that is shown
SMALL = 5  # edges: members of at most so many are read one by one
STEPS = (
    (
        "A bank with planted schemes: the columns of the accounts, by role.",
        "SELECT role, count(*) AS accounts, round(avg(days)) AS days, round(avg(volume), 1) AS volume,\n"
        "       round(avg(fees), 2) AS fees, any_value(label) AS illicit\n"
        "FROM accounts GROUP BY role ORDER BY accounts DESC",
    ),
    (
        "A graph of accounts, merchants and devices; names stay, and the model does not see `role`.",
        "CREATE OR REPLACE GRAPH bank\n"
        "  FROM NODES account (SELECT account, days / 130 AS days, volume, 2 * fees AS fees, label, split, role\n"
        "                      FROM accounts),\n"
        "       NODES merchant (FROM merchants),\n"
        "       NODES device (FROM devices),\n"
        "       EDGES account -pays-> account (SELECT DISTINCT payer, payee FROM transfers),\n"
        "       EDGES account -buys_at-> merchant (SELECT account, merchant FROM purchases),\n"
        "       EDGES merchant -sells_to-> account (SELECT merchant, account FROM purchases),\n"
        "       EDGES account -uses-> device (SELECT account, device FROM logins),\n"
        "       EDGES device -used_by-> account (SELECT device, account FROM logins)",
    ),
    (
        "A model that flags illicit accounts.",
        "TRAIN OR REPLACE MODEL watch ON GRAPH bank (ARCHITECTURE = sage, LAYERS = 2, HIDDEN = 16, EPOCHS = 150)",
    ),
    (
        "Whom does it flag, and who is it?",
        "PREDICT NODES (SELECT account FROM accounts) OF TYPE account USING MODEL watch INTO flagged",
    ),
    (
        "Of the accounts that nobody showed it in training:",
        "SELECT role, count(*) AS accounts, round(avg(prediction), 2) AS flagged\n"
        "FROM flagged JOIN accounts ON node = account WHERE split = 'test' GROUP BY role ORDER BY flagged DESC",
    ),
    (
        "Why does it flag an account? Forty collectors explained in one statement, by members that differ.",
        "EXPLAIN NODES (SELECT collector FROM planted JOIN flagged ON node = collector WHERE prediction = 1\n"
        "               GROUP BY collector ORDER BY collector LIMIT 40) OF TYPE account\n"
        "  USING MODEL watch OPTIMIZE fdl+, fdl-, conc DIVERSIFY TOP 6 BUDGET 2000 CANDIDATES",
    ),
    (
        "Every edge of every explanation, compared with the planted schemes.",
        "CREATE OR REPLACE TABLE members AS\n"
        "SELECT target, rank, count(*) AS edges, count(scheme) AS planted, count(*) FILTER (kind = 'chain') AS chain,\n"
        "       count(*) FILTER (kind = 'spindle') AS spindle\n"
        "FROM explanations JOIN explanation_edges USING (explanation_id)\n"
        "LEFT JOIN planted ON collector = target AND payer = src AND payee = dst\n"
        "                     AND edge_type = 'account -pays-> account'\n"
        "WHERE query_id = (SELECT max(query_id) FROM queries) GROUP BY target, rank",
    ),
    (
        "What share of the shown edges was planted? `chance` is the share among all edges of the fields.",
        "SELECT CASE WHEN m.edges <= 2 THEN '1 to 2' WHEN m.edges <= 5 THEN '3 to 5' ELSE 'more' END AS edges,\n"
        "       count(*) AS members, round(avg(planted / m.edges), 3) AS precision,\n"
        "       round(avg(seen / field_size), 3) AS chance\n"
        "FROM members m JOIN targets USING (target)\n"
        "JOIN (SELECT collector, count(*) AS seen FROM planted WHERE hop <= 2 GROUP BY collector)\n"
        "  ON collector = target\n"
        "WHERE query_id = (SELECT max(query_id) FROM queries) GROUP BY ALL ORDER BY ALL",
    ),
    (
        "Which edges do members of at most five edges show, and what share is planted, type by type?",
        "SELECT edge_type, count(*) AS edges, count(scheme) AS planted\n"
        "FROM explanations e JOIN members m USING (target, rank) JOIN explanation_edges USING (explanation_id)\n"
        "LEFT JOIN planted ON collector = e.target AND payer = src AND payee = dst\n"
        "                     AND edge_type = 'account -pays-> account'\n"
        f"WHERE query_id = (SELECT max(query_id) FROM queries) AND m.edges <= {SMALL}\n"
        "GROUP BY edge_type ORDER BY edges DESC",
    ),
    (
        "And what share of the schemes planted within two hops do they find? `found`: the share of schemes with an edge\n"
        "-- in such a member; `recall`: the share of their edges; `chance`: the recall of as many random edges.",
        "WITH shown AS (\n"
        "  SELECT DISTINCT e.target, src, dst, edge_type\n"
        "  FROM explanations e JOIN members m USING (target, rank) JOIN explanation_edges USING (explanation_id)\n"
        f"  WHERE query_id = (SELECT max(query_id) FROM queries) AND m.edges <= {SMALL}),\n"
        "visible AS (\n"
        "  SELECT p.scheme, kind, s.target IS NOT NULL AS held, drawn / field_size AS chance\n"
        "  FROM planted p JOIN targets t ON collector = t.target\n"
        "  JOIN (SELECT target, count(*) AS drawn FROM shown GROUP BY target) d ON collector = d.target\n"
        "  LEFT JOIN shown s ON collector = s.target AND src = payer AND dst = payee\n"
        "                       AND edge_type = 'account -pays-> account'\n"
        "  WHERE hop <= 2 AND query_id = (SELECT max(query_id) FROM queries)),\n"
        "schemes AS (\n"
        "  SELECT scheme, kind, count(*) AS edges, count(*) FILTER (held) AS held, avg(chance) AS chance\n"
        "  FROM visible GROUP BY ALL)\n"
        "SELECT kind, count(*) AS schemes, round(avg((held > 0)::INT), 3) AS found,\n"
        "       round(sum(held) / sum(edges), 3) AS recall, round(avg(chance), 3) AS chance\n"
        "FROM schemes GROUP BY kind ORDER BY kind",
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
)
ONE = """SELECT target FROM members
WHERE target IN (SELECT collector FROM planted GROUP BY collector HAVING count(DISTINCT kind) = 2)
GROUP BY target HAVING bool_or(chain > 0) AND bool_or(spindle > 0)
ORDER BY avg(planted / edges) DESC, target LIMIT 1"""


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
            print(
                "-- No account has members that show both of its schemes; see the table `members`."
            )
            return 0
        key = literal(
            str(account[0])
        )  # quoted: it comes from a table of the file, and anyone may have written that
        result = _step(
            shell,
            "One account that both schemes serve.",
            f"EXPLAIN NODE {key} OF TYPE account USING MODEL watch OPTIMIZE fdl+, fdl-, conc DIVERSIFY TOP 6\n"
            "  BUDGET 2000 CANDIDATES",
        )
        _step(
            shell,
            "What each of its members shows, with what was paid and when.",
            "SELECT rank, edges, chain, spindle, payments FROM members JOIN (\n"
            "  SELECT target, rank, list(format('{} to {}: {:.0f} at {}h', payer, payee, amount, hour)\n"
            "                            ORDER BY amount DESC)[:3] AS payments\n"
            "  FROM explanations JOIN explanation_edges USING (explanation_id)\n"
            "  JOIN transfers ON payer = src AND payee = dst AND edge_type = 'account -pays-> account'\n"
            "  WHERE query_id = (SELECT max(query_id) FROM queries) GROUP BY ALL) USING (target, rank)\n"
            f"WHERE target = {key} ORDER BY rank",
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
    elif len(result.rows) > MOST_ROWS:
        shell.show(Table(result.columns, result.rows[:MOST_ROWS]))
        print(f"... and {len(result.rows) - MOST_ROWS:,} more rows")
    else:
        shell.show(result)
    print()
    return result


def command() -> str:
    """The command that started this program."""
    return "sxq" if sys.argv[0].endswith("sxq") else f"{sys.executable} -m sxq"
