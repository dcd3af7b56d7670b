"""Runs a person's query as one tenancy.

Two locks, each enough by itself for honest queries: the statement is parsed and may name the mappings' views and
nothing else, nor use a function that reads a table, a dictionary, a file or another machine; and ClickHouse itself
filters every read of its internal tables by the tenancy (`additional_table_filters`), in a mode in which the query
cannot change settings (invariant I7). The embedded engine has neither users nor row policies; this needs none.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import TokenType, exp, parse, tokenize
from sqlglot.errors import SqlglotError

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog

_READ_ONLY = 1
"""ClickHouse's strictest mode: no writes, no changed settings, no table functions that reach elsewhere."""

# The function forms of IN take a table's name for the list. Functions can be passed by name, without a parenthesis.
_REACHING = re.compile(
    r"(global)?(not)?(null)?in(ignoreset)?|dict(get|has|isin)\w*|joinget\w*|hascolumnintable|file|catboostevaluate"
    r"|getmaxtablenamelengthfordatabase|ai(classify|embed|extract|filter|generate|redact|similarity|translate)\w*",
    re.IGNORECASE,
)
# ClickHouse has quotation marks and signs beyond ASCII, and comments, that this parser reads in another way.
_WORD = re.compile(r"[a-z_]\w*", re.ASCII | re.IGNORECASE)
_TEXT = {TokenType.STRING, TokenType.HEREDOC_STRING}


def query_all(clickhouse: ClickHouse, statement: str) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Run a query over all tenancies, for an operator; it can read everything and write nothing."""
    return clickhouse.read(statement, {"readonly": _READ_ONLY})


def query_tenancy(
    clickhouse: ClickHouse, catalog: Catalog, names: tables.ClickHouseNames, statement: str, tenancy: str
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Run a query over one tenancy's rows.

    Raises:
        DbsyncError: the statement is not one SELECT over the mappings' views.
    """
    check(statement, catalog, names)
    condition = f"toString({tables.TENANCY}) = {tables.literal(tenancy)}"
    # Those of mappings that were removed are still there.
    restricted = clickhouse.query(
        "select name from system.tables where database = {database:String}", {"database": names.internal}
    )
    filters = ", ".join(
        f"{tables.literal(f'{names.internal}.{table}')}: {tables.literal(condition)}" for (table,) in restricted
    )
    return clickhouse.read(statement, {"readonly": _READ_ONLY, "additional_table_filters": f"{{{filters}}}"})


def check(statement: str, catalog: Catalog, names: tables.ClickHouseNames) -> None:
    """Refuse a statement that is not one SELECT over the mappings' views.

    Raises:
        DbsyncError: it is something else; the message says what.
    """
    views = {mapping.mapping_id for mapping in catalog.mappings}
    mend = f"As a tenancy, write one SELECT over these views: {', '.join(sorted(views))}."
    try:
        _check_words(statement, mend)
        trees = parse(statement, dialect="clickhouse")
    except SqlglotError as error:
        raise DbsyncError(f"the query cannot be read: {str(error).splitlines()[0]}", mend) from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise DbsyncError("the query is not one SELECT", mend)
    for table in trees[0].find_all(exp.Table):
        known = table.name in views and table.db in ("", names.database) and not table.catalog
        if not isinstance(table.this, exp.Identifier) or not (known or _is_defined(table)):
            raise DbsyncError(f"the query reads {table.sql(dialect='clickhouse')}, which is no view of a mapping", mend)
    for membership in trees[0].find_all(exp.In):
        entries = membership.args.get("expressions") or ()
        # A name alone is a table's in parentheses, too.
        named = len(entries) == 1 and isinstance(entries[0].unnest(), exp.Column)
        if membership.args.get("field") is not None or named:
            raise DbsyncError("the query uses a name as the list of an IN", mend)


def _check_words(statement: str, mend: str) -> None:
    for token in tokenize(statement, dialect="clickhouse"):
        if token.comments:
            raise DbsyncError("the query has a comment", mend)
        if token.token_type == TokenType.VAR and not _WORD.fullmatch(token.text):
            raise DbsyncError(f"the query has {token.text} outside of quotation marks", mend)
        if token.token_type not in {TokenType.IN, *_TEXT} and _REACHING.fullmatch(token.text):
            raise DbsyncError(f"the query uses {token.text}, which can read more than the views", mend)


def _is_defined(table: exp.Table) -> bool:
    """Whether a table's name is that of a WITH in whose reach it stands."""
    return not table.db and any(definition.alias == table.name for definition in _in_reach(table))


def _in_reach(table: exp.Table) -> Iterator[exp.Expr]:
    node: exp.Expr = table
    while (parent := node.parent) is not None:
        if isinstance(parent, exp.With):
            # A definition sees those before it, and itself only where it is recursive.
            yield from _queries(parent.expressions[: (node.index or 0) + bool(parent.args.get("recursive"))])
        elif isinstance(definitions := parent.args.get("with_"), exp.With) and definitions is not node:
            yield from _queries(definitions.expressions)
        node = parent


def _queries(definitions: Sequence[exp.Expr]) -> Iterator[exp.Expr]:
    """Leave out the names of values: where a table is read, ClickHouse takes such a name for a table's."""
    return (definition for definition in definitions if not definition.args.get("scalar"))
