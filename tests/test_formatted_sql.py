"""No value that a file holds becomes part of SQL: all SQL is written in the code, or by the user.

The test reads the code. It takes the text of every call that runs SQL apart, through local variables, and asks that
each part is a constant of the module, an identifier made by `quote`, or on the list below, with the reason.
"""

import ast
from pathlib import Path

import pytest

import sxq

ROOT = Path(sxq.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
FUNCTIONS = {
    "run": 1,
    "first_rows": 1,
    "glance": 1,
    "insert_arrays": 1,
    "append": 1,
    "insert": 1,
    "execute": 1,
    "_read": 1,
    "_step": 2,
}  # that run SQL, and where its text stands
METHODS = {
    "execute",
    "executemany",
    "sql",
    "query",
    "from_query",
    "appender",
    "view",
    "table",
}  # DuckDB's

# reason -> file and function -> the parts that are neither constants nor quoted
ALLOWED = {
    "the user wrote it": {
        "__main__.py _report": {"options.query"},
        "explorer/answers.py run": {"statement.sql"},
        "session/sql.py run_sql": {"statement.sql"},
        "session/key_tables.py edges": {"query.sql"},
        "session/key_tables.py fetch": {"query.sql"},
        "session/key_tables.py targets": {"query.sql"},
        "notebook.py _run": {"script"},
    },
    "the user's own arguments, on a database in memory": {
        "pyg.py _explain": {"self._query(asked, chosen, units)"},
        "pyg.py _of_types": {"self._query(f'NODE {_one(index)}{of_type}', chosen, '')"},
    },
    "a text of its caller, who stands here too if it is no constant": {
        "explorer/answers.py first_rows": {"sql"},
        "shell/dot_commands.py _shows": {"statement"},
        "shell/dot_commands.py command": {"statement"},
        "shell/laundering_demo.py _step": {"statement"},
        "storage/rows.py run": {"sql"},
        "storage/rows.py run_named": {"sql"},
        "storage/rows.py append": {"table"},
        "storage/rows.py insert_arrays": {"sql"},
        "storage/schema.py _names": {"select"},
        "storage/schema.py _rows": {"select"},
        "storage/store.py execute": {"sql"},
        "storage/store.py glance": {"sql"},
        "storage/store.py select": {"sql"},
        "storage/store.py select_as_text": {"', '.join(casts)", "sql"},
        "storage/store.py select_infinite": {"', '.join(tests)", "sql"},
        "storage/user_sql.py execute": {"sql"},
        "storage/user_sql.py _read": {"sql"},
    },
    "an item of a constant of its module": {
        "shell/karate_demo.py karate": {"statement"},
        "shell/laundering_demo.py laundering": {"statement", "literal(str(account[0]))"},
        "storage/key_columns.py read_keys": {"_READ[column][stored]"},
        "storage/answer_rows.py _begin_targets": {"_INSERT_PENDING[kind, link]"},
        "storage/answer_rows.py _save_edges": {"_INSERT_EDGES[kind]"},
        "storage/answer_rows.py _save_nodes": {"_INSERT_NODES[kind]"},
        "storage/collection_rows.py save": {"_INSERT_MEMBERS[text_type(keys)]"},
        "storage/graph_rows.py _save_nodes": {"_INSERT_NODES[text_type(keys), text_type(owner)]"},
        "storage/refine_rows.py save": {"_INSERT_SALIENCY[text_type(saliency['target'])]"},
        "storage/type_rows.py _numbers": {"_NUMBERS[what]"},
        "storage/schema.py _migrate": {"script", "_views_sql(catalog)"},
        "storage/schema.py _renew_views": {"_views_sql(catalog)"},
        "storage/schema.py create": {"_views_sql(catalog_of(connection))"},
        "storage/schema.py _require_own": {"select"},
        "storage/integrity.py broken": {"check", "_narrowed(check)"},
    },
    "table and column names of a class or a constant": {
        "shell/laundering_demo.py fill": {"', '.join(['unnest(?)'] * len(columns))", "table.name"},
        "storage/named_rows.py claim": {
            "' AND '.join((f'{column} = ${column}' for column in kind.content))",
            "kind.id",
            "kind.table",
        },
        "storage/named_rows.py live": {
            "' UNION ALL '.join((f\"SELECT '{kind.table}', name, {kind.id} FROM {kind.table}"
            ' WHERE dropped_at IS NULL" for kind in kinds))'
        },
        "storage/named_rows.py find": {"kind.id", "kind.table"},
        "storage/named_rows.py resolve": {"kind.id", "kind.table"},
        "storage/named_rows.py unknown": {"kind.table"},
        "storage/named_rows.py _retire": {"kind.id", "kind.table"},
        "storage/named_rows.py sweep": {"table"},
        "storage/answer_rows.py delete": {"table"},
    },
    "VIEW, MACRO or MACRO TABLE, and a quoted name": {
        "storage/schema.py _drop_each": {"kind", "name"}
    },
    "a SELECT of graph_views.py: quoted names, numbers, types of its lists and literals; and a literal": {
        "storage/graph_schemas.py _create": {"select", "sql_literal(comment)", "view"}
    },
    "quoted part by part, and a reader of READERS": {
        "shell/table_files.py read_into": {
            "'.'.join((_quoted(part) for part in table.split('.')))",
            "_reader(path)",
        }
    },
    "question marks": {"storage/rows.py insert": {"', '.join('?' * len(values))"}},
    "quoted names, and types that DuckDB has read": {
        "storage/store.py _create_table": {"', '.join(declared)"}
    },
}


class Scope:
    """A function, with the texts that its local variables may hold."""

    def __init__(self, function, constants):
        self.name, self.constants, self.assigned = function.name, constants, {}
        known = set()
        for node in ast.walk(function):
            for target, value in _assignments(node):
                self.assigned.setdefault(target.id, []).append(value)
                known.add(target)
        arguments = function.args
        self.opaque = {
            each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        }
        self.opaque |= {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in known
        }

    def parts(self, text):
        """What a text is made of but constants and quoted identifiers, as source."""
        match text:
            case ast.Constant() | ast.Call(func=ast.Name(id="quote")):
                return set()
            case ast.Call(
                func=ast.Attribute(attr="join"),
                args=[ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="quote"), _])],
            ):
                return set()
            case ast.JoinedStr(values=pieces) | ast.List(elts=pieces) | ast.Tuple(elts=pieces):
                return self.all_parts(pieces)
            case ast.FormattedValue(value=value) | ast.Starred(value=value):
                return self.parts(value)
            case ast.BinOp(left=left, right=right):
                return self.all_parts([left, right])
            case ast.IfExp(body=left, orelse=right):
                return self.all_parts([left, right])
            case ast.Name(id=name) if name in self.assigned and name not in self.opaque:
                return self.all_parts(self.assigned[name])
            case ast.Name(id=name) if name in self.constants and name not in self.opaque:
                return set()
        return {ast.unparse(text)}

    def all_parts(self, texts):
        return set().union(*map(self.parts, texts))


def _assignments(node):
    """The local variables that a statement assigns, with the values."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            pairs = list(zip(targets, values))
        case ast.Assign(targets=targets, value=value):
            pairs = [(target, value) for target in targets]
        case (
            ast.AnnAssign(target=target, value=value)
            | ast.AugAssign(target=target, value=value)
            | ast.NamedExpr(target=target, value=value)
        ) if value is not None:
            pairs = [(target, value)]
        case _:
            pairs = []
    return [(target, value) for target, value in pairs if isinstance(target, ast.Name)]


def texts(function, path):
    """The texts that a function runs."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name), args=args) if name in FUNCTIONS:
                yield from args[FUNCTIONS[name] :][:1]
            case ast.Call(func=ast.Attribute(attr="select", value=owner), args=[text, *_]):
                if "store" in ast.unparse(owner):
                    yield text
            case ast.Call(func=ast.Attribute(attr=name), args=[text, *_]) if name in METHODS:
                if path.is_relative_to(ROOT / "storage") or name in ("execute", "sql", "query"):
                    yield text


def findings(path, source):
    """File and function -> the parts of its SQL that must have a reason."""
    tree = ast.parse(source)
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            scope = Scope(function, constants)
            parts = scope.all_parts(texts(function, path))
            if parts:
                found[f"{path.relative_to(ROOT).as_posix()} {function.name}"] = parts
    return found


def test_all_sql_is_made_of_constants_quoted_names_and_what_is_listed():
    listed = {where: parts for places in ALLOWED.values() for where, parts in places.items()}
    found = {}
    for path in MODULES:
        found |= findings(path, path.read_text())
    assert found == listed  # what is listed and no longer found must go, too


@pytest.mark.parametrize(
    "line, found",
    [
        ('run(cursor, f"SELECT node::{kind} FROM nodes", [1])', {"kind"}),
        ('run(cursor, "SELECT node::%s FROM nodes" % kind)', {"kind"}),
        ('run(cursor, "SELECT node::" + kind + " FROM nodes")', {"kind"}),
        ('run(cursor, "SELECT node::{}".format(kind))', {"'SELECT node::{}'.format(kind)"}),
        ('sql = f"SELECT {kind}"; cursor.execute(sql)', {"kind"}),
        ('sql = "SELECT "; sql += kind; cursor.execute(sql)', {"kind"}),
        ("for CONSTANT in rows: cursor.execute(CONSTANT)", {"CONSTANT"}),
        ("self._store.select(row.text)", {"row.text"}),
        ('cursor.execute("SELECT ?", [kind])', None),
        ('cursor.execute(f"USE {quote(kind)}")', None),
        ('name = quote(kind, "x"); run(cursor, CONSTANT + f"{name}")', None),
    ],
)
def test_a_formatted_text_is_found(line, found):
    source = f'CONSTANT = "SELECT 1"\ndef load(cursor, kind):\n    {line}'
    assert (
        findings(ROOT / "storage/graph_rows.py", source).get("storage/graph_rows.py load") == found
    )
