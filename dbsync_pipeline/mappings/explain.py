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
    expression,
    join_clause,
    joined,
    row_filter,
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
    columns = [expression(column.converted) for column in mapping.columns]
    whole = _complaint(connection, mapping, [tenancy, *columns], mapping.joins)
    if whole is None:
        _check_conditions(connection, catalog, mapping)
        return
    parts = (
        (("filter",), (), ()),
        *((("joins", index), (), mapping.joins[: index + 1]) for index in range(len(mapping.joins))),
        (("tenancy",), [tenancy], mapping.joins),
        *((("columns", index), [tenancy, column], mapping.joins) for index, column in enumerate(columns)),
    )
    found = ((place, _complaint(connection, mapping, values, joins)) for place, values, joins in parts)
    place, complaint = next(((place, complaint) for place, complaint in found if complaint is not None), ((), whole))
    raise MappingError(
        f"{location(catalog.files[mapping.mapping_id], *place)}: {complaint}",
        "Correct the SQL or the type; `dbsync init` installs the project's own functions.",
    )


def _check_conditions(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> None:
    """Try on an empty twin of the table what indexes are made of and, under the triggers' search path, the filter."""
    filtering = sql.SQL("create index on pg_temp.source ((true)) where {}").format(row_filter(mapping))
    indexes = [(("filter",), filtering)]
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
        connection.execute(sql.SQL("set local search_path = {}").format(sql.SQL(TRIGGER_SEARCH_PATH)))
        complaint = _refusal(connection, filtering)
        if complaint is not None:
            raise MappingError(
                f"{location(catalog.files[mapping.mapping_id], 'filter')}: {complaint} on the triggers' search path",
                "Write the schema of every type and function that is not Postgres's own, as in billing.status.",
            )


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
