"""Tiles: the candidates that run together, and the rows and edges that they are computed on.

The files in reading order:

    layout     `FieldLayout`: the rows and edges of one field, sorted so that sums are runs
    union      `Union`: several fields as one graph, for the small batches of many targets
    masks      `masks(...)`: candidates' bits as a table of ones and zeros
    tile       `Tile`, `Rows`, `Edges`: the sums and gathers that kernels are made of
    alike      `AlikeTile`: rows of whole graphs that are alike, computed once
    feature_rows  `FeatureRows`: rows of x whose columns depend on the candidate
    threads    `side_by_side(work, items, device)`: tiles on the cores of a CPU
"""
