"""The context of every statement: one `Session`, made once when a connection opens."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sxq.planning import SETTINGS, parse_setting
from sxq.session.lock import ConnectionLock
from sxq.session.registry import Registry
from sxq.session.snapshots import SnapshotState
from sxq.storage import Access, Store
from sxq.values.result import Result


class Settings(Mapping[str, Any]):
    """The value of each setting by name, as `parse_setting` reads it, and as the user wrote it."""

    def __init__(self) -> None:
        self._values = {name: setting.read(setting.default) for name, setting in SETTINGS.items()}
        self.written = {name: setting.default for name, setting in SETTINGS.items()}

    def set(self, name: str, written: Any) -> None:
        """Change a setting; raises UnknownName or InvalidValue."""
        self._values[name] = parse_setting(name, written)
        self.written[name] = written

    @contextmanager
    def held(self, written: Mapping[str, Any]) -> Iterator[None]:
        """Within, settings have the values that were stored with a query; raises InvalidValue."""
        before = dict(self._values), dict(self.written)
        try:
            for name, value in written.items():
                self.set(name, value)
            yield
        finally:
            self._values, self.written = before

    def kept(self) -> dict[str, Any]:
        """Those that are stored with each query, as the user wrote them."""
        return {name: value for name, value in self.written.items() if SETTINGS[name].kept}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(eq=False, kw_only=True)
class Session:
    """The state of a connection. `open` makes it complete; every statement gets it."""

    store: Store
    settings: Settings
    registry: Registry  # everything that a statement can name
    lock: ConnectionLock  # held while a statement runs
    report: Callable[[Any], None] | None  # called while long statements run
    last: Result | None = None  # the result of the last EXPLAIN, even if it was cut short
    # Two flags, and their lock: an interrupt stops the script that runs when it comes, never the next one.
    # It is reentrant, because a signal handler may interrupt while its own thread holds it.
    running: bool = False  # a script is running
    stopping: bool = False  # the running script shall stop
    snapshot: SnapshotState = field(default_factory=SnapshotState)
    executor: Any = None  # of the running script: searches its targets
    flags: Any = field(default_factory=threading.RLock)

    @classmethod
    def open(
        cls,
        path: str | None,
        read_only: bool,
        report: Callable[[Any], None] | None,
        access: Access | None = None,
        lock_timeout: Any = "auto",
    ) -> "Session":
        """Open the database, with every other setting at its default; raises StoreError, InvalidValue."""
        settings = Settings()
        settings.set("sxq_lock_timeout", lock_timeout)
        store = Store(path, read_only, access, settings["sxq_lock_timeout"])
        return cls(
            store=store,
            settings=settings,
            registry=Registry(store, settings),
            lock=ConnectionLock(),
            report=report,
        )

    @contextmanager
    def script(self, executor: Any = None) -> Iterator[None]:
        """While a script runs, `interrupt` can stop it; its targets are searched by the `executor`, if there is one."""
        with self.flags:
            self.stopping = False
            self.running = True
        self.executor = executor
        try:
            yield
        finally:
            self.executor = None
            with self.flags:
                self.running = False

    def should_stop(self) -> bool:
        """Whether the running script must stop; long work in other rooms calls this."""
        return self.stopping

    def say(self, line: str) -> None:
        """Report a line of text, if there is a `report`."""
        if self.report:
            self.report(line)

    def interrupt(self) -> bool:
        """Ask the running script to stop, from any thread; False if none runs."""
        self.store.require_own_process()
        with self.flags:
            if self.running:
                self.stopping = True
                self.store.interrupt()
            return self.running
