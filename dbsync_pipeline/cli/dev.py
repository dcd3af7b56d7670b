"""`dbsync dev`: the product on this machine without demo data."""

import os
import time
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from dbsync_pipeline import source
from dbsync_pipeline.cli.initialise import initialise_pipeline
from dbsync_pipeline.cli.local import DAGSTER_PORT, ended_by_signal, local_dagster
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.embedded.services import Services, embedded_services
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings, load_settings

_DATABASE_VARIABLES = ("DBSYNC_SOURCE_URL", "DBSYNC_CLICKHOUSE_URL")


def dev(
    home: Annotated[
        Path, typer.Option(help="Directory that keeps the embedded databases and Dagster's history between runs.")
    ] = Path(".dbsync/dev"),
    port: Annotated[int, typer.Option(help="Port of Dagster's UI; another one is taken when it is in use.")] = (
        DAGSTER_PORT
    ),
) -> None:
    """Run Dagster with the sensors on, until Ctrl-C.

    Uses the databases that DBSYNC_SOURCE_URL and DBSYNC_CLICKHOUSE_URL name; what is not set is started embedded and
    kept under the home directory. An embedded Postgres gets the demo's application schema, empty.
    """
    home = home.absolute()
    own_source, own_clickhouse = (name not in os.environ for name in _DATABASE_VARIABLES)
    with (
        ended_by_signal(),
        embedded_services(home, postgres=own_source, clickhouse=own_clickhouse) as services,
    ):
        pipeline = Pipeline(_settings(services))
        if own_source:
            _create_application_schema(services.source_url)
        initialise_pipeline(pipeline)
        with local_dagster(home, pipeline.settings, port, embedded_postgres=own_source) as dagster:
            console.print(f"Dagster answers at [link={dagster.url}]{dagster.url}[/]; its log is {dagster.log}.")
            console.print(f"For other terminals: . {home / 'env'}", soft_wrap=True)
            console.print("Ctrl-C stops everything that was started.")
            while True:
                dagster.require_alive()
                time.sleep(1)


def _settings(services: Services) -> Settings:
    """What the environment names wins; the embedded services fill in the rest."""
    embedded = {"source_url": services.source_url, "clickhouse_url": services.clickhouse_url}
    return load_settings(**{name: url for name, url in embedded.items() if url})


def _create_application_schema(url: str) -> None:
    with source.session(url) as connection:
        if not _has_tables(connection):
            create_schema(connection)


def _has_tables(connection: psycopg.Connection) -> bool:
    return connection.execute("select to_regclass('public.\"Tenancy\"')").fetchone() != (None,)
