"""Attribution methods of Captum as generators, such as integrated gradients of message weights.

Through PyG's `CaptumExplainer`, with the same care as all of PyG's explainers (`pyg_explainers.py`). Methods:
IntegratedGradients (Sundararajan et al. 2017), Saliency, InputXGradient, ShapleyValueSampling, Deconvolution,
GuidedBackprop. The last two change the gradient at `nn.ReLU` modules; without such modules they
equal Saliency except for the sign.

Shapes: a field of U units; yields bits [n, U]. Cost: two candidates for each size, and the method's
own passes: 50 for IntegratedGradients, 25 per edge for ShapleyValueSampling, one for the others.
Needs the package captum, which sxq does not install.
"""

import importlib.util

from torch_geometric.explain import CaptumExplainer

from sxq.errors import InvalidValue, UnknownName
from sxq.generators.explainers.pyg_explainers import explain
from sxq.generators.protocol import Context, Search
from sxq.graph import Field


def captum(field: Field, context: Context, method: str = "IntegratedGradients") -> Search:
    """Candidates of the edge mask of a Captum method; InvalidValue without captum, UnknownName for other methods."""
    if importlib.util.find_spec("captum") is None:
        raise InvalidValue("BY captum needs the package captum: pip install captum")
    named = {name.lower(): name for name in CaptumExplainer.SUPPORTED_METHODS}
    if method.lower() not in named:
        raise UnknownName("method of captum", method, named.values())
    yield from explain(lambda _: CaptumExplainer(named[method.lower()]), field, context)
