"""Has the source itself judge a mapping's expressions, by planning its query without running it.

What a mapping file cannot show and the catalogue does not say is refused here in the database's own words: a type that
does not fit, a function that does not exist, a constant that is none of its column's. So is a filter or a join that an
index cannot be made of, or that would fail inside the application's own writes, where the triggers evaluate it.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.document import location
from dbsync_pipeline.mappings.relation import (
    TRIGGER_SEARCH_PATH,
    column,
    expression,
    join_clause,
    joined,
    rebuilt_row,
    row_filter,
    same_columns,
    table_name,
    tenancy_value,
)
from dbsync_pipeline.mappings.spec import SOURCE, Join, SyncMapping
from dbsync_pipeline.mappings.types import data_type


def explain_mapping(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> None:
    """Plan the mapping's query, and try its conditions; needs the functions that `dbsync init` installs.

    Raises:
        MappingError: an expression is wrong.
    """
    tenancy = sql.SQL("{}::{}").format(tenancy_value(mapping), expression(data_type(catalog.tenancy.type).postgres))
    columns = [expression(entry.converted) for entry in mapping.columns]
    whole = _complaint(connection, mapping, [tenancy, *columns], mapping.joins)
    if whole is None:
        _check_conditions(connection, catalog, mapping)
        _check_rebuilding(connection, catalog, mapping)
        return
    parts = (
        (("filter",), (), ()),
        *((("joins", index), (), mapping.joins[: index + 1]) for index in range(len(mapping.joins))),
        (("tenancy",), [tenancy], mapping.joins),
        *((("columns", index), [tenancy, value], mapping.joins) for index, value in enumerate(columns)),
    )
    found = ((place, _complaint(connection, mapping, values, joins)) for place, values, joins in parts)
    place, complaint = next(((place, complaint) for place, complaint in found if complaint is not None), ((), whole))
    raise MappingError(
        f"{location(catalog.files[mapping.mapping_id], *place)}: {complaint}",
        "Correct the SQL or the type; `dbsync init` installs the project's own functions.",
    )


def _check_conditions(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> None:
    """Try on an empty twin of the table what indexes are made of."""
    indexes = [(("filter",), sql.SQL("create index on pg_temp.source ((true)) where {}").format(row_filter(mapping)))]
    indexes += [
        (("joins", index, "on", name), sql.SQL("create index on pg_temp.source (({}))").format(expression(value)))
        for index, join in enumerate(mapping.joins)
        for name, value in ((name, join.on_value(name)) for name in join.on)
    ]
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("create temporary table source (like {})").format(table_name(mapping.source)))
        for place, statement in indexes:
            complaint = _refusal(connection, statement)
            if complaint is not None:
                raise MappingError(
                    f"{location(catalog.files[mapping.mapping_id], *place)}: {complaint}",
                    "An index is made of it: let it depend on the row alone, not on the time or a setting.",
                )
    _check_triggers(connection, catalog, mapping)


def _check_triggers(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> None:
    """Hold what the conditions mean to the triggers against what they mean to sequencers and workers.

    An operator of an extension is not on the triggers' search path: there, its type is compared as another, or not at
    all, which would fail the application's own write.
    """
    identity = same_columns(mapping.identity, SOURCE, SOURCE)
    conditions = [(("filter",), mapping.source, row_filter(mapping)), (("key",), mapping.source, identity)]
    conditions += [
        (("joins", index, "match", name), join.table, sql.SQL("{} = {}").format(column(name), sql.Literal(value)))
        for index, join in enumerate(mapping.joins)
        for name, value in join.match.items()
    ]
    for place, table, condition in conditions:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("create temporary table source (like {})").format(table_name(table)))
            outside = _meaning(connection, "outside", condition)
            connection.execute(sql.SQL("set local search_path = {}").format(sql.SQL(TRIGGER_SEARCH_PATH)))
            complaint = _refusal(connection, sql.SQL("explain select from pg_temp.source where {}").format(condition))
            # Two keys that only one of both takes for the same are a tombstone and a row beside it, which is right.
            if complaint is None and place != ("key",) and _meaning(connection, "inside", condition) != outside:
                complaint = "it means something else"
        if complaint is not None:
            raise MappingError(
                f"{location(catalog.files[mapping.mapping_id], *place)}: {complaint} on the triggers' search path",
                "Write the schema of each type, function and operator that is not Postgres's own, as in billing.status "
                "or operator(public.=); match, and tell rows apart, by columns whose types are Postgres's own.",
            )


def _check_rebuilding(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> None:
    """Rebuild a row of which nothing is known: a tombstone or a touch names some columns, and all others are NULL.

    A domain may refuse that, as a column's own NOT NULL does not; nothing of the table could be numbered any more.
    """
    tables = [(("source",), mapping.source)]
    tables += [(("joins", index, "table"), join.table) for index, join in enumerate(mapping.joins)]
    for place, table in tables:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("select from {}").format(rebuilt_row(table, sql.SQL("'{}'::jsonb"), SOURCE)))
        except psycopg.IntegrityError as error:
            raise MappingError(
                f"{location(catalog.files[mapping.mapping_id], *place)}: table {table}: {error.diag.message_primary}",
                "Let the domain of its column allow NULL, and have the column itself be NOT NULL.",
            ) from None


def _meaning(connection: psycopg.Connection, name: str, condition: sql.Composable) -> str:
    """Return a condition over `source` with the schema of everything in it that is not Postgres's own."""
    view = sql.Identifier("pg_temp", name)
    connection.execute(sql.SQL("create view {} as select 1 from pg_temp.source where {}").format(view, condition))
    with connection.transaction(force_rollback=True):
        connection.execute("set local search_path = pg_catalog")
        row = connection.execute("select pg_get_viewdef(%s::regclass)", [view.as_string(None)]).fetchone()
    assert row is not None
    return row[0]


def _complaint(
    connection: psycopg.Connection, mapping: SyncMapping, values: Sequence[sql.Composable], joins: tuple[Join, ...]
) -> str | None:
    statement = sql.SQL("explain select {} from {} as {} {} where {}").format(
        joined(values),
        table_name(mapping.source),
        sql.Identifier(SOURCE),
        joined((join_clause(join) for join in joins), " "),
        row_filter(mapping),
    )
    return _refusal(connection, statement)


def _refusal(connection: psycopg.Connection, statement: sql.Composed) -> str | None:
    try:
        with connection.transaction():
            connection.execute(statement)
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        return error.diag.message_primary
    return None
