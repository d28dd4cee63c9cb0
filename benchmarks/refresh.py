"""A bank whose transfers change every day: REFRESH of stored answers against explaining every target again.

    python benchmarks/refresh.py [--targets 60] [--days 5] [--daily 15] [--budget 2000] [--audit]

The graph begins with most of the transfers of the synthetic bank. Every day some transfers come, new accounts
among them, and a few are cancelled. CPU seconds are those of this process, with one thread. Wherever a target
was searched again, its answer is compared with that of EXPLAIN, value by value.
"""

import argparse
import random
import time
from collections.abc import Callable

import torch

import sxq
from sxq.shell.synthetic_bank import generate

NODES = "SELECT account, days / 130 AS days, volume, 2 * fees AS fees, label, split FROM accounts"
EDGES = "SELECT payer, payee FROM transfers"
QUERY = "USING MODEL watch OPTIMIZE fdl+, fdl-, conc TOP 10 BUDGET {} CANDIDATES"
ANSWERS = """SELECT t.target, e.rank, e.size, e.raw, e.scores,
    (SELECT list(row(src, dst, edge, unit, worth_kept) ORDER BY edge) FROM explanation_edges x
     WHERE x.explanation_id = e.explanation_id)
    FROM targets t LEFT JOIN explanations e ON e.query_id = t.query_id AND e.target = t.target
    WHERE t.query_id = ? AND t.target IN (SELECT target FROM targets WHERE query_id = ? AND refreshed = 'searched')
    ORDER BY ALL"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=60)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--daily", type=int, default=15, help="transfers that come; a fifth goes")
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--audit", action="store_true", help="AUDIT all answers at the end")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with sxq.connect() as con:
        stream = Stream(con, options)
        query = f"EXPLAIN NODES ? {QUERY.format(options.budget)}"
        con.execute(query, [stream.targets])
        print("day  came  gone  carried  measured  searched  ALTER  REFRESH  EXPLAIN  same answers")
        totals = [0.0, 0.0, 0.0]
        for day in range(1, options.days + 1):
            came, gone = stream.next_day()
            altered, _ = cpu(stream.alter)
            spent, table = cpu(lambda: con.execute("REFRESH QUERY 1"))
            row = table.df().iloc[0]
            anew, found = cpu(lambda: con.query(query, [stream.targets]))
            pair = [
                con.sql(ANSWERS, [q, int(row.query_id)]).rows
                for q in (int(row.query_id), found.query_id)
            ]
            con.execute(f"DROP QUERY {found.query_id}")
            totals = [total + more for total, more in zip(totals, (altered, spent, anew))]
            print(
                f"{day:3}  {came:4}  {gone:4}  {row.carried:7}  {row.measured:8}  {row.searched:8}"
                f"  {altered:5.1f}  {spent:7.1f}  {anew:7.1f}  {'yes' if pair[0] == pair[1] else 'NO'}"
            )
        print(
            f"CPU seconds: ALTER {totals[0]:.1f}, REFRESH {totals[1]:.1f}, EXPLAIN anew {totals[2]:.1f}"
        )
        if options.audit:
            verdicts = {row[-1] for row in con.execute("AUDIT")}
            print(f"AUDIT of all answers of all days: {', '.join(sorted(verdicts))}")


class Stream:
    """The bank, and what each day brings."""

    def __init__(self, con: sxq.Connection, options: argparse.Namespace):
        self.con = con
        self.daily = options.daily
        self.random = random.Random(0)
        bank = generate(0)
        self.accounts = {row[0]: row for row in bank.accounts}
        later = list(dict.fromkeys((payer, payee) for payer, payee, *_ in bank.transfers))
        self.random.shuffle(later)
        self.later = later[: options.days * options.daily]
        self.now = later[options.days * options.daily :]
        self.known = {end for edge in self.now for end in edge}
        con.execute(
            "CREATE TABLE accounts (account VARCHAR, days DOUBLE, volume DOUBLE, fees DOUBLE, label INTEGER,"
            " role VARCHAR, split VARCHAR); CREATE TABLE transfers (payer VARCHAR, payee VARCHAR)"
        )
        self._fill("accounts", [self.accounts[key] for key in sorted(self.known)])
        self._fill("transfers", self.now)
        con.execute(f"CREATE GRAPH bank FROM NODES ({NODES}) EDGES ({EDGES})")
        con.execute(
            "TRAIN MODEL watch ON GRAPH bank (ARCHITECTURE = sage, LAYERS = 2, HIDDEN = 16, EPOCHS = 100)"
        )
        collectors = [key for key in sorted(self.known) if self.accounts[key][5] == "collector"]
        self.targets = collectors[: options.targets]

    def next_day(self) -> tuple[int, int]:
        """Put what comes and what goes into tables; how many transfers each."""
        come, self.later = self.later[: self.daily], self.later[self.daily :]
        going = self.random.sample(self.now, self.daily // 5)
        self.now = [edge for edge in self.now if edge not in going] + come
        new = {end for edge in come for end in edge} - self.known
        self.known |= new
        self._fill("accounts", [self.accounts[key] for key in sorted(new)])
        self._fill("transfers", come)
        self._fill("cancelled", going)
        return len(come), len(going)

    def alter(self) -> None:
        """The next version of the graph."""
        self.con.execute(
            f"ALTER GRAPH bank ADD NODES ({NODES}), ADD EDGES ({EDGES}), REMOVE EDGES (FROM cancelled)"
        )

    def _fill(self, table: str, rows: list[tuple]) -> None:
        if table == "cancelled":
            self.con.execute("CREATE OR REPLACE TABLE cancelled (payer VARCHAR, payee VARCHAR)")
        self.con.execute(f"DELETE FROM {table}")
        for row in rows:
            self.con.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def cpu(step: Callable) -> tuple[float, sxq.Table]:
    """CPU seconds of a step, and what it returns."""
    started = time.process_time()
    found = step()
    return time.process_time() - started, found


if __name__ == "__main__":
    main()
