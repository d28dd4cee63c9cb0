"""From a statement to a plan: names resolved, ranges checked, fields sized; nothing is run here.

The verb: `plan(statement, catalog, keys)` gives a `Plan`; printed, it is the text that shell, store and tests share.
"""

from sxq.planning.catalog import Catalog, GeneratorInfo, ModelInfo
from sxq.planning.nodes import Plan, render
from sxq.planning.planner import plan
from sxq.planning.settings import SETTINGS, parse_setting

__all__ = [
    "SETTINGS",
    "Catalog",
    "GeneratorInfo",
    "ModelInfo",
    "Plan",
    "parse_setting",
    "plan",
    "render",
]
