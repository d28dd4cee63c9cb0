"""Explanations to look at. `VIEWS` holds the functions behind the methods of values that draw.

words         an answer in a sentence, and its certificate
text          a subgraph as a tree of text
networks      subgraphs as networkx graphs; the only file that knows networkx
colours       the colours of classes, targets and edges
scene         `Scene`: the members of one target in their context, in one layout
edge_facts    weight, attributes and worth of the edges of a member
drawn_pattern the patterns of a class
plots         pictures by matplotlib; the only file that knows it
page          one self-contained page of HTML
inline_html   small static HTML for notebooks
embedded_page the page in an output cell of a notebook
export        an answer as GraphML, JSON or CSV
"""

from collections.abc import Callable
from typing import Any

from sxq.pictures.drawn_pattern import pattern_html
from sxq.pictures.embedded_page import embedded_page
from sxq.pictures.export import export
from sxq.pictures.inline_html import explanation_html, table_html
from sxq.pictures.networks import pattern_network, to_networkx
from sxq.pictures.page import to_html
from sxq.pictures.plots import plot_explanation, plot_result
from sxq.pictures.text import drawing

VIEWS: dict[str, Callable[..., Any]] = {  # the method of a value -> the function that it calls
    "ClassPattern.to_networkx": pattern_network,
    "ClassPattern._repr_html_": pattern_html,
    "Explanation.draw": drawing,
    "Explanation.plot": plot_explanation,
    "Explanation.to_networkx": to_networkx,
    "Explanation._repr_html_": explanation_html,
    "Result.plot": plot_result,
    "Result.to_html": to_html,
    "Result.export": export,
    "Result._repr_html_": embedded_page,
    "Table._repr_html_": table_html,
}
