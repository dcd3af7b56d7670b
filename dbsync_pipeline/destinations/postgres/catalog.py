"""What a table in an external database is like now, as its catalog tells."""

import psycopg
from psycopg import sql


def canonical(connection: psycopg.Connection, type_name: str) -> str:
    """Return a type as Postgres writes it."""
    result = connection.execute(sql.SQL("select null::{}").format(sql.SQL(type_name))).pgresult  # pyright: ignore[reportArgumentType] -- from the type table
    assert result is not None
    row = connection.execute("select format_type(%s, %s)", [result.ftype(0), result.fmod(0)]).fetchone()
    assert row is not None
    return row[0]


def columns(connection: psycopg.Connection, table: sql.Identifier) -> dict[str, tuple[str, bool]]:
    """Return, for each column, its type and whether it refuses NULL."""
    rows = connection.execute(
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        [table.as_string(None)],
    )
    return {name: (type_name, not_null) for name, type_name, not_null in rows}


def primary_key(connection: psycopg.Connection, table: sql.Identifier) -> tuple[str, ...]:
    """Return the columns of the key, none where there is no key."""
    rows = connection.execute(
        "select a.attname from pg_index i cross join unnest(i.indkey) with ordinality as k (attnum, position) "
        "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum "
        "where i.indrelid = %s::regclass and i.indisprimary order by k.position",
        [table.as_string(None)],
    )
    return tuple(name for (name,) in rows)
