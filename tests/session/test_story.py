"""The life of a query: the story in the docstring of `sxq.connection` is what happens, in that order."""

import inspect
import re
import sys

import sxq
from sxq import connection, execution, language, planning
from sxq.storage import Store

QUERY = "EXPLAIN NODE 'acct-17' USING MODEL votes OPTIMIZE fdl+, conc TOP 3"
VERBS = {  # as the story names them
    "split": language.split,
    "parse": language.parse,
    "bind": language.bind,
    "Connection.run": sxq.Connection.run,
    "Store.execute": Store.execute,
    "plan": planning.plan,
    "run": execution.run,
    "Store.save_target": Store.save_target,
    "Result": sxq.Result.__init__,
}


def told():
    """The verbs of the story, in the order in which it names them."""
    names = re.findall(r"`([\w.]+)`", connection.__doc__)
    return [name for name in dict.fromkeys(names) if name in VERBS]


def happened(work):
    """The verbs that a piece of work calls, in order; one that yields counts when it begins."""
    names = {inspect.unwrap(verb).__code__: name for name, verb in VERBS.items()}
    begun = set()
    called = []

    def notice(frame, event, _):
        if event == "call" and frame.f_code in names and frame not in begun:
            begun.add(frame)
            called.append(names[frame.f_code])

    sys.setprofile(notice)
    try:
        work()
    finally:
        sys.setprofile(None)
    return called


def test_the_story_names_every_verb():
    assert set(told()) == set(VERBS)


def test_the_rooms_are_entered_in_the_order_of_the_story(con):
    called = happened(lambda: con.execute(f"SELECT 1; {QUERY}"))
    assert list(dict.fromkeys(called)) == told()


def test_each_room_is_entered_once_for_a_query(con):
    rooms = ["plan", "run", "Store.save_target", "Result"]
    assert [name for name in happened(lambda: con.execute(QUERY)) if name in rooms] == rooms


def test_nothing_is_added_to_what_a_connection_holds_after_its_birth(con):
    held = [con, con.session, con.session.registry, con.session.registry.models]
    with sxq.connect() as newborn:
        session = newborn.session
        born = [newborn, session, session.registry, session.registry.models]
        names = [set(vars(each)) for each in born]
    con.report = lambda line: None
    con.execute(f"{QUERY}; SHOW MODELS; SET sxq_budget = 10; PROFILE {QUERY}; AUDIT")
    assert [set(vars(each)) for each in held] == names
