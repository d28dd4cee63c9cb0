"""What a forward pass in double says of an explanation, whatever the output of the model means."""

import copy
import re

import numpy as np
import torch


def precision(report):
    """What the note of a target says its values are exact to."""
    said = re.search(r"exact to about (\S+) only", report.note)
    return float(said[1]) if said else 1e-5


def off(module, output, graph, explanation):
    """The largest error of a stored fidelity."""
    position = graph.position(explanation.target)
    chosen = np.zeros(graph.num_edges, bool)
    chosen[explanation.edge_numbers] = True
    loops = graph.edge_index[0] == graph.edge_index[1]
    full, kept, removed = (
        _probabilities(module, output, graph, keep)[position]
        for keep in (chosen | True, chosen | loops, ~chosen)
    )
    c = full.argmax()
    return max(
        abs(explanation.raw["fdl+"] - full[c] + removed[c]),
        abs(explanation.raw["fdl-"] - full[c] + kept[c]),
    )


def _probabilities(module, output, graph, keep):
    x = torch.from_numpy(graph.x.copy()).double()
    with torch.no_grad():
        out = copy.deepcopy(module).double().eval()(x, torch.from_numpy(graph.edge_index[:, keep]))
    p = {"logits": lambda: out.softmax(1), "log_probs": out.exp, "probs": lambda: out}[output]()
    return (torch.cat([1 - p, p], dim=1) if p.shape[1] == 1 else p).numpy()
