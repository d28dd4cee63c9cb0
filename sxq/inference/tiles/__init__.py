"""Tiles: the candidates that run together, and the rows and edges they are computed on."""
