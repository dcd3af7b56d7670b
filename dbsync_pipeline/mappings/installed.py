"""What `dbsync init` left in the source, and whether it is what these mappings need."""

import psycopg

from dbsync_pipeline.errors import NotInstalledError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.spec import SyncMapping


def read_installed(connection: psycopg.Connection) -> dict[str, str]:
    """Return object -> fingerprint; nothing where the schema is missing."""
    if connection.execute("select to_regclass('dbsync.installed')").fetchone() == (None,):
        return {}
    return dict(connection.execute("select object_id, fingerprint from dbsync.installed").fetchall())


def installed_id(mapping: SyncMapping) -> str:
    """Return the object that stands for a mapping; its fingerprint is the mapping's code version."""
    return f"mapping {mapping.mapping_id}"


def require_installed(connection: psycopg.Connection, catalog: Catalog) -> None:
    """Refuse to work on a source whose objects do not fit this catalog.

    Raises:
        NotInstalledError: `dbsync init` has not been run, or mappings have changed since, here or there.
    """
    installed = read_installed(connection)
    for mapping in catalog.mappings:
        if installed.get(installed_id(mapping)) != mapping.code_version:
            state = "not what is installed" if installed_id(mapping) in installed else "not installed"
            raise NotInstalledError(
                f"mapping {mapping.mapping_id} is {state} in the source",
                "Run `dbsync init`; a worker that was started before it has to be started again.",
            )
