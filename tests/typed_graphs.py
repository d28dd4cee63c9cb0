"""Random heterogeneous graphs, as PyG's `HeteroData`."""

import torch
from hypothesis import strategies as st
from torch_geometric.data import HeteroData
from torch_geometric.transforms import ToUndirected

RELATIONS = (
    ("account", "pays", "merchant"),
    ("account", "refunds", "merchant"),
    ("account", "knows", "account"),
    ("device", "used_by", "account"),
)


def random_hetero(seed: int, mirrored: bool = True, attributes: bool = True) -> HeteroData:
    """Accounts with classes, merchants, and devices without features; some edges are parallel."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    data = HeteroData()
    counts = {"account": 6 + seed % 4, "merchant": 3 + seed % 3, "device": 2}
    data["account"].x = draw(counts["account"], 3)
    data["account"].y = torch.randint(0, 2, (counts["account"],), generator=generator)
    data["account"].train_mask = draw(counts["account"]) > 0
    data["account"].train_mask[0] = True  # a split without nodes is none
    data["merchant"].x = draw(counts["merchant"], 2)
    data["device"].num_nodes = counts["device"]
    for source, relation, head in RELATIONS:
        number = 4 + seed % 5
        ends = [
            torch.randint(0, counts[end], (number,), generator=generator) for end in (source, head)
        ]
        data[source, relation, head].edge_index = torch.stack(ends)
        if attributes and relation != "used_by":
            width = 2 if relation == "pays" else 1
            data[source, relation, head].edge_attr = draw(number, width)
    return ToUndirected()(data) if mirrored else data


heteros = st.builds(random_hetero, st.integers(0, 10_000), st.booleans(), st.booleans())
