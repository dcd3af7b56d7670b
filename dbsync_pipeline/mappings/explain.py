"""Has the source itself judge a mapping's expressions, by planning its query without running it.

What a mapping file cannot show and the catalogue does not say is refused here in the database's own words: a type that
does not fit, a function that does not exist, a constant that is none of its column's.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.document import location
from dbsync_pipeline.mappings.relation import expression, join_clause, joined, row_filter, table_name, tenancy_value
from dbsync_pipeline.mappings.spec import SOURCE, Join, SyncMapping
from dbsync_pipeline.mappings.types import data_type


def explain_mapping(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> None:
    """Plan the mapping's query; needs the functions that `dbsync init` installs.

    Raises:
        MappingError: an expression is wrong.
    """
    tenancy = sql.SQL("{}::{}").format(tenancy_value(mapping), expression(data_type(catalog.tenancy.type).postgres))
    columns = [expression(column.converted) for column in mapping.columns]
    whole = _complaint(connection, mapping, [tenancy, *columns], mapping.joins)
    if whole is None:
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
    try:
        with connection.transaction():
            connection.execute(statement)
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        return error.diag.message_primary
    return None
