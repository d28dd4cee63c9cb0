"""An EXPLAIN in a thread of its own: its progress as events, which any number of readers follow; it can be stopped."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from sxq import language
from sxq.connection import Connection
from sxq.errors import Error, InvalidValue
from sxq.language import statements as st
from sxq.values.result import Result

PATIENCE = 10.0  # seconds after which a reader is told that nothing happened
Event = dict[str, Any]


class RunningExplain:
    """One EXPLAIN or RESUME on a connection that nobody else uses; it begins at once.

    Events are `progress` (share, text), and one last: `done` (query, text) or `error` (text).
    """

    def __init__(self, con: Connection, text: str):
        self._con = con
        self._statement = explain_statement(text)
        self._events: list[Event] = [{"kind": "progress", "share": 0.0, "text": "planning"}]
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether its last event has come."""
        return self._events[-1]["kind"] != "progress"

    def stop(self) -> None:
        """Ask it to stop; what was found so far is stored, marked incomplete."""
        self._stopped = True
        while not self.ended and not self._con.interrupt():
            time.sleep(0.01)  # its thread has not begun yet

    def wait(self) -> Event:
        """Wait for the end; the last event."""
        self._thread.join()
        return self._events[-1]

    def events(self) -> Iterator[Event | None]:
        """Every event from now on, the present state first; None where nothing happened for a while."""
        seen: Event | None = None
        while True:
            with self._changed:
                if self._events[-1] is seen:
                    self._changed.wait(PATIENCE)
                latest = self._events[-1]
            yield None if latest is seen else latest
            seen = latest
            if latest["kind"] != "progress":
                return

    def _say(self, event: Event) -> None:
        with self._changed:
            self._events = [event]  # a reader needs the latest only
            self._changed.notify_all()

    def _report(self, news: Any) -> None:
        share = getattr(news, "share", None)
        self._say({"kind": "progress", "share": share, "text": str(news)})

    def _run(self) -> None:
        self._con.report = self._report
        try:
            self._say(self._outcome(self._con.run(self._statement)))
        except Error as error:
            self._say({"kind": "error", "text": str(error)})
        except BaseException as error:  # a reader waits for the end
            self._say({"kind": "error", "text": f"{type(error).__name__}: {error}"})
            raise
        finally:
            self._con.report = None

    def _outcome(self, result: Any) -> Event:
        if not isinstance(result, Result):
            return {"kind": "error", "text": "stopped before it began"}
        stopped = "stopped: " if self._stopped else ""
        return {
            "kind": "done",
            "query": result.query_id,
            "text": stopped + result.summary(),
            "notes": result.notes(),
        }


def explain_statement(text: str) -> st.Explain | st.Resume:
    """The one EXPLAIN or RESUME of a text; raises ParseError, InvalidValue."""
    pieces = language.split(text)
    if len(pieces) != 1:
        raise InvalidValue(f"expected one EXPLAIN, found {len(pieces)} statements")
    statement = language.parse(pieces[0].text, pieces[0].line, pieces[0].column)
    if not isinstance(statement, st.Explain | st.Resume):
        raise InvalidValue(f"expected an EXPLAIN or RESUME QUERY, found {text.split()[0].upper()}")
    return statement
