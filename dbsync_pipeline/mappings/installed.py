"""What `dbsync init` left in the source, and whether it is what this program and these mappings need.

Whoever numbers or delivers by other mappings than those installed would leave out what the others do not know of, so
everyone asks here before working, and again within the transaction that the answer is for.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import LiteralString

import psycopg
from psycopg import sql

from dbsync_pipeline.errors import NotInstalledError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.spec import SyncMapping

SCHEMA_VERSION = 3
"""Of schema dbsync in the source. Raised with a change of it that earlier programs would work wrongly on, or later ones
could not do without."""

SCHEMA_ID = "schema"
"""The object that stands for the schema; its fingerprint is its version."""

INSTALLED: LiteralString = "(select coalesce(jsonb_object_agg(object_id, fingerprint), '{}') from dbsync.installed)"
"""SQL of all of it, object -> fingerprint, to be part of a statement."""

_MAPPING = "mapping "


def read_installed(connection: psycopg.Connection) -> dict[str, str]:
    """Return object -> fingerprint; nothing where the schema is missing."""
    if connection.execute("select to_regclass('dbsync.installed')").fetchone() == (None,):
        return {}
    row = connection.execute(f"select {INSTALLED}").fetchone()
    assert row is not None
    return row[0]


def installed_id(mapping: SyncMapping) -> str:
    """Return the object that stands for a mapping; its fingerprint is the mapping's code version."""
    return f"{_MAPPING}{mapping.mapping_id}"


def remember(object_id: str, fingerprint: str) -> sql.Composed:
    """Return the statement that notes an object as installed."""
    return sql.SQL(
        "insert into dbsync.installed (object_id, fingerprint) values ({}, {}) on conflict (object_id) "
        "do update set fingerprint = excluded.fingerprint, installed_at = clock_timestamp()"
    ).format(sql.Literal(object_id), sql.Literal(fingerprint))


def abandoned_mappings(installed: Mapping[str, str], catalog: Catalog) -> list[str]:
    """Return the ids of mappings that are installed and not in the catalog."""
    kept = {installed_id(mapping) for mapping in catalog.mappings}
    return sorted(
        entry.removeprefix(_MAPPING) for entry in installed if entry.startswith(_MAPPING) and entry not in kept
    )


def refuse_newer(installed: Mapping[str, str]) -> None:
    """Refuse to touch what a later program has made.

    Raises:
        NotInstalledError: the installation is newer than this program.
    """
    version = int(installed.get(SCHEMA_ID, "0"))
    if version > SCHEMA_VERSION:
        raise NotInstalledError(
            f"schema dbsync in the source is of version {version}, and this program knows {SCHEMA_VERSION}",
            "Update dbsync_pipeline here; there is no way back from a later version.",
        )


def require_installed(connection: psycopg.Connection, catalog: Catalog) -> None:
    """Refuse to work on a source whose objects do not fit this program and this catalog.

    Raises:
        NotInstalledError: `dbsync init` has not been run, or program or mappings have changed since, here or there.
    """
    installed: dict[str, str] = {}
    # Every turn of every worker asks; whether the schema is there at all, an error tells.
    with suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        row = connection.execute(f"select {INSTALLED}").fetchone()
        assert row is not None
        (installed,) = row
    check_installed(installed, catalog)


def check_installed(installed: Mapping[str, str], catalog: Catalog) -> None:
    """Hold what is installed against this program and this catalog.

    Raises:
        NotInstalledError: it does not fit.
    """
    refuse_newer(installed)
    for mapping in catalog.mappings:
        if installed.get(installed_id(mapping)) != mapping.code_version:
            state = "is not what is installed" if installed_id(mapping) in installed else "is not installed"
            raise NotInstalledError(
                f"mapping {mapping.mapping_id} {state} in the source",
                "Run `dbsync init`; a worker that was started before it has to be started again.",
            )
    for mapping_id in abandoned_mappings(installed, catalog):
        raise NotInstalledError(
            f"mapping {mapping_id} is installed in the source, and not among the mapping files here",
            "Start this again with its file; if it is to be delivered no more, run `dbsync init`.",
        )
    if installed.get(SCHEMA_ID) != str(SCHEMA_VERSION):
        raise NotInstalledError("schema dbsync in the source is older than this program", "Run `dbsync init`.")
