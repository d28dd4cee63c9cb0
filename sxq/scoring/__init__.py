"""Measures of candidates, and the skyline of the measured candidates. numpy and bitarray only.

The verbs: `evaluate(measures, batch)` gives raw values and scores; `Lattice.add` of lattice.py keeps them;
`Lattice.answer(k)` chooses at most k members of the front. Nothing here knows graphs, models or generators.

The names below are those that planning needs; a program that only plans or runs SQL never imports the lattice.

    batch.py        verified candidates, as a measure is asked about them
    measures.py     the measures, each declared once; from here on larger is better
    sampled.py      the measures that ask the model again
    dominance.py    the definitions of "dominated" and "epsilon-dominated", decided in whole numbers
    front.py        the exact Pareto set, batch by batch, and its thinning
    cover.py        the vectors that each member of the front epsilon-dominates, as bitvectors
    selection.py    which k members to show: those that cover most
    optimum.py      which k members to show: those that cover most, by exact search
    diversify.py    which k members to show: those that differ most
    joint.py        which k members to show for several targets together
    hypervolume.py  the volume under a set of points, and the volume that one more point would add
    lattice.py      the state of one target that ties these together
    indicators.py   the quality of an answer: the papers' indicators, stability, agreement with the truth
    ratios.py       how many units a share of a field is
"""

from sxq.scoring.batch import MeasureBatch
from sxq.scoring.measures import MEASURES, Measure, evaluate, resolve, user_measure

__all__ = ["MEASURES", "Measure", "MeasureBatch", "evaluate", "resolve", "user_measure"]
