"""Generators to compare a search with.

random.py       random connected subgraphs of all sizes; search and moexp begin with them
exhaustive.py   every connected subgraph of a small field: the oracle
deepening.py    every connected subgraph of one unit, then of two, ...: the proof of SMALLEST
moexp.py        evolution towards the front of two objectives
"""
