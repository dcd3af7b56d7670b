"""What a database holds, in a form that can be compared."""

import psycopg
from psycopg import sql


def table_names(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("select tablename from pg_tables where schemaname = 'public' order by tablename")
    return [name for (name,) in rows]


def checksums(connection: psycopg.Connection) -> dict[str, str]:
    """Return a checksum of every table, independent of the order of its rows."""
    query = sql.SQL("select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {} as t")
    return {
        name: connection.execute(query.format(sql.Identifier(name))).fetchone()[0] for name in table_names(connection)
    }


def count(connection: psycopg.Connection, query: str) -> int:
    return connection.execute(query).fetchone()[0]
