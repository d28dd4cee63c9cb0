"""Measures of candidates, and the skyline of what was measured. numpy and bitarray only.

The verbs: `evaluate(measures, batch)` gives raw values and scores; `Lattice.add` keeps them;
`Lattice.answer(k)` chooses at most k members of the front. Nothing here knows graphs, models or generators.

    measures.py     what a measure is, each declared once; from here on larger is better
    sampled.py      the measures that ask the model again
    dominance.py    what "dominated" and "epsilon-dominated" mean, decided in whole numbers
    front.py        the exact Pareto set, batch by batch, and its thinning
    cover.py        what each member of the front epsilon-dominates, as bitvectors
    selection.py    which k members to show: those that cover most
    diversify.py    which k members to show: those that differ most
    joint.py        which k members to show for several targets together
    hypervolume.py  the volume under a set of points, and what one more point would add
    indicators.py   how good an answer is: the papers' indicators, stability, agreement with the truth
    lattice.py      the state of one target that ties these together
"""

from sxq.scoring.lattice import Answer, Lattice
from sxq.scoring.measures import MEASURES, Measure, MeasureBatch, evaluate, resolve, user_measure

__all__ = [
    "MEASURES",
    "Answer",
    "Lattice",
    "Measure",
    "MeasureBatch",
    "evaluate",
    "resolve",
    "user_measure",
]
