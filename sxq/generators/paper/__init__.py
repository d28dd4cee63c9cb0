"""The generators of the two papers.

onion.py     onion peeling, from the outermost hop inwards (Qiu et al.)
growing.py   edge growing, from the target outwards (Qiu et al.)
refine.py    attributors pre-trained class by class, fine-tuned to the target (Wang et al.)
"""
