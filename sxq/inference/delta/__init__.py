"""Candidates near a known one, the base, computed as the difference from it.

The files in reading order:

    index       `index_of(layout)`: the edges of a field by unit and by tail
    bases       `bases_of(layout)`: the candidates of a field whose sums are remembered
    changes     `Changes`: the difference of candidates from their bases, in degrees and messages
    match       `match(layout, bases, bits, ...)` finds the candidates that are near a base
    delta_tile  `DeltaTile` computes first layers as differences; `commit` moves bases after a batch
"""
