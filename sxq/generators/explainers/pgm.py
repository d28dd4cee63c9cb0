"""PGM-Explainer as a generator: an independence test finds nodes that the prediction depends on.

Source: Vu and Thai, "PGM-Explainer: Probabilistic Graphical Model Explanations for Graph Neural Networks", NeurIPS
2020, as PyG's contrib package has it: features of random nodes are perturbed, and a chi-squared test asks for every
node whether its perturbation and a change of the prediction go together.

    perturb, predict, `samples` times        PGMExplainer's first half
    p-value of each node                     `pgm_stats`
    a node weighs 1 - p, an edge its ends    departure: the paper keeps nodes with p below 0.05; here they are ranked

Shapes: a field of U units; yields bits [n, U]. Cost: `samples` passes (of a graph twice as many) and two candidates for
each size. Needs the package pgmpy, which sxq does not install; PyG 2.8 asks for one before 1.0.
"""

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from torch import Tensor, nn
from torch_geometric.explain import ExplainerAlgorithm, Explanation

from sxq.errors import InvalidValue
from sxq.generators.explainers.pyg_explainers import explain
from sxq.generators.protocol import Context, Search
from sxq.graph import Field


def pgm(field: Field, context: Context, samples: int = 100) -> Search:
    """Candidates from the p-values of nodes; InvalidValue if pgmpy is missing."""
    if importlib.util.find_spec("pgmpy") is None:
        raise InvalidValue("BY pgm needs the package pgmpy: pip install 'pgmpy<1'")
    if samples < 16:
        raise InvalidValue(
            f"pgm(samples = {samples}); expected 16 or more, for a test of independence"
        )
    seed = int(context.rng.integers(2**32))
    yield from explain(
        lambda _: Dependence(samples, seed), field, context, node_mask=True, edge_mask=False
    )


class Dependence(ExplainerAlgorithm):
    """PGMExplainer with 1 - p as the mask of nodes [n, 1]; its draws from numpy's global state start at `seed`."""

    def __init__(self, samples: int, seed: int):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyG warns that contrib is experimental
            from torch_geometric.contrib.explain import PGMExplainer
        self.inner = PGMExplainer(num_samples=samples)
        self.seed = seed

    def forward(self, model, x, edge_index, *, target, index=None, **given) -> Explanation:
        """The mask for node `index`, or for the graph."""
        self.inner.connect(self.explainer_config, self.model_config)
        if index is None:
            # by default, PyG tests a twentieth of the nodes, often none
            self.inner.max_subgraph_size = len(x) - 1
        with _numpy_seeded(self.seed):
            whole = Bound(model, given)
            found = self.inner(whole, x, edge_index, target=target, index=index, **given)
        return Explanation(node_mask=1 - found.pgm_stats.nan_to_num(1.0).float()[:, None])

    def supports(self) -> bool:
        return True


class Bound(nn.Module):
    """A model with its edge weights and attributes, which PyG's PGMExplainer does not pass on."""

    def __init__(self, model: nn.Module, given: Mapping[str, Tensor]):
        super().__init__()
        self.model = model
        self.given = given

    def forward(self, x: Tensor, edge_index: Tensor, **named: Tensor) -> Tensor:
        return self.model(x, edge_index, **{**self.given, **named})


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Within, numpy's global generator starts at `seed`; after, it is as before."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
