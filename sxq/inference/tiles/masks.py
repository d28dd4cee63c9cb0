"""Turns candidates' parts into the mask table: a row per part of every slab, a column per graph.

The first half of the columns is G_s of every candidate, the second half G \\ G_s. Where units are
edges, a part is a unit, and G \\ G_s has the others. Behind the parts of each slab are a row of ones,
for edges that are always present, and a row for the halo. A slab may be wider than the candidates
left for it; the other columns are empty candidates.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sxq.inference.tiles.layout import EXTRA_ROWS, ROW_HALO, ROW_ONES, FieldLayout
from sxq.models import device as devices

FEW = 16  # candidates below which torch transposes the bits of one slab faster than numpy


def masks(
    layouts: Sequence[FieldLayout],
    slabs: Sequence[int],
    bits: Sequence[np.ndarray],
    width: int,
    device,
) -> Tensor:
    """The table [sum of slabs (P + EXTRA_ROWS), 2 * width] of fields with candidates bits [n, U] each.

    It is built on the device; on a CPU by numpy, whose small operations cost a fraction of torch's.
    """
    fields = [layout.field for layout in layouts]
    parts = [layout.units for layout in layouts]
    kept = [field.kept(own) for field, own in zip(fields, bits)]
    left = None
    if not all(field.complementary for field in fields):
        left = [field.left(own) for field, own in zip(fields, bits)]
    if torch.device(device).type == "cpu":
        if len(bits) == 1 and width == len(bits[0]) < FEW and left is None:
            return _of_few(kept[0])
        return torch.from_numpy(_on_host(parts, slabs, kept, left, width))
    table = _on_device(parts, slabs, kept, width, device)
    if left is not None:
        absent = _on_device(parts, slabs, [~own for own in left], width, device)
        table[:, width:] = absent[:, width:]
    return table


def _of_few(bits: np.ndarray) -> Tensor:
    n, units = bits.shape
    table = np.empty((2 * n, units + EXTRA_ROWS), bool)
    table[:n, :units] = bits
    np.logical_not(bits, out=table[n:, :units])
    table[:, units + ROW_ONES] = True
    table[:n, units + ROW_HALO] = False
    table[n:, units + ROW_HALO] = True
    return torch.from_numpy(table).T.to(torch.float32, memory_format=torch.contiguous_format)


def _on_host(
    units: Sequence[int],
    slabs: Sequence[int],
    bits: Sequence[np.ndarray],
    left: Sequence[np.ndarray] | None,
    width: int,
) -> np.ndarray:
    rows = sum((size + EXTRA_ROWS) * count for size, count in zip(units, slabs))
    table = np.empty((rows, 2 * width), np.float32)
    start = 0
    for number, (own, size, count) in enumerate(zip(bits, units, slabs)):
        block = table[start : start + count * (size + EXTRA_ROWS)].reshape(
            count, size + EXTRA_ROWS, 2 * width
        )
        _fill(block[:, :size, :width], own, width, 0)
        if left is None:
            np.subtract(1, block[:, :size, :width], out=block[:, :size, width:])
        else:
            _fill(block[:, :size, width:], left[number], width, 1)
        block[:, size + ROW_ONES] = 1
        block[:, size + ROW_HALO, :width] = 0
        block[:, size + ROW_HALO, width:] = 1
        start += count * (size + EXTRA_ROWS)
    return table


def _fill(block: np.ndarray, bits: np.ndarray, width: int, empty: float) -> None:
    """Parts [n, P] into [slabs, P, width]; in the last slab the columns that are over are `empty`."""
    full, left = divmod(len(bits), width)
    for slab in range(full):
        block[slab] = np.ascontiguousarray(bits[slab * width : (slab + 1) * width].T)
    if left:
        block[full, :, :left] = bits[full * width :].T
        block[full, :, left:] = empty


def _on_device(
    units: Sequence[int], slabs: Sequence[int], bits: Sequence[np.ndarray], width: int, device
) -> Tensor:
    total = [(size + EXTRA_ROWS) * count for size, count in zip(units, slabs)]
    table = torch.zeros(sum(total), 2 * width, device=device)
    sources = devices.to_device(np.concatenate([own.ravel() for own in bits]), device)
    blocks = [
        block.view(count, size + EXTRA_ROWS, -1)
        for block, count, size in zip(table.split(total), slabs, units)
    ]
    for block, source, own in zip(blocks, sources.split([own.size for own in bits]), bits):
        source = source.view(own.shape)
        full, left = divmod(len(own), width)
        block[:full, :-EXTRA_ROWS, :width] = (
            source[: full * width].unflatten(0, (full, width)).transpose(1, 2)
        )
        if left:
            block[full, :-EXTRA_ROWS, :left] = source[full * width :].T
    torch.sub(1.0, table[:, :width], out=table[:, width:])
    for block in blocks:
        block[:, ROW_ONES - EXTRA_ROWS] = 1.0
    return table
