"""`dbsync demo`: the whole product on one machine, with data and traffic of its own."""

import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from pydantic import SecretStr

from dbsync_pipeline import source
from dbsync_pipeline.cli.demo_table import comparison_table, show_live
from dbsync_pipeline.cli.initialise import initialise_pipeline
from dbsync_pipeline.cli.local import DAGSTER_PORT, ended_by_signal, local_dagster
from dbsync_pipeline.cli.output import console, errors
from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.demo.traffic import Traffic
from dbsync_pipeline.destinations.clickhouse.client import place_of
from dbsync_pipeline.embedded.services import Services, embedded_services
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.errors import DifferenceError
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import BUILTIN_MAPPINGS, Settings
from dbsync_pipeline.verify.compare import compare


def demo(  # noqa: PLR0917 -- options, each by name
    once: Annotated[
        bool, typer.Option("--once", help="Load, sync, compare every mapping with the source, print, and end.")
    ] = False,
    tenancies: Annotated[int, typer.Option(min=1, help="Customers to generate; their sizes are skewed.")] = 50,
    users: Annotated[int, typer.Option(min=1, help="Users over all of them; other tables follow.")] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed generates the same data.")] = 7,
    changes_per_second: Annotated[float, typer.Option(min=0.1, help="Transactions that the traffic aims at.")] = 50.0,
    port: Annotated[int, typer.Option(help="Port of Dagster's UI; another one is taken when it is in use.")] = (
        DAGSTER_PORT
    ),
) -> None:
    """Try all of it: embedded Postgres and ClickHouse, generated tenancies, live traffic, Dagster with sensors on.

    Shows a live table until Ctrl-C, which stops everything and removes it. With --once there is no Dagster and no
    traffic; it exits with 7 if any mapping differs from its source.
    """
    with (
        ended_by_signal(),
        tempfile.TemporaryDirectory(prefix="dbsync-demo-", ignore_cleanup_errors=True) as directory,
    ):
        home = Path(directory)
        # An embedded Postgres of root's runs as another user, who has to reach its own directory.
        home.chmod(0o711)
        with embedded_services(home) as services:
            console.print("Postgres and ClickHouse run.")
            pipeline = Pipeline(_settings(services))
            _load(pipeline, DemoSize(tenancies=tenancies, users=users, seed=seed))
            initialise_pipeline(pipeline)
            console.print(f"Capture, tables and views are in place for {len(pipeline.catalog.mappings)} mappings.")
            if once:
                _prove(pipeline)
            else:
                _run(
                    pipeline,
                    home,
                    Traffic(_connector(pipeline), seed=seed, changes_per_second=changes_per_second),
                    port,
                )


def _settings(services: Services) -> Settings:
    """Databases of the demo's own, whatever the environment names: it writes into them."""
    return Settings(
        source_url=SecretStr(services.source_url),
        clickhouse_url=SecretStr(services.clickhouse_url),
        clickhouse_database="analytics",
        mappings=BUILTIN_MAPPINGS,
    )


def _connector(pipeline: Pipeline) -> Callable[[], psycopg.Connection]:
    return partial(source.connect, pipeline.settings.source_url.get_secret_value(), application_name="demo application")


def _load(pipeline: Pipeline, size: DemoSize) -> None:
    with pipeline.source("demo data") as connection, errors.status("generating the application's data"):
        create_schema(connection)
        generate(connection, size)
    console.print(f"The application has {size.users:,} users in {size.tenancies:,} tenancies.")


def _prove(pipeline: Pipeline) -> None:
    rows, failures = drain(pipeline, Selection())
    with pipeline.source("demo compare") as connection, pipeline.clickhouse() as clickhouse:
        comparisons = [
            compare(connection, clickhouse, pipeline.catalog, mapping, pipeline.clickhouse_names)
            for mapping in pipeline.catalog.mappings
        ]
    console.print(comparison_table(comparisons))
    for failure in failures:
        errors.print(failure, style="red", markup=False)
    differing = [entry.mapping_id for entry in comparisons if entry.differing]
    if differing or failures:
        raise DifferenceError(
            f"differing mappings: {', '.join(differing) or 'none'}; failed deliveries: {len(failures)}",
            "This is a defect of the pipeline; please report it with the seed.",
        )
    console.print(f"{rows:,} rows delivered; every mapping equals its source, row by row.")


def _run(pipeline: Pipeline, home: Path, traffic: Traffic, port: int) -> None:
    stop = threading.Event()
    writer = threading.Thread(target=traffic.run, args=(stop,), name="traffic")
    with errors.status("starting Dagster"), ExitStack() as starting:
        dagster = starting.enter_context(local_dagster(home, pipeline.settings, port))
        stack = starting.pop_all()
    with stack:
        place = place_of(pipeline.settings.clickhouse_url.get_secret_value())
        console.print(f"Dagster UI: [bold]{dagster.url}[/]")
        console.print(f"ClickHouse: [bold]http://{place}[/], database {pipeline.settings.clickhouse_database}")
        console.print(
            f"In another terminal: [bold]. {home / 'env'}[/]  and then dbsync status, dbsync query, psql …",
            soft_wrap=True,
        )
        writer.start()
        try:
            show_live(pipeline, traffic, dagster)
        finally:
            stop.set()
            writer.join()
