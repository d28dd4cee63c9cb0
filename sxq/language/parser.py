"""From the text of one statement to its dataclass, by the grammar in `grammar/sxq.lark`.

The only file that knows lark: an LALR parser with a contextual lexer, built on first use, and a transformer
with one method per rule. The methods only put values in their places; the planner judges them. Callers come
through `grammar.py`, which imports this file late.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, Tree, UnexpectedInput, v_args
from lark.exceptions import VisitError
from lark.lark import PostLex
from lark.lexer import PatternRE, PatternStr, TerminalDef
from lark.parsers.lalr_interactive_parser import InteractiveParser

from sxq.language import mistakes, writing
from sxq.language import statements as ast
from sxq.language.binding import parameter, parameters
from sxq.language.lexemes import parenthesised
from sxq.language.manual import grammar_text
from sxq.language.script import Piece


def parse(piece: Piece) -> ast.Statement:
    """The statement of sxq's own that `piece` is; raises ParseError."""
    session = _lark().parse_interactive(piece.text)
    try:
        for _ in session.iter_parse():
            pass
        tree = session.feed_eof()
    except UnexpectedInput as error:
        raise mistakes.unexpected(piece, _position(error, piece.text), _expected(session)) from None
    try:
        return _Statements(piece).transform(tree)
    except VisitError as error:
        raise error.orig_exc from None


def continuations(text: str) -> list[str]:
    """The continuations of `text`, as `grammar.continuations` describes them."""
    session = _lark().parse_interactive(text)
    try:
        for _ in session.iter_parse():
            pass
    except UnexpectedInput:
        return []
    return _expected(session)


def write(statement: ast.Explain) -> str:
    """The text of a statement, its names quoted where they are keywords."""
    return writing.text(statement, keywords())


@cache
def keywords() -> frozenset[str]:
    """Every keyword of the grammar, upper-case."""
    fixed = (
        terminal.pattern.value.upper()
        for terminal in _lark().terminals
        if isinstance(terminal.pattern, PatternStr)
    )
    return frozenset(filter(str.isalpha, fixed))


@cache
def _lark() -> Lark:
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer="contextual",
        propagate_positions=True,
        g_regex_flags=re.IGNORECASE,
        edit_terminals=_nest_subqueries,
        postlex=_WholeWords(),
    )


class _WholeWords(PostLex):
    """Lets a name be read everywhere, so that no keyword is found at the beginning of a longer word."""

    always_accept = ("NAME",)

    def process(self, stream):
        return stream


def _nest_subqueries(terminal: TerminalDef) -> None:
    if terminal.name == "SUBQUERY":
        terminal.pattern = PatternRE(f"(?-i:{parenthesised()})")


def _position(error: UnexpectedInput, text: str) -> int:
    token = getattr(error, "token", None)
    at_end = isinstance(token, Token) and token.type == "$END"
    if at_end:
        return len(text.rstrip())
    assert error.pos_in_stream is not None, "lark knows where it stopped"
    return error.pos_in_stream


_WORDS = {
    "NAME": "a name",
    "INTEGER": "an integer",
    "NUMBER": "a number",
    "STRING": "'text'",
    "SUBQUERY": "(SELECT ...)",
    "PLACEHOLDER": "?",
    "COMPARISON": "a comparison (<, <=, >, >=, =, !=)",
}


def _expected(session: InteractiveParser) -> list[str]:
    """The legal continuations in the user's words: kinds of values, keywords, signs, and the end."""
    accepted = session.accepts()
    values = [word for name, word in _WORDS.items() if name in accepted]
    fixed = {
        terminal.pattern.value
        for terminal in _lark().terminals
        if terminal.name in accepted and isinstance(terminal.pattern, PatternStr)
    }
    keywords = sorted(filter(str.isalpha, fixed))
    signs = [f"'{sign}'" for sign in sorted(fixed - {*keywords, ";"})]
    return values + keywords + signs + ["the end of the statement"] * ("$END" in accepted)


@v_args(inline=True)
class _Statements(Transformer):
    """One method per rule of the grammar; its arguments are the children, None for a part left out."""

    def __init__(self, piece: Piece):
        super().__init__()
        self._piece = piece
        self._questions = 0  # the key of the next `?`

    def start(self, statement):
        return statement

    name = of_type = type_name = start

    def explain(self, targets, model, graph, *parts):
        clauses = tuple(part for part in parts if isinstance(part, Tree))
        (measures,) = (part for part in parts if not isinstance(part, Tree))
        self._refuse_repeated(clauses, [clause.data for clause in clauses])
        given = {clause.data: _clause_value(clause) for clause in clauses}
        kind, keys, node_type, *rest = targets
        return ast.Explain(
            keys,
            model,
            measures,
            graph=graph,
            **given,
            kind=kind,
            node_type=node_type,
            of_class=rest[0] if rest else None,
            text=self._piece.text,
        )

    def of_class(self, number, pool):
        return *(pool or ("node", None, None)), number

    def one_node(self, key, node_type):
        return "node", (key,), node_type

    def nodes(self, *parts):
        *keys, node_type = parts
        return "node", _keys(keys), node_type

    def query_nodes(self, query, node_type):
        return "node", query, node_type

    def one_graph(self, key):
        return "graph", (key,), None

    def graphs(self, *keys):
        return "graph", _keys(keys), None

    def query_graphs(self, query):
        return "graph", query, None

    def link(self, u, v):
        return u, v

    def one_link(self, link, edge_type):
        return "link", (link,), edge_type

    def links(self, *parts):
        *links, edge_type = parts
        return "link", tuple(links), edge_type

    def query_links(self, query, edge_type):
        return "link", query, edge_type

    def of_relation(self, relation):
        return relation

    def of_edge_type(self, source, relation, head):
        return source, relation, head

    given_links = query_links

    def generator(self, name, options):
        return ast.GeneratorCall(name, options or ())

    def holds(self, flag):
        return ast.Condition(flag, "is", True)

    def fails(self, flag):
        return ast.Condition(flag, "is", False)

    def compares(self, measure, comparison, value):
        return ast.Condition(measure, "!=" if comparison == "<>" else str(comparison), value)

    def edge(self, source, head):
        return source, head

    def edge_list(self, *edges):
        return edges

    def key_of_type(self, key, node_type):
        return key if node_type is None else (node_type, key)

    def node_list(self, *keys):
        return _of_types(keys)

    def node_query(self, query, node_type):
        return query, node_type

    def unit_list(self, *keys):
        return _keys(keys)

    def unit_nodes(self, units):
        return ast.Units("nodes", *units)

    def unit_features(self, units):
        return ast.Units("features", units)

    def measures(self, *names):
        return names

    def options(self, *options):
        names = [option.children[0] for option in options]
        self._refuse_repeated(options, names)
        return tuple(tuple(option.children) for option in options)

    plan_explain = ast.PlanExplain
    profile_explain = ast.ProfileExplain
    resume = ast.Resume
    refresh = ast.Refresh
    drop_query = ast.DropQuery
    file = ast.FileSource
    dataset = ast.DatasetSource
    queries = ast.QuerySource
    graphs_queries = ast.GraphsQuerySource
    nodes_of_type = ast.NodesOfType

    def edges_of_type(self, source, relation, head, query):
        return ast.EdgesOfType((source, relation, head), query)

    def typed_queries(self, *parts):
        return ast.TypedQuerySource(parts)

    describe = ast.Describe
    set_option = ast.SetOption
    reset_option = ast.ResetOption

    def create_graph(self, replace, name, source, options):
        return ast.CreateGraph(name, source, options or (), bool(replace))

    def alter_graph(self, name, *changes):
        return ast.AlterGraph(name, changes)

    def graph_change(self, what, of, query):
        return ast.GraphChange(what, query, of)

    changed_edges = of_edge_type
    added_graphs = ast.AddedGraphs
    removed_graphs = ast.RemovedGraphs

    def alter_graphs(self, name, *changes):
        return ast.AlterGraphs(name, changes)

    def node_change(self, *words):
        return " ".join(words).upper()

    edge_change = node_change

    def create_graphs(self, replace, name, source, options):
        return ast.CreateGraphs(name, source, options or (), bool(replace))

    def create_model(self, *parts):
        return ast.CreateModel(**_named(("replace", "name", "kind", "graph", "path"), parts))

    def train_model(self, replace, name, kind, graph, options):
        return ast.TrainModel(name, graph, options or (), bool(replace), kind)

    def pretrain_refine(self, *parts):
        return ast.PretrainRefine(**_named(("replace", "name", "model", "kind", "graph"), parts))

    def show(self, _, what):
        return ast.Show(what.lower())

    def drop(self, kind, if_exists, name):
        return ast.Drop(kind, name, bool(if_exists))

    def audit(self, structure, query_id):
        return ast.Audit(bool(structure), query_id)

    def predict(self, pool, model, graph, into):
        kind, keys, node_type = pool or ("node", None, None)
        return ast.Predict(keys, kind, model, graph=graph, into=into, node_type=node_type)

    def or_replace(self):
        return True

    if_exists = structure = or_replace

    def lower(self, word):
        return word.lower()

    word = measure = kind = data = flag = condition_flag = over_units = lower

    def boolean(self, word):
        return word.upper() == "TRUE"

    def values(self, *values):
        return [value for value in values if value is not None]

    def NAME(self, token):
        return str(token)

    SIGNED_NAME = NAME

    def QUOTED_NAME(self, token):
        return token[1:-1].replace('""', '"')

    def STRING(self, token):
        return token[1:-1].replace("''", "'")

    def NUMBER(self, token):
        try:
            return int(token) if token.lstrip("+-").isdigit() else float(token)
        except ValueError:  # Python refuses integers of more than 4,300 digits
            raise mistakes.mistake(
                self._piece, token.start_pos, "a number of too many digits"
            ) from None

    INTEGER = NUMBER

    def PLACEHOLDER(self, token):
        if token != "?":
            return parameter(token[1:])
        self._questions += 1
        return ast.Parameter(self._questions - 1)

    def SUBQUERY(self, token):
        sql = token[1:-1].strip()
        found = parameters(sql, self._questions)
        self._questions += sum(isinstance(each, ast.Parameter) for each in found)
        return ast.Subquery(sql, found)

    def _refuse_repeated(self, trees: tuple[Tree, ...], names: list[str]) -> None:
        seen = set()
        for tree, name in zip(trees, names):
            if name in seen:
                raise mistakes.repeated(self._piece, tree.meta.start_pos)
            seen.add(name)


def _keys(keys: Sequence[Any]) -> Any:
    """The keys that are listed; a single placeholder stands for a list."""
    stands_for_list = len(keys) == 1 and isinstance(keys[0], ast.Parameter)
    return keys[0] if stands_for_list else tuple(keys)


def _of_types(keys: Sequence[Any]) -> tuple[Any, str | None]:
    """The keys of nodes, and the type of all of them; OF TYPE is that of all keys before it, back to another."""
    found: list[Any] = []
    node_type = None
    for key in reversed(keys):
        if isinstance(key, tuple):
            node_type, key = key
        found.insert(0, (node_type, key))
    if len({of_type for of_type, _ in found}) == 1:
        return _keys([key for _, key in found]), node_type
    return tuple(key if of_type is None else (of_type, key) for of_type, key in found), None


def _named(names: tuple[str, ...], parts: tuple) -> dict[str, Any]:
    """The parts of a rule by name; the last part holds the options, and both may be left out of the text."""
    given = dict(zip((*names, "options"), parts))
    return {**given, "options": given["options"] or (), "replace": bool(given["replace"])}


def _clause_value(clause: Tree) -> Any:
    """Tuples for BY and WHERE, a value for TOP and its like, True for EDGES DIRECTED and JOINTLY."""
    if clause.data in ("generators", "where"):
        return tuple(clause.children)
    if clause.data == "diversify":
        return ast.Diversify(*clause.children)
    return clause.children[0] if clause.children else True
