"""Makes a home for a Dagster instance, from the project's own `dagster.yaml` and `workspace.yaml`.

The files beside this module are those at the root of the project, the only places that say how Dagster runs.
"""

from importlib.resources import files
from pathlib import Path

import yaml


def write_dagster_home(home: Path, storage_url: str | None = None) -> None:
    """Write `dagster.yaml` and `workspace.yaml` into a directory that serves as DAGSTER_HOME, over what is there.

    Args:
        home: the directory; made when missing, and readable for nobody else.
        storage_url: a Postgres URL for Dagster's own storage; without one it is SQLite files in the directory.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    instance = _packaged("dagster.yaml")
    if storage_url is not None:
        # SQLAlchemy takes psycopg 3 for a bare postgresql://, which dagster-postgres does not speak.
        url = "postgresql+psycopg2://" + storage_url.partition("://")[2]
        instance += "\n" + yaml.safe_dump({"storage": {"postgres": {"postgres_url": url}}})
    for name, text in (("dagster.yaml", instance), ("workspace.yaml", _packaged("workspace.yaml"))):
        file = home / name
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")


def _packaged(name: str) -> str:
    return files("dbsync_pipeline.defs").joinpath(name).read_text(encoding="utf-8")
