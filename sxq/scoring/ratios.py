"""How many units a share of a field is: the ratios at which ReFine is asked and judged (Wang et al. 2021, section 4.1)."""

from collections.abc import Sequence

import numpy as np

RATIOS = tuple(round(0.1 * i, 1) for i in range(1, 11))


def sizes(units: int, ratios: Sequence[float] = RATIOS) -> np.ndarray:
    """How many units a share of them is, at least one: [ratios]."""
    return np.maximum(1, np.ceil(np.asarray(ratios, float) * units - 1e-9)).astype(int)
