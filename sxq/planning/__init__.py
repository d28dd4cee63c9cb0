"""From a statement to a plan: names are resolved, ranges checked and fields measured; nothing is run here.

The verb: `plan(statement, catalog, keys)` gives a `Plan`; printed, it is the text that shell, store and tests share.

    nodes.py      the frozen operators of a plan, and how it prints
    catalog.py    what a plan can refer to, by name
    planner.py    the verb
    choice.py     the operator that chooses the answer: TOP, DIVERSIFY, JOINTLY
    class_targets.py  the targets of EXPLAIN CLASS, and the operator that mines their answers
    typed_targets.py  targets in a heterogeneous graph
    link_targets.py  targets that are links
    judged.py     the nodes of a heterogeneous graph that a model has outputs for
    units.py      checks of OVER, and the sizes of fields
    restriction.py  checks of INCLUDE, EXCLUDE, ANYWHERE
    checks.py     checks of names, numbers and options
    settings.py   what SET knows: defaults, meanings, legal values
    options.py    the options of CREATE MODEL, TRAIN and PRETRAIN
"""

from sxq.planning.catalog import Catalog, GeneratorInfo, ModelInfo
from sxq.planning.judged import judged_nodes, require_judged
from sxq.planning.link_targets import link_positions, scored_type
from sxq.planning.nodes import Plan, render
from sxq.planning.planner import plan
from sxq.planning.settings import SETTINGS, parse_setting
from sxq.planning.typed_targets import positions_of

__all__ = [
    "SETTINGS",
    "Catalog",
    "GeneratorInfo",
    "ModelInfo",
    "Plan",
    "judged_nodes",
    "link_positions",
    "parse_setting",
    "plan",
    "positions_of",
    "render",
    "require_judged",
    "scored_type",
]
