"""The store: one object, one database, two connections.

*The user's connection* runs the user's SQL, with the search path `main, sxq`; temporary tables and open
transactions live there. *The private cursor* is the engine's: its search path is DuckDB's own functions and the
schema `sxq`, so the names that it writes keep their meaning whatever names the user, or the maker of the file, gives
to tables, macros, schemas and the file.
Every public method that stores is one transaction on that cursor: it happens as a whole or not at all. Stores of
one file in one process share DuckDB's memory; their transactions that store wait for each other.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

import duckdb
import numpy as np

from sxq.errors import InvalidValue, NameTaken, StoreError, TransactionOpen
from sxq.graph.disk import DiskGraph
from sxq.graph.key_texts import KEPT
from sxq.storage import (
    answer_rows,
    carried_rows,
    collection_rows,
    graph_folders,
    graph_rows,
    graph_schemas,
    integrity,
    model_rows,
    named_rows,
    pattern_rows,
    refine_rows,
    registered_frames,
    snapshot,
    stored_answers,
)
from sxq.storage.access import Access
from sxq.storage.backup import copy_database
from sxq.storage.caller_frames import as_tables, frames_in
from sxq.storage.ctrl_c import hearing_ctrl_c
from sxq.storage.database import open_database, require_path
from sxq.storage.process import Owner, require_not_inherited
from sxq.storage.quoting import ambiguous, catalog_of, quote
from sxq.storage.rows import Cursor, append, run
from sxq.storage.schema import engine_cursor
from sxq.storage.user_sql import SqlResult, UserSql, plain
from sxq.values.explanation import TargetReport
from sxq.values.pattern import ClassPattern

# SQL type of keys that are text -> those of a column by number, and what VARIANT keeps of them
_AS_TEXT: dict[str | None, str] = {
    kind: f"CAST(#{{0}} AS {kind})::VARCHAR, CAST(#{{0}} AS {kind})::VARIANT::{kind}::VARCHAR"
    for kind in KEPT
}
_AS_TEXT[None] = "NULL, NULL"
ROWS_AT_ONCE = 10_000  # that are appended together
_locks: "WeakValueDictionary[Path, Any]" = WeakValueDictionary()  # of open files
os.register_at_fork(after_in_child=_locks.clear)  # a lock of another thread would never be released


@dataclass(frozen=True)
class NewTable:
    """The table of an INTO, in schema main."""

    name: str
    columns: Sequence[str]
    types: Sequence[str]  # DuckDB's names
    rows: Iterable[Sequence]


def _lock_of(path: str | None) -> Any:
    """The lock of a transaction that stores; all stores of one file share it."""
    if path is None:
        return threading.Lock()
    return _locks.setdefault(Path(path).resolve(), threading.Lock())


class Store:
    """An open database; one thread at a time may use it (`interrupt` from any).

    path       the database file, created if missing; None: in memory
    read_only  open an existing file together with other readers; methods that store raise StoreError
    access     what the user's SQL may reach outside of the database
    patience   seconds to wait for another process that holds the file; None: a second

    Raises StoreError (no DuckDB file, no tables of sxq to read, another version), DatabaseLocked. In a forked process
    everything but `close` raises ForkedConnection.
    """

    def __init__(
        self,
        path: str | None = None,
        read_only: bool = False,
        access: Access | None = None,
        patience: float | None = None,
    ):
        self.path = None if path is None or str(path) == ":memory:" else str(path)
        self.read_only = read_only
        self.access = access or Access(read_only)
        if self.path is not None:
            require_path(self.path)
            require_not_inherited(self.path)
        self._lock = _lock_of(self.path)
        self._waiting: list[tuple[int, TargetReport]] | None = None  # a list inside of `together`
        self._inside = False  # of a transaction
        self._versions: dict[int, int | None] = {}  # of the graphs of queries that were stored into
        self.changes = 0  # grows with every transaction that stores, and with SQL that may
        self._owner = Owner(self.path)
        try:
            with self._lock:  # opening may create or change the tables
                user = open_database(self._owner, read_only, self.access.config(), patience)
                self._owner.connections = (user, engine_cursor(user))
                self.notes = self._tidied()  # what a process left that was ended, in words
        except BaseException:
            self._owner.close()  # a fork does not take the file for an open one
            raise
        self._user_sql = UserSql(user)
        self._frames: set[str] = set()  # names that `register_table` gave, in lower case
        self._catalog = catalog_of(user)
        search_path = f"{quote(self._catalog, 'main')},{quote(self._catalog, 'sxq')}"
        run(self._user, "SET search_path = ?", [search_path])
        if not self.access.untrusted:  # whose configuration says so, and is locked
            # DuckDB would look among the variables of sxq's own functions; caller_frames.py finds the caller's
            run(self._user, "SET python_enable_replacements = false")

    @property
    def _file(self) -> str | None:
        """The path of the file, which stays the same where the process changes its folder; None in memory."""
        return None if self._owner.file is None else str(self._owner.file)

    def _tidied(self) -> list[str]:
        if self.path is None or self.read_only or not self._owner.alone():
            return []
        assert self._file is not None
        return graph_folders.tidy(self._file, graph_folders.stored(self._cursor))

    def close(self) -> None:
        """Close the database and roll back the user's open transaction; in a forked process, do nothing."""
        if self.own_process():
            self._user_sql.settled()
            self._owner.close()

    def own_process(self) -> bool:
        """Whether this process, not a parent that forked it, opened the database."""
        return self._owner.here()

    def require_own_process(self) -> None:
        """Raise ForkedConnection unless this process opened the database."""
        self._owner.require()

    @property
    def _user(self) -> duckdb.DuckDBPyConnection:
        self._owner.require()
        return self._user_sql.settled()

    @property
    def _cursor(self) -> Cursor:
        self._owner.require()
        return self._owner.connections[1]

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # the user's SQL

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> SqlResult:
        """Run the user's SQL and read the last statement's result; SQLError has DuckDB's own message.

        Raises StoreError for EXPORT DATABASE, and NotAllowed for SQL that reaches further than
        `access` admits.
        """
        self._owner.require()
        self.access.check(self._user, sql, self.path)
        if "export" in sql.lower() and "EXPORT" in (self._kinds(sql) or ()):
            raise StoreError(
                "EXPORT DATABASE writes files that IMPORT DATABASE cannot read, because keys are of"
                " type VARIANT; copy the database with backup(path) or `sxq backup FROM TO`, and"
                " tables or answers with COPY (SELECT ...) TO 'file.parquet'"
            )
        if self.access.untrusted:
            return self._user_sql.execute(sql, parameters, self.access.most_bytes)
        if self._kinds(sql) != ["SELECT"]:
            self.changes += 1
        with as_tables(self._user, frames_in(self._user, sql)):
            return self._user_sql.execute(sql, parameters)

    def select(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> SqlResult:
        """Run a sub-query; raises SQLError, InvalidValue unless it is one statement that reads."""
        kinds = self._kinds(sql)
        if kinds is not None and kinds != ["SELECT"]:
            raise InvalidValue(f"a sub-query is one SELECT, found {', '.join(kinds) or 'nothing'}")
        return self.execute(sql, parameters)

    def glance(
        self, sql: str, most_rows: int, parameters: Mapping[str, Any] | None = None
    ) -> SqlResult:
        """The first rows of one SELECT or EXPLAIN, one more than `most_rows` if there are more.

        It runs in a read-only transaction, so that no function and no WITH in it writes. Raises SQLError,
        NotAllowed, and InvalidValue for anything else than one statement that reads.
        """
        self._owner.require()
        self.access.check(self._user, sql, self.path)
        kinds = self._kinds(sql)
        if kinds is not None and kinds not in (["SELECT"], ["EXPLAIN"]):
            found = ", ".join(kinds) or "nothing"
            raise InvalidValue(f"expected one SELECT, which only reads; found {found}")
        self._user_sql.execute("BEGIN TRANSACTION READ ONLY")
        try:
            return self._user_sql.execute(sql, parameters, self.access.most_bytes, most_rows + 1)
        finally:
            self._user_sql.execute("ROLLBACK")

    def select_as_text(self, sql: str, parameters: Any, kinds: Sequence[str | None]) -> SqlResult:
        """A sub-query that `select` has run, with two columns before its own for each of its first columns.

        They are the column's text as a value of a type of `kinds`, and the text of what VARIANT keeps of it.
        """
        casts = [_AS_TEXT[kind].format(number) for number, kind in enumerate(kinds, 1)]
        return self.execute(f"SELECT {', '.join(casts)}, * FROM ({sql}\n)", parameters)

    def select_infinite(self, sql: str, parameters: Any, places: Sequence[int]) -> SqlResult:
        """Of a sub-query that `select` has run, whether each date or time in the columns at `places` is infinite."""
        tests = [f"isinf(#{place + 1})" for place in places]
        return self.execute(f"SELECT {', '.join(tests)} FROM ({sql}\n)", parameters)

    def _kinds(self, sql: str) -> list[str] | None:
        """The kind of each statement; None for SQL that DuckDB cannot parse: running it says why."""
        try:
            return [statement.type.name for statement in self._user.extract_statements(sql)]
        except duckdb.Error:
            return None

    def interrupt(self) -> None:
        """Stop the user's running SQL, from any thread; `execute` then raises SQLError."""
        self._owner.require()
        with suppress(duckdb.ConnectionException):  # it was closed meanwhile: nothing runs
            self._user_sql.interrupt()

    def in_transaction(self) -> bool:
        """Whether the user has an open transaction (also one that failed and waits for ROLLBACK)."""
        try:  # outside a transaction, every statement is a transaction of its own
            # qualified: a macro of the file may bear the name of the function
            first, second = (run(self._user, "SELECT system.main.txid_current()") for _ in range(2))
        except duckdb.TransactionException:
            return True
        except duckdb.Error as error:
            raise StoreError(f"the database refused: {error}") from error
        return first == second

    def require_writable(self, statement: str) -> None:
        """Raise StoreError (read-only) or TransactionOpen if `statement` must not store now."""
        if self.read_only:
            raise StoreError(f"{statement} stores, but the database was opened read-only")
        if self.in_transaction():
            raise TransactionOpen(
                f"{statement} stores, but a transaction is open: COMMIT first, or ROLLBACK"
            )

    def require_file(self, statement: str) -> None:
        """Raise StoreError if the database is in memory, so that nothing lies beside it."""
        if self.path is None:
            raise StoreError(
                f"{statement} keeps a graph in a folder beside the database file, and this database is in "
                "memory; connect to a file, or say STORAGE = memory"
            )

    def register_table(self, name: str, frame: Any, replace: bool) -> None:
        """Let SQL read a frame under a name, until the connection closes; see registered_frames.py."""
        self._owner.require()
        registered_frames.register(self._user, name, frame, self._frames if replace else ())
        self._frames.add(name.lower())

    def require_free_table(self, name: str) -> None:
        """Raise NameTaken if a table of the user or the engine has the name."""
        if run(
            self._cursor,
            "SELECT 1 FROM information_schema.tables WHERE lower(table_name) = lower(?)"
            " AND table_schema = 'sxq' AND table_catalog = ?",
            [name, self._catalog],
        ):
            raise NameTaken(
                f"table {name!r} is one of the engine's own; choose another name after INTO"
            )
        try:
            taken = run(
                self._user,
                "SELECT 1 FROM system.information_schema.tables"
                " WHERE system.main.lower(table_name) = system.main.lower(?)"
                " AND table_schema = 'main' AND table_catalog IN (?, 'temp')",
                [name, self._catalog],
            )
        except duckdb.TransactionException as error:
            raise TransactionOpen(
                "a transaction was aborted by an error and is still open: say ROLLBACK first"
            ) from error
        if taken:
            raise NameTaken(
                f"table {name!r} exists; drop it first, or choose another name after INTO"
            )

    def backup(self, path: str) -> None:
        """Write everything committed to the new file `path`, whole or not at all; NameTaken, StoreError."""
        with self._lock:
            copy_database(self._cursor, self._catalog, Path(path), self._copy_folders)

    def write_snapshot(self, path: str) -> None:
        """Write everything committed to `path`, in place of an earlier snapshot; InvalidValue, StoreError."""
        with self._lock, hearing_ctrl_c():
            snapshot.write(self._cursor, self._catalog, self._owner.file, Path(path))

    def _copy_folders(self, target: Path) -> None:
        """Copy the graphs on disk beside a copy of the database."""
        if self._file is not None:
            graph_folders.copy(self._file, target, list(graph_folders.stored(self._cursor)))

    # graphs and models

    def save_graph(
        self,
        name: str,
        content_hash: str,
        columns: Mapping[str, Any],
        undirected: bool,
        replace: bool = False,
    ) -> int:
        """Store the columns of a graph under `name`; return its graph_id. Raises NameTaken."""
        with self._lock, self._deleting("CREATE GRAPH") as cursor:
            graph_id = graph_rows.save(
                cursor, name, content_hash, columns, undirected=undirected, replace=replace
            )
            graph_schemas.settle(cursor, self._catalog)
        return graph_id

    def alter_graph(
        self,
        name: str,
        content_hash: str,
        columns: Mapping[str, Any],
        undirected: bool,
        models: Sequence[Mapping[str, Any]],
    ) -> tuple[int, dict[str, int]]:
        """Store the next version of a graph or a collection, and the models that follow to it; their ids, all or none.

        models  the arguments of `save_model` for each, by name; not graph_id and replace
        """
        save = collection_rows.save if "union" in columns else graph_rows.save
        with self._lock, self._deleting("ALTER GRAPH") as cursor:
            graph_id = save(
                cursor, name, content_hash, columns, undirected=undirected, replace=True
            )
            ids = {
                model["name"]: model_rows.save(cursor, graph_id=graph_id, replace=True, **model)
                for model in models
            }
            graph_schemas.settle(cursor, self._catalog)
        return graph_id, ids

    def alter_graph_on_disk(
        self,
        name: str,
        columns: Mapping[str, Any],
        follow: Callable[[DiskGraph], Sequence[Mapping[str, Any]]],
    ) -> tuple[int, dict[str, int], DiskGraph]:
        """`alter_graph` of a graph on disk, and the next version itself.

        follow  given that version, the models that follow to it
        """
        self.require_writable("ALTER GRAPH")
        with graph_folders.written(self._file, name, columns, self._folder_of(name)) as graph:
            models = follow(graph)
            folders: list[Path] = []
            try:
                with self._lock, self._deleting("ALTER GRAPH") as cursor:
                    named = name, True
                    graph_id = graph_folders.save(cursor, self._file, graph, folders, named)
                    ids = {
                        model["name"]: model_rows.save(
                            cursor, graph_id=graph_id, replace=True, **model
                        )
                        for model in models
                    }
                    graph_schemas.settle(cursor, self._catalog)
            except BaseException:
                graph_folders.undo(folders)
                raise
            graph.folder = folders[0]  # it has its name now; what is mapped stays mapped
        graph_folders.finish(folders[0])
        return graph_id, ids, graph

    def save_graph_on_disk(
        self, name: str, columns: Mapping[str, Any], replace: bool = False
    ) -> tuple[int, DiskGraph]:
        """Store a graph in a folder beside the database; its id, and the graph. Raises NameTaken, GraphError."""
        self.require_writable("CREATE GRAPH")
        with graph_folders.written(self._file, name, columns, self._folder_of(name)) as graph:
            folders: list[Path] = []
            try:
                with self._lock, self._deleting("CREATE GRAPH") as cursor:
                    graph_id = graph_folders.save(
                        cursor, self._file, graph, folders, (name, replace)
                    )
                    graph_schemas.settle(cursor, self._catalog)
            except BaseException:
                graph_folders.undo(folders)
                raise
        graph_folders.finish(folders[0])
        return graph_id, self.open_graph(graph_id, graph.content_hash)

    def _folder_of(self, name: str) -> Path | None:
        """Where the present version of a graph on disk lies; None if there is none."""
        found = next((row for row in self.graphs() if row.name == name and row.on_disk), None)
        if found is None:
            return None
        return graph_folders.folder_of(self._file, found.graph_id, found.content_hash)

    def open_graph(self, graph_id: int, content_hash: str, whole: bool = False) -> DiskGraph:
        """A graph on disk, mapped; raises StoreError if its folder is not as it was written.

        whole  compare every byte
        """
        graph = graph_folders.opened(self._file, graph_id, content_hash, whole)
        graph.keeps_outputs = not self.read_only
        return graph

    def is_on_disk(self, graph_id: int) -> bool:
        """Whether a graph lies in a folder beside the database."""
        with self._transaction() as cursor:
            return graph_rows.is_on_disk(cursor, graph_id)

    def load_graph(self, name_or_id: str | int) -> dict[str, Any]:
        """The columns of a graph, as they were saved; raises UnknownName, InvalidValue (an id)."""
        with self._transaction() as cursor:
            return graph_rows.load(cursor, name_or_id)

    def save_graphs(
        self,
        name: str,
        content_hash: str,
        columns: Mapping[str, Any],
        undirected: bool,
        replace: bool = False,
    ) -> int:
        """Store the columns of a collection of graphs under `name`; return its graph_id. Raises NameTaken."""
        with self._lock, self._deleting("CREATE GRAPHS") as cursor:
            graph_id = collection_rows.save(
                cursor, name, content_hash, columns, undirected=undirected, replace=replace
            )
            graph_schemas.settle(cursor, self._catalog)
        return graph_id

    def load_graphs(self, name_or_id: str | int) -> dict[str, Any]:
        """The columns of a collection, as they were saved; raises UnknownName, InvalidValue (an id)."""
        with self._transaction() as cursor:
            return collection_rows.load(cursor, name_or_id)

    def is_collection(self, graph_id: int) -> bool:
        """Whether a row of `graphs` is a collection; raises InvalidValue."""
        with self._transaction() as cursor:
            return collection_rows.is_collection(cursor, graph_id)

    def graph_hash(self, graph_id: int) -> str:
        """The hash under which the content of a graph or a collection was stored."""
        with self._transaction() as cursor:
            return graph_rows.content_hash(cursor, graph_id)

    def graph_schema(self, graph_id: int) -> graph_schemas.GraphSchema | None:
        """The schema with the views of a graph or a collection; None where the database has none."""
        with self._transaction() as cursor:
            return graph_schemas.schema_of(cursor, self._catalog, graph_id)

    def named_like_schema(self) -> bool:
        """Whether the database is called like schema sxq, so that its graphs can have no views."""
        return ambiguous(self._catalog)

    def graphs(self) -> list[graph_rows.GraphRow]:
        """Every named graph and collection, by name."""
        with self._transaction() as cursor:
            return graph_rows.listing(cursor)

    def save_model(
        self,
        name: str,
        graph_id: int,
        content_hash: str,
        spec: Mapping[str, Any],
        *,
        weights: bytes | None,
        replace: bool = False,
    ) -> int:
        """Store a model under `name`; return its model_id. Raises NameTaken.

        `content_hash` covers `spec`; `weights` are None for a module of the user's own.
        """
        with self._lock, self._deleting("CREATE MODEL") as cursor:
            return model_rows.save(
                cursor, name, graph_id, content_hash, spec, weights=weights, replace=replace
            )

    def load_model(self, name_or_id: str | int) -> model_rows.ModelRow | None:
        """A model by name or id, or None."""
        with self._transaction() as cursor:
            return model_rows.load(cursor, name_or_id)

    def models(self) -> list[model_rows.ModelRow]:
        """Every named model, by name."""
        with self._transaction() as cursor:
            return model_rows.listing(cursor)

    def save_refine(
        self,
        name: str,
        model_id: int,
        graph_id: int,
        content_hash: str,
        spec: Mapping[str, Any],
        *,
        weights: bytes,
        saliency: Mapping[str, Sequence],
        replace: bool = False,
    ) -> int:
        """Store pre-trained attributors and their saliency (columns by name) under `name`. Raises NameTaken."""
        row = {
            "model_id": model_id,
            "graph_id": graph_id,
            "content_hash": content_hash,
            "spec": spec,
            "weights": weights,
        }
        with self._lock, self._deleting("PRETRAIN REFINE") as cursor:
            return refine_rows.save(cursor, name, row, saliency, replace)

    def load_refine(self, name: str) -> refine_rows.RefineRow | None:
        """Pre-trained attributors by name, or None."""
        with self._transaction() as cursor:
            return refine_rows.load(cursor, name)

    def refine_models(self) -> dict[str, tuple[int, str]]:
        """By the name of attributors, the id and the name of the model that they explain."""
        with self._transaction() as cursor:
            return refine_rows.models(cursor)

    def refines(self) -> list[refine_rows.RefineRow]:
        """All named attributors, by name."""
        with self._transaction() as cursor:
            return refine_rows.listing(cursor)

    def ids(self) -> dict[str, dict[str, int]]:
        """The ids of all names in use, for `graphs` (collections too), `models` and `refines`."""
        with self._transaction() as cursor:
            return named_rows.live(cursor)

    def drop(self, kind: str, name: str, if_exists: bool = False) -> None:
        """Free a name of a kind in `named_rows.KINDS`; raises UnknownName.

        Rows that answers refer to stay.
        """
        with self._lock, self._deleting(f"DROP {kind.upper()}") as cursor:
            named_rows.drop(cursor, named_rows.KINDS[kind], name, if_exists)
            if kind in ("graph", "graphs"):
                graph_schemas.settle(cursor, self._catalog)

    # queries and answers

    def begin_query(
        self,
        *,
        text: str,
        plan: str,
        model_id: int,
        graph_id: int,
        settings: Mapping[str, Any],
        seed: int,
        epsilon: float,
        k: int,
        device: str,
        versions: Mapping[str, str],
        targets: Sequence[Any],
        restrictions: Mapping[str, Sequence[tuple[Any, Any]]] = MappingProxyType({}),
        refreshes: int | None = None,
    ) -> int:
        """Store a query and its targets (keys), all pending; return its query_id.

        restrictions  edges by key, by the name of their clause: include, exclude
        refreshes     the query whose answers it brings to another version of the graph
        """
        query = {
            "text": text,
            "plan": plan,
            "model_id": model_id,
            "graph_id": graph_id,
            "settings": settings,
            "seed": seed,
            "epsilon": epsilon,
            "k": k,
            "device": device,
            "versions": versions,
            "refreshes": refreshes,
        }
        with self._lock, self._write("EXPLAIN") as cursor:
            return answer_rows.begin(cursor, query, targets, restrictions)

    def resume_query(self, query_id: int, ordinals: Sequence[int]) -> None:
        """Make some targets of a query pending again, and the query a running one."""
        with self._lock, self._write("RESUME") as cursor:
            answer_rows.resume(cursor, query_id, ordinals)

    def carry_targets(
        self,
        source: int,
        query_id: int,
        ordinals: Sequence[int],
        edges: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        """Copy the answers of some targets of query `source` to the same, pending, targets of another.

        edges  numbers of edges in the version of `source`, and in that of the other; None: all are the same
        """
        with self._lock, self._write("REFRESH") as cursor:
            carried_rows.carry(cursor, source, query_id, ordinals=ordinals, edges=edges)

    def refreshed_targets(self, query_id: int) -> carried_rows.RefreshedTargets:
        """What an interrupted REFRESH did, and what it left."""
        with self._transaction() as cursor:
            return carried_rows.refreshed(cursor, query_id)

    def versions(self) -> list[carried_rows.QueryVersion]:
        """Every query with the version of its graph and the present one, the oldest first."""
        with self._transaction() as cursor:
            return carried_rows.versions(cursor)

    def drop_query(self, query_id: int) -> None:
        """Delete a query with its answers, and what is kept only for them; raises InvalidValue."""
        with self._lock, self._deleting("DROP QUERY") as cursor:
            stored_answers.require_query(cursor, query_id)
            answer_rows.delete(cursor, query_id)
            named_rows.sweep(cursor)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What `save_target` is given within is stored at the end: all of it or, after an error, nothing."""
        self._waiting = []
        try:
            yield
            by_query: dict[int, list[TargetReport]] = {}
            for query_id, report in self._waiting:
                by_query.setdefault(query_id, []).append(report)
            with self._lock, self._write("EXPLAIN") as cursor:
                for query_id, reports in by_query.items():
                    self._save_targets(cursor, query_id, reports)
        finally:
            self._waiting = None

    def save_target(self, query_id: int, report: TargetReport) -> None:
        """Store the report of one pending target; repeating changes nothing."""
        if self._waiting is not None:
            self._waiting.append((query_id, report))
            return
        with self._lock, self._write("EXPLAIN") as cursor:
            self._save_targets(cursor, query_id, [report])

    def _save_targets(self, cursor: Cursor, query_id: int, reports: Sequence[TargetReport]) -> None:
        if query_id not in self._versions:  # of a graph's row it never changes
            self._versions[query_id] = answer_rows.version_of_graph(cursor, query_id)
        answer_rows.save_targets(cursor, query_id, reports, self._versions[query_id])

    def save_unreached(self, query_id: int, reports: Sequence[TargetReport]) -> None:
        """Store together pending targets whose search never began; repeating changes nothing."""
        with self._lock, self._write("EXPLAIN") as cursor:
            answer_rows.save_unreached(cursor, query_id, reports)

    def finish_query(
        self,
        query_id: int,
        seconds: float,
        complete: bool,
        into: NewTable | None = None,
        patterns: Sequence[ClassPattern] = (),
    ) -> None:
        """Mark a query as ended, store its patterns and create the table of its INTO, all or none.

        Raises NameTaken.
        """
        with self._lock, self._write("EXPLAIN") as cursor:
            answer_rows.finish(cursor, query_id, seconds, complete)
            pattern_rows.save(cursor, query_id, patterns)
            if into is not None:
                self._create_table(cursor, into)

    def create_table(self, table: NewTable) -> None:
        """Create a table in schema main, whole or not at all; raises NameTaken, StoreError."""
        with self._lock, self._write("INTO") as cursor:
            self._create_table(cursor, table)

    def _create_table(self, cursor: Cursor, table: NewTable) -> None:
        self.require_free_table(table.name)
        target = quote(self._catalog, "main", table.name)
        declared = [
            f"{quote(name)} {duckdb.sqltype(kind)}"
            for name, kind in zip(table.columns, table.types)
        ]
        run(cursor, f"CREATE TABLE {target} ({', '.join(declared)})")
        rows = iter(table.rows)  # of a large result they are read from the store, between two parts
        while some := [plain(row) for row in islice(rows, ROWS_AT_ONCE)]:
            append(cursor, target, some)

    def queries(self) -> list[stored_answers.QueryRow]:
        """Every stored query, the oldest first."""
        with self._transaction() as cursor:
            return stored_answers.queries(cursor)

    def stored_explanations(
        self,
        query_id: int | None = None,
        places: stored_answers.Places | None = None,
        ids: Sequence[int] | None = None,
    ) -> list[stored_answers.StoredExplanation]:
        """The explanations of one query, or of all; raises InvalidValue where there is no such query.

        places  the first and the last place of targets in their query: only the explanations of those
        ids     only these explanations
        """
        with self._transaction() as cursor:
            return stored_answers.explanations(cursor, query_id, places, ids)

    def stored_queries(
        self, query_id: int | None = None, places: stored_answers.Places | None = None
    ) -> list[stored_answers.StoredQuery]:
        """One query or all, with their targets, or those at `places`, from the first to the last of two.

        Raises InvalidValue where there is no such query.
        """
        with self._transaction() as cursor:
            return stored_answers.asked(cursor, query_id, places)

    def target_places(self, query_id: int | None = None) -> dict[int, np.ndarray]:
        """The places of the targets of one query, or of all, in ascending order, by query."""
        with self._transaction() as cursor:
            return stored_answers.target_places(cursor, query_id)

    def target_keys(self, query_id: int) -> tuple[Any, ...]:
        """The keys of the targets of a query, in their order."""
        with self._transaction() as cursor:
            return stored_answers.target_keys(cursor, query_id)

    def left_targets(self, query_id: int) -> stored_answers.LeftTargets:
        """The targets of a query that have no answer yet."""
        with self._transaction() as cursor:
            return stored_answers.left_targets(cursor, query_id)

    def stored_patterns(self, query_id: int | None = None) -> list[pattern_rows.StoredPattern]:
        """The patterns of one query, or of all."""
        with self._transaction() as cursor:
            return pattern_rows.load(cursor, query_id)

    def explanatory_candidates(
        self, query_id: int, places: stored_answers.Places | None = None
    ) -> list[tuple[Any, Mapping[str, float]]]:
        """The target and the scores of every explanatory candidate that was kept of a query, or of some targets."""
        with self._transaction() as cursor:
            return stored_answers.explanatory_candidates(cursor, query_id, places)

    def broken(self, query_id: int | None = None) -> list[integrity.Broken]:
        """Relations between tables that do not hold, of one query, or of all and the whole file."""
        with self._transaction() as cursor:
            return integrity.broken(cursor, query_id)

    @contextmanager
    def _write(self, statement: str) -> Iterator[Cursor]:
        self.require_writable(statement)
        with self._transaction() as cursor:
            yield cursor
        self.changes += 1

    @contextmanager
    def _deleting(self, statement: str) -> Iterator[Cursor]:
        """`_write` where graphs may be deleted: the folders of those are removed after the commit."""
        with self._write(statement) as cursor:
            before = graph_folders.stored(cursor)
            yield cursor
            gone = before.keys() - graph_folders.stored(cursor).keys()
        graph_folders.remove(self._file, sorted(gone))

    @contextmanager
    def _transaction(self) -> Iterator[Cursor]:
        if self._inside:  # the rows of a table that is made are read from the store
            yield self._cursor
            return
        try:
            with hearing_ctrl_c():
                self._begin()
                self._inside = True
                yield self._cursor
                self._cursor.execute("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error), hearing_ctrl_c():
                self._cursor.execute("ROLLBACK")
            if isinstance(error, duckdb.Error):
                raise StoreError(f"the database refused: {error}") from error
            if isinstance(error, UnicodeEncodeError):
                raise InvalidValue(
                    f"a name or a key is no Unicode text: {error.object!a}"
                ) from None
            raise
        finally:
            self._inside = False

    def _begin(self) -> None:
        try:
            self._cursor.execute("BEGIN")
        except duckdb.TransactionException:  # Ctrl-C cut the rollback of the last one short
            self._cursor.execute("ROLLBACK")
            self._cursor.execute("BEGIN")
