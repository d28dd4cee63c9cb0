"""Measures of candidates, and the skyline of the measured candidates. numpy and bitarray only.

The verbs: `evaluate(measures, batch)` gives raw values and scores; `Lattice.add` of lattice.py
keeps them; `Lattice.answer(k)` chooses at most k members of the front. Nothing here depends on
graphs, models or generators.

The names below are those that planning needs; a program that only plans or runs SQL never imports
the lattice.

    batch.py        the candidates that measures are computed for
    question.py     what is asked of a target, and how the model's answers are read
    measures.py     the measures, each declared once; from here on larger is better
    sampled.py      the measures that run the model again
    minimal.py      whether a unit of a member can be left out
    robust.py       robustness of an answer: exact shares of removals, or draws with their error
    dominance.py    the definitions of "dominated" and "epsilon-dominated", decided in whole numbers
    front.py        the exact Pareto set, batch by batch, and its thinning
    cover.py        the vectors that each member of the front epsilon-dominates, as bitvectors
    selection.py    chooses the k members that cover most
    optimum.py      the same, by exact search
    diversify.py    chooses k members that cover many nodes and differ from each other
    joint.py        chooses k members for several targets together
    joint_union.py  the same, with candidates compared across targets
    hypervolume.py  the volume under a set of points, and the volume that one more point would add
    growth.py       whether the hypervolume of a front still grows, estimated
    lattice.py      the state of one target that ties these together
    indicators.py   the quality of an answer: the papers' indicators, stability, agreement with the truth
    patterns.py     the patterns that recur in the explanations of a class
    ratios.py       how many units a share of a field is
"""

from sxq.scoring.batch import MeasureBatch
from sxq.scoring.measures import MEASURES, Measure, evaluate, resolve, user_measure

__all__ = ["MEASURES", "Measure", "MeasureBatch", "evaluate", "resolve", "user_measure"]
