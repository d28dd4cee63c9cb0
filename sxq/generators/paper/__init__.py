"""The generators of the two papers: onion peeling, edge growing, ReFine."""
