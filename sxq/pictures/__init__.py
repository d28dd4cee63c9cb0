"""Explanations to look at: drawings in text, matplotlib pictures, a page of HTML, small HTML for notebooks.

All of them draw one `Scene` (scene.py): the members of one target in their context, in one layout.
"""
