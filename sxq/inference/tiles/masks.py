"""From candidates' bits to the table of masks: a row per unit of every slab, a column per graph.

The first half of the columns is G_s of every candidate, the second half G \\ G_s. Behind the units of each slab
are a row of ones, for what is always there, and a row that says whether the halo is. A slab may be wider than the
candidates left for it; those columns are empty candidates.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sxq.inference.tiles.field import EXTRA, HALO, ONES

FEW = 16  # candidates, below which torch turns the bits of one slab around faster than numpy


def masks(
    units: Sequence[int], slabs: Sequence[int], bits: Sequence[np.ndarray], width: int, device
) -> Tensor:
    """[sum of slabs (U + EXTRA), 2 * width] of some fields, whose bits are [n, U] each; built on the device.

    On a CPU by numpy, whose small operations cost a fraction of torch's."""
    if torch.device(device).type == "cpu":
        if len(bits) == 1 and width == len(bits[0]) < FEW:
            return _of_few(bits[0])
        return torch.from_numpy(_on_host(units, slabs, bits, width))
    return _on_device(units, slabs, bits, width, device)


def _of_few(bits: np.ndarray) -> Tensor:
    n, units = bits.shape
    table = np.empty((2 * n, units + EXTRA), bool)
    table[:n, :units] = bits
    np.logical_not(bits, out=table[n:, :units])
    table[:, units + ONES], table[:n, units + HALO], table[n:, units + HALO] = True, False, True
    return torch.from_numpy(table).T.to(torch.float32, memory_format=torch.contiguous_format)


def _on_host(
    units: Sequence[int], slabs: Sequence[int], bits: Sequence[np.ndarray], width: int
) -> np.ndarray:
    table, start = (
        np.empty(
            (sum((u + EXTRA) * count for u, count in zip(units, slabs)), 2 * width), np.float32
        ),
        0,
    )
    for own, size, count in zip(bits, units, slabs):
        block = table[start : start + count * (size + EXTRA)].reshape(
            count, size + EXTRA, 2 * width
        )
        _fill(block[:, :size], own, width)
        block[:, size + ONES] = 1
        block[:, size + HALO, :width], block[:, size + HALO, width:] = 0, 1
        start += count * (size + EXTRA)
    return table


def _fill(block: np.ndarray, bits: np.ndarray, width: int) -> None:
    """Bits [n, U] into [slabs, U, 2 * width]: `width` candidates to a slab, in the last perhaps fewer."""
    full, left = divmod(len(bits), width)
    for slab in range(full):
        block[slab, :, :width] = np.ascontiguousarray(bits[slab * width : (slab + 1) * width].T)
    if left:
        block[full, :, :left], block[full, :, left:width] = bits[full * width :].T, 0
    np.subtract(1, block[..., :width], out=block[..., width:])


def _on_device(
    units: Sequence[int], slabs: Sequence[int], bits: Sequence[np.ndarray], width: int, device
) -> Tensor:
    total = [(size + EXTRA) * count for size, count in zip(units, slabs)]
    table = torch.zeros(sum(total), 2 * width, device=device)
    sources = torch.from_numpy(np.concatenate([own.ravel() for own in bits])).to(device)
    blocks = [
        block.view(count, size + EXTRA, -1)
        for block, count, size in zip(table.split(total), slabs, units)
    ]
    for block, source, own in zip(blocks, sources.split([own.size for own in bits]), bits):
        source, (full, left) = source.view(own.shape), divmod(len(own), width)
        block[:full, :-EXTRA, :width] = (
            source[: full * width].unflatten(0, (full, width)).transpose(1, 2)
        )
        if left:
            block[full, :-EXTRA, :left] = source[full * width :].T
    torch.sub(1.0, table[:, :width], out=table[:, width:])
    for block in blocks:
        block[:, ONES - EXTRA] = 1.0
    return table
