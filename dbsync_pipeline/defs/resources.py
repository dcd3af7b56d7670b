"""Where the databases are, as Dagster configures it.

The resource decides nothing: what an op or a sensor gets from it is the plain `Pipeline` that the command line uses.
"""

from functools import cache

import dagster as dg
from pydantic import Field

from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings, load_settings


class Databases(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument] -- it hands out itself
    """The source and the destination; everything else comes from the other `DBSYNC_*` variables."""

    source_url: str = Field(repr=False, description="The application's Postgres, as a URL or libpq string.")
    clickhouse_url: str = Field(repr=False, description="ClickHouse's HTTP interface.")

    def pipeline(self) -> Pipeline:
        """Return the deployment on these databases.

        Raises:
            SettingsError: another variable is unusable.
        """
        settings = load_settings(source_url=self.source_url, clickhouse_url=self.clickhouse_url)
        return _of(settings)  # pyright: ignore[reportArgumentType] -- a frozen model is hashable


@cache
def _of(settings: Settings) -> Pipeline:
    """Read the mappings once a process, as the definitions do: a sensor's tick takes less time than that."""
    return Pipeline(settings)
