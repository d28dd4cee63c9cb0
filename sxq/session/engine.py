"""The gate to the rooms that import torch, which takes seconds.

The only late imports of the session: a connection that runs SQL, shows or describes never waits for them.
"""

from types import ModuleType


def execution() -> ModuleType:
    """`sxq.execution` runs plans and audits answers."""
    from sxq import execution

    return execution


def registration() -> ModuleType:
    """`sxq.inference.registration` makes a user's module a model of the engine."""
    from sxq.inference import registration

    return registration


def models() -> ModuleType:
    """`sxq.models` builds, trains and hashes modules, and reads PyG's data."""
    from sxq import models

    return models


def borrow() -> ModuleType:
    """`sxq.models.borrow` chooses the device of a model."""
    from sxq.models import borrow

    return borrow


def refine() -> ModuleType:
    """`sxq.models.refine` writes and reads pre-trained attributors."""
    from sxq.models import refine

    return refine


def pretrain() -> ModuleType:
    """`sxq.models.refine.pretrain` trains attributors for a model."""
    from sxq.models.refine import pretrain

    return pretrain
