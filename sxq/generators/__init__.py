"""The generators: one algorithm, one file, one entry in the catalog.

A generator is a coroutine `def name(field, context, **options) -> Search`. Its body contains
`scored = yield candidates`.

    catalog.py     their names, options and help, without torch; the verb `load(name)` imports one
    protocol.py    the values that a generator and the executor exchange
    paper/         onion peeling, edge growing, ReFine: the generators of the two papers
    search/        the generator that EXPLAIN runs without BY
    explainers/    other people's explainers, whose masks become candidates
    baselines/     random, exhaustive and evolutionary generators, to compare with

Importing this folder imports no algorithm.
"""

from sxq.generators.catalog import DEFAULT, GENERATORS, GeneratorEntry, load

__all__ = ["DEFAULT", "GENERATORS", "GeneratorEntry", "load"]
