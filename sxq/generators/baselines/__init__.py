"""Generators to compare a search with.

random.py       random connected subgraphs of all sizes; search and moexp begin with them
exhaustive.py   every connected subgraph of a small field: the oracle
moexp.py        evolution towards the front of two objectives
"""
