"""Hypervolume: the volume between a reference point and a set of points, larger is better in every column.

The definition is Zitzler and Thiele's (1998). Up to three dimensions are swept at once; each further one is
cut into slices, over the points "limited" to the current one as in the WFG algorithm (While, Bradstreet,
Barone 2012). `Free` computes how much each of many candidates would add, for all at once.
"""

from dataclasses import dataclass

import numpy as np

from sxq.scoring.dominance import frontier, slices

CELLS = 1 << 15  # entries of one table of gains: it stays in the cache


def hypervolume(points: np.ndarray, reference: float | np.ndarray = 0.0) -> float:
    """Volume that points [n, M] dominate above a reference, a number or [M]; exact, 0 for none."""
    if not len(points):
        return 0.0
    above = np.asarray(points, dtype=np.float64) - reference
    return _volume(above[(above > 0).all(axis=1)])


def _volume(points: np.ndarray) -> float:
    if len(points) < 2:
        return float(points.prod(axis=1).sum())
    points = frontier(points)
    return _sweep(points) if points.shape[1] <= 3 else _slice(points)


def _slice(points: np.ndarray) -> float:
    """Points in descending order of the first column: each adds the volume that earlier ones lack.

    Earlier points are at least as high in the first column, so that column is only a factor, and
    the problem loses one dimension.
    """
    height = points[:, 0]
    base = points[:, 1:]
    shared = (_volume(np.minimum(base[:i], base[i])) for i in range(len(base)))
    return float(sum(h * (own - both) for h, own, both in zip(height, base.prod(axis=1), shared)))


def _sweep(points: np.ndarray) -> float:
    """Up to three dimensions: for every level of z, the staircase under the points (x, y) that reach it."""
    missing = 3 - points.shape[1]
    x, y, z = np.pad(points, ((0, 0), (0, missing)), constant_values=1.0).T  # x descends
    width = x - np.append(x[1:], 0.0)
    levels = np.unique(z)
    areas = (
        np.maximum.accumulate(np.where(z >= levels[rows, None], y, 0.0), axis=1) @ width
        for rows in slices(len(levels), len(z))
    )
    return float(np.concatenate(list(areas)) @ np.diff(levels, prepend=0.0))


@dataclass(frozen=True, eq=False)
class Free:
    """The part of [0, top]^M that no chosen point dominates, as b disjoint boxes."""

    # [2, M, b]: lower, then upper corners; their dtype, float64 or float32, is that of all arithmetic
    boxes: np.ndarray

    @staticmethod
    def below(top: np.ndarray) -> "Free":
        """The part below a corner [M], as one box."""
        return Free(np.stack([np.zeros_like(top), top])[:, :, None])

    def __len__(self) -> int:
        return self.boxes.shape[2]

    def without(self, point: np.ndarray) -> "Free":
        """The rest once a point [M] is chosen: each box that the point cuts leaves at most M smaller ones."""
        return self.split(point)[0]

    def split(self, point: np.ndarray) -> tuple["Free", float]:
        """The rest once a point [M] is chosen, and the volume that the point took."""
        point = point.astype(self.boxes.dtype, copy=False)
        touched = (self.boxes[0] < point[:, None]).all(axis=0)
        cut = self.boxes[:, :, touched]
        pieces = [self.boxes[:, :, ~touched]]
        for m, value in enumerate(point):
            beyond = cut[:, :, cut[1, m] > value]
            beyond[0, m] = value
            pieces.append(beyond)
            np.minimum(cut[1, m], value, out=cut[1, m])
        return Free(np.concatenate(pieces, axis=2)), float((cut[1] - cut[0]).prod(axis=0).sum())

    def gains(self, points: np.ndarray) -> np.ndarray:
        """[n] float64: the rise of the hypervolume by each of the points [n, M]."""
        points = points.astype(self.boxes.dtype, copy=False)
        gains = np.empty(len(points))
        lower, upper = self.boxes
        step = max(1, CELLS // max(1, len(self)))
        # Written again and again, so that they stay in the cache: of all boxes, and their next side.
        volumes, sides = np.empty((2, min(step, len(points)), len(self)), self.boxes.dtype)
        for rows in slices(len(points), len(self), CELLS):
            some = points[rows]
            for column, (low, high) in enumerate(zip(lower, upper)):
                side = (sides if column else volumes)[: len(some)]
                np.minimum(some[:, column, None], high, out=side)
                np.maximum(side, low, out=side)
                side -= low
                if column:
                    volumes[: len(some)] *= side
            gains[rows] = volumes[: len(some)].sum(axis=1)
        return gains
