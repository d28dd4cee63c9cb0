"""An EXPLAIN in a thread of its own: what its readers are told, and how it is stopped."""

import threading
from types import SimpleNamespace

import pytest

import sxq
from sxq.explorer.running import RunningExplain, explain_statement

ASKED = "EXPLAIN NODE 1 USING MODEL m OPTIMIZE conc"


class Waiting:
    """A connection whose statement reports, and waits until it is interrupted."""

    def __init__(self, outcome):
        self.outcome, self.report = outcome, None
        self.stopped, self.reported = threading.Event(), threading.Event()

    def run(self, statement):
        self.report(SimpleNamespace(share=0.5))
        self.reported.set()
        self.stopped.wait(20)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def interrupt(self):
        self.stopped.set()
        return True


def test_readers_are_told_how_far_it_is_and_how_it_ends():
    con = Waiting(sxq.Result([], {}, query_id=7))
    running = RunningExplain(con, ASKED)
    assert con.reported.wait(20) and not running.ended
    told = running.events()
    first = next(told)
    assert first["kind"] == "progress" and first["share"] == 0.5
    running.stop()
    (last,) = [event for event in told if event is not None]
    assert last["kind"] == "done" and last["query"] == 7 and last["text"].startswith("stopped: ")
    assert running.ended and running.wait() == last
    assert list(running.events()) == [last]  # for a reader who comes late
    assert con.report is None


@pytest.mark.parametrize("outcome", [sxq.QueryError("no <node>"), None])
def test_what_goes_wrong_is_the_last_event(outcome):
    con = Waiting(outcome)
    running = RunningExplain(con, ASKED)
    running.stop()
    last = running.wait()
    assert last["kind"] == "error" and last["text"] in ("no <node>", "stopped before it began")


@pytest.mark.parametrize(
    "text", ["", "SELECT 1", "DROP MODEL m", f"{ASKED}; {ASKED}", f"PLAN {ASKED}"]
)
def test_only_one_explain_is_taken(text):
    with pytest.raises(sxq.QueryError):
        explain_statement(text)
    assert explain_statement(ASKED) and explain_statement("RESUME QUERY 3")
