"""Creates the application's tables, from the plain SQL files in `schema/`.

This is the application's schema only. What a sync needs on top is added by `dbsync init`; the files in
`schema/legacy/` are the exception: they give the tables what an application that marks its own changes would already
have, so that installing beside that can be tried.
"""

from importlib.resources import files

import psycopg

from dbsync_pipeline.errors import DbsyncError


def create_schema(connection: psycopg.Connection, *, legacy: bool = False) -> None:
    """Create the application's types, tables and indexes in the connection's current schema, all or nothing.

    Args:
        connection: a connection whose role may create objects there.
        legacy: also create the sequence columns and bookkeeping tables of an earlier, hand-marked sync.

    Raises:
        DbsyncError: one of the objects exists already.
    """
    try:
        with connection.transaction():
            run_scripts(connection, "schema")
            if legacy:
                run_scripts(connection, "schema/legacy")
    except (psycopg.errors.DuplicateObject, psycopg.errors.DuplicateTable) as error:
        database = connection.info.dbname
        raise DbsyncError(
            f"The database {database!r} already holds the application's tables: {error.diag.message_primary}",
            "Use an empty database.",
        ) from error


def run_scripts(connection: psycopg.Connection, folder: str) -> None:
    """Run the SQL files of a folder beside this module, in the order of their names."""
    scripts = (script for script in files("dbsync_pipeline.demo").joinpath(folder).iterdir() if script.is_file())
    for script in sorted(scripts, key=lambda script: script.name):
        connection.execute(script.read_bytes())
