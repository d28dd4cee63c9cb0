"""The gate to the rooms that import torch, which takes seconds.

The only late imports of the session: a connection that runs SQL, shows or describes never waits for them.
"""

from types import ModuleType


def execution() -> ModuleType:
    """`sxq.execution`: plans are run, models registered, answers audited."""
    from sxq import execution

    return execution


def models() -> ModuleType:
    """`sxq.models`: modules are built, trained and hashed, PyG's data read."""
    from sxq import models

    return models


def refine() -> ModuleType:
    """`sxq.models.refine`: pre-trained attributors are written and read."""
    from sxq.models import refine

    return refine
