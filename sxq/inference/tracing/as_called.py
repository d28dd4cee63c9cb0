"""A model with the arguments of the engine by name, in the form in which it is recorded."""

from torch import Tensor, nn

from sxq.models.wrappers import Wrapper


class AsCalled(nn.Module):
    """forward(x, edge_index, edge_weight, edge_attr, batch) of a module that sxq calls in another way."""

    def __init__(self, module: nn.Module, arguments: tuple[str, ...]):
        super().__init__()
        self.module = module
        self.arguments = arguments

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
    ):
        given = {"edge_weight": edge_weight, "edge_attr": edge_attr, "batch": batch}
        return self.module(x, edge_index, **{name: given[name] for name in self.arguments})


def as_called(module: nn.Module, arguments: tuple[str, ...]) -> nn.Module:
    """The module itself, or a form of it whose arguments can be read."""
    return AsCalled(module, arguments) if isinstance(module, Wrapper) else module
