"""The gate to the rooms that import torch, which takes seconds.

The only late imports of the session: a connection that runs SQL, shows or describes never waits for them.
"""

from types import ModuleType


def execution() -> ModuleType:
    """`sxq.execution`: plans are run, answers audited."""
    from sxq import execution

    return execution


def registration() -> ModuleType:
    """`sxq.inference.registration`: a user's module becomes a model, with its hops and backend."""
    from sxq.inference import registration

    return registration


def models() -> ModuleType:
    """`sxq.models` builds, trains and hashes modules, and reads PyG's data."""
    from sxq import models

    return models


def refine() -> ModuleType:
    """`sxq.models.refine` writes and reads pre-trained attributors."""
    from sxq.models import refine

    return refine


def pretraining() -> ModuleType:
    """`sxq.models.refine.pretrain`: attributors learn from a registered model."""
    from sxq.models.refine import pretrain

    return pretrain
