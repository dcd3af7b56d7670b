"""Writes the first draft of a mapping file from a table as the live source has it.

The draft copies every column; what copies are not to hold is deleted from it by hand. It guesses nothing that could be
wrong: a table whose tenancy or key cannot be read from the database is refused.
"""

import re

import psycopg
import yaml

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.relation import SyncColumns, table_name
from dbsync_pipeline.mappings.schema import SourceColumn, SourceTable, read_tables
from dbsync_pipeline.mappings.spec import Table, TenancySpec

_HEADER = """\
# Drafted from table {table} by `dbsync mapping new`. Whatever stands here leaves the source: delete the columns that
# copies are not to hold. Then `dbsync mapping validate`, `dbsync init --dry-run`, and `dbsync init`.
"""
_LONGEST_NAME = 48
_SAME = re.compile(r"uuid|boolean|integer|bigint|date|numeric(\(\d+,\d+\))?")
_TIMESTAMP = re.compile(r"timestamp(?:\((?P<digits>\d)\))? with(?:out)? time zone")
_OTHERS = {
    "smallint": "integer",
    "real": "double",
    "double precision": "double",
    "json": "json",
    "jsonb": "json",
    "text": "text",
}
_TENANCY_COLUMN = """
    select here.attname
    from pg_constraint c
        cross join unnest(c.conkey, c.confkey) as pair (here, there)
        join pg_attribute here on here.attrelid = c.conrelid and here.attnum = pair.here
        join pg_attribute there on there.attrelid = c.confrelid and there.attnum = pair.there
    where c.contype = 'f' and c.conrelid = %s::regclass and c.confrelid = %s::regclass and there.attname = %s
    order by c.oid limit 1
"""


def snake_case(name: str) -> str:
    """Return a name as destinations have it, such as `project_user` for `ProjectUser`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    plain = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return (plain if plain[:1].isalpha() and not plain.startswith("sync_") else f"c_{plain}")[:_LONGEST_NAME]


def draft(
    connection: psycopg.Connection,
    table: Table,
    tenancy: TenancySpec,
    columns: SyncColumns,
    *,
    mapping_id: str,
    tenancy_column: str | None,
) -> str:
    """Return the text of a mapping file for a table.

    Args:
        connection: a session on the source.
        table: the table.
        tenancy: how the application tells its tenancies apart.
        columns: names of the sync columns, which no copy gets.
        mapping_id: id of the mapping.
        tenancy_column: says whose a row is; None for the one that references the tenancy table.

    Raises:
        MappingError: there is no such table or column, or the table cannot be mapped without more being known.
    """
    found = read_tables(connection, (table, tenancy.table)).table(table)
    owner = tenancy_column or _tenancy_column(connection, table, tenancy)
    if owner not in found.columns:
        raise MappingError(f"table {table} has no column {owner!r}", f"It has {', '.join(found.columns)}.")
    kept = [entry for entry in found.columns.values() if entry.name not in (owner, columns.sequence, columns.dirty)]
    names = {entry.name: snake_case(entry.name) for entry in kept}
    if len(set(names.values())) < len(names):
        raise MappingError(f"columns of {table} have names that differ in their case alone", "Write it by hand.")
    key = [names[name] for name in _key(found) if name != owner]
    document = {
        "mapping": mapping_id,
        "description": f"Rows of {table}.",
        "source": str(table),
        "tenancy": {"column": owner},
        "key": key,
    }
    lines = [f"{name}: {_inline(value)}" for name, value in document.items()]
    lines += ["", "columns:"]
    lines += [_column(entry, names[entry.name], is_key=names[entry.name] in key) for entry in kept]
    return _HEADER.format(table=table) + "\n".join(lines) + "\n"


def _tenancy_column(connection: psycopg.Connection, table: Table, tenancy: TenancySpec) -> str:
    names = [table_name(entry).as_string(None) for entry in (table, tenancy.table)]
    row = connection.execute(_TENANCY_COLUMN, [*names, tenancy.id]).fetchone()
    if row is None:
        raise MappingError(
            f"no column of {table} references {tenancy.table}",
            "Name the one that says whose a row is by --tenancy-column; where none does, write a join by hand.",
        )
    return row[0]


def _key(table: SourceTable) -> tuple[str, ...]:
    if table.primary_key:
        return table.primary_key
    whole = (key for key in table.unique_keys if not any(table.columns[name].nullable for name in key))
    for key in sorted(whole, key=lambda key: (len(key), sorted(key))):
        return tuple(sorted(key))
    raise MappingError(f"no unique index of {table.table} tells its rows apart", "Add a primary key to it.")


def _column(column: SourceColumn, name: str, *, is_key: bool) -> str:
    declared, remark = _type(column.type)
    document: dict[str, object] = {"name": name, "source": column.name, "type": declared}
    # JSON null counts as NULL, and any document may be that.
    if not is_key and (column.nullable or declared == "json"):
        document["nullable"] = True
    return f"  - {_inline(document)}{remark}"


def _type(postgres: str) -> tuple[str, str]:
    """Return the type that holds a column of the source, and a remark where it holds its text only."""
    if _SAME.fullmatch(postgres):
        return postgres.replace(",", ", "), ""
    if (match := _TIMESTAMP.fullmatch(postgres)) is not None:
        return f"timestamp({match['digits'] or 6})", ""
    if postgres in _OTHERS or postgres.startswith("character"):
        return _OTHERS.get(postgres, "text"), ""
    return "text", f"  # The text of {postgres}."


def _inline(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()
