"""Which candidates are not verified, by the setting sxq_pruning.

    sound     whatever the model says of them, the front dominates them: no answer changes
    epsilon   no score of theirs can exceed (1 + epsilon) times their parent's: the parent, an
              explanatory candidate, epsilon-dominates them, but a member may be lost
    paper     the same of a single bounded measure, as Qiu et al. print it ("early pruning"). One measure
              says nothing about the others, so members of any kind are lost

The paper takes estimated bounds; here they are the exact ones that are known without an inference.
"""

import numpy as np

RULES = ("sound", "epsilon", "paper")


def within_epsilon(
    rule: str, ceilings: np.ndarray, parents: np.ndarray, bounded: np.ndarray, epsilon: float
) -> np.ndarray:
    """[n] bool: candidates that `epsilon` or `paper` skip.

    Of n candidates: upper bounds [n, M] of scores, and scores [n, M] of the candidates that they
    were made from, NaN where these are not known to be explanatory; bounded [M]: measures with a
    bound below 1.
    """
    near = ceilings <= (1 + epsilon) * parents
    if rule == "paper":
        return np.asarray(near[:, bounded].any(axis=1))
    return np.asarray(near.all(axis=1))
