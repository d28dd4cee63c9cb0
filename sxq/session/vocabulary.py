"""Every name that a statement may use now, for the completion of a shell.

Nothing here imports torch: generators and options have tables of their own.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sxq.errors import Error
from sxq.graph.node_labels import FEATURE, LABEL, NONE, PREDICTION
from sxq.planning import SETTINGS
from sxq.planning.options import ARCHITECTURES, OPTIONS, PRETRAINING_OPTIONS, TYPED_ARCHITECTURES

# Qualified: a macro of the file may bear the name of a function.
_COLUMNS = """SELECT table_name, system.main.list(column_name ORDER BY column_index)
              FROM system.main.duckdb_columns()
              WHERE NOT internal AND database_name IN (system.main.current_catalog(), 'temp')
              GROUP BY ALL ORDER BY ALL"""
_TYPES = "SELECT DISTINCT node_type FROM sxq.node_types ORDER BY ALL"


@dataclass(frozen=True)
class Vocabulary:
    """Names by kind, each in order."""

    graphs: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()  # of graphs
    refines: tuple[str, ...] = ()
    explainers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    settings: tuple[str, ...] = tuple(SETTINGS)
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # columns by table
    generators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # options by generator
    options: tuple[str, ...] = tuple(OPTIONS)  # of CREATE MODEL and TRAIN
    pretraining: tuple[str, ...] = tuple(PRETRAINING_OPTIONS)  # options of PRETRAIN
    architectures: tuple[str, ...] = tuple(sorted({*ARCHITECTURES, *TYPED_ARCHITECTURES}))
    node_types: tuple[str, ...] = ()  # of heterogeneous graphs
    labels: tuple[str, ...] = (PREDICTION, LABEL, FEATURE, NONE)  # beside the columns of nodes


def vocabulary(names, store) -> Vocabulary:
    """The vocabulary of a registry and a store; in a failed transaction, without the store's."""
    rows = names.graphs.rows()
    found: dict[str, Any] = {
        "graphs": tuple(row.name for row in rows if row.num_graphs is None),
        "models": tuple(names.models.names()),
        "collections": tuple(row.name for row in rows if row.num_graphs is not None),
        "measures": tuple(names.measures),
        "explainers": tuple(names.learned.explainers),
    }
    with suppress(Error):
        found["refines"] = tuple(names.learned.models())
        found["node_types"] = tuple(name for (name,) in store.execute(_TYPES).rows)
        found["tables"] = {table: tuple(columns) for table, columns in store.execute(_COLUMNS).rows}
    found["generators"] = {name: tuple(entry.options) for name, entry in names.generators().items()}
    return Vocabulary(**found)
