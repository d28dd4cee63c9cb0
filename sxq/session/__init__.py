"""The state of a connection, and one module for each kind of statement, named by its verb.

context             `Session`: store, registry, settings, lock, stop flag, report, last result
rights              what a connection may do: untrusted, read-only
registry            `Registry`: graphs, models, measures and learned attributors, by name
registered_graphs   graphs and collections by name
registered_models   models by name, on their own graph or another
learned             pre-trained attributors and registered explainers by name
explain             EXPLAIN, PLAN and PROFILE: plan, run, save, result
commits             finished targets are stored together
resume              RESUME: what a stored query did not reach
refresh             REFRESH: stored answers on the present version of their graph
refreshing          the targets of one query, while they are refreshed
stored_page         some of them with their explanations, as they are stored
what_changed        what is to be done with each
on_version          their statement on the present version
stored_result       stored answers as the values that EXPLAIN gave
mining              the patterns of EXPLAIN CLASS
key_tables          sub-queries whose first columns are keys
define              CREATE, TRAIN, PRETRAIN, DROP, SET and RESET
alter               ALTER GRAPH
alteration          `GraphAlteration`: an ALTER GRAPH put together in Python
show                SHOW and DESCRIBE
audit               AUDIT
predict             PREDICT
structure           the checks of AUDIT that need no model, of which these files have the parts:
audited             stored answers as they are checked
target_checks       those of a query and of its targets
member_checks       those of an explanation
pattern_checks      those of the patterns of a class
unit_checks         those of the units of edges and of their worth
over_checks         those of units that are nodes or features
snapshots           the snapshot file that other processes read
sql                 statements of DuckDB
glance              the first rows of text that only reads
npz                 `save_npz`: graphs as files
builder             `ExplainQuery`: an EXPLAIN put together in Python
vocabulary          every name that a statement may use now
option_help         what options and settings mean
lock                one thing at a time, whichever thread asks
engine              the gate to the rooms that import torch

A statement is run by one function, which takes the `Session` and the statement. `Session.open` is the verb.
"""

from sxq.session.context import Session

__all__ = ["Session"]
