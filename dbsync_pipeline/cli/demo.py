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
from dbsync_pipeline.cli.demo_table import comparison_table, external_comparison_table, show_live
from dbsync_pipeline.cli.initialise import initialise_pipeline
from dbsync_pipeline.cli.local import DAGSTER_PORT, ended_by_signal, local_dagster
from dbsync_pipeline.cli.output import console, errors
from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.demo.customers import CustomerDatabase, create_customer_databases
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.demo.traffic import Traffic
from dbsync_pipeline.destinations.clickhouse.client import place_of
from dbsync_pipeline.destinations.configured import add_database
from dbsync_pipeline.destinations.postgres import address
from dbsync_pipeline.embedded.services import Services, embedded_services
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.errors import DifferenceError
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import BUILTIN_MAPPINGS, Settings
from dbsync_pipeline.verify.differences import Verified
from dbsync_pipeline.verify.rounds import Choice, verify

_DEFECT = "This is a defect of the pipeline; please report it with the seed."


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

    Three tenancies have databases of their own. Shows live tables until Ctrl-C, which stops everything and removes it.
    With --once there is no Dagster and no traffic; it exits with 7 if any copy of a mapping differs from its source.
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
            customers = _add_customer_databases(pipeline)
            if once:
                _prove(pipeline, customers)
            else:
                traffic = Traffic(_connector(pipeline), seed=seed, changes_per_second=changes_per_second)
                _run(pipeline, home, traffic, port, customers)


def _settings(services: Services) -> Settings:
    """Databases of the demo's own, whatever the environment names: it writes into them."""
    return Settings(
        source_url=SecretStr(services.source_url),
        clickhouse_url=SecretStr(services.clickhouse_url),
        clickhouse_database="analytics",
        mappings=BUILTIN_MAPPINGS,
        # The customers' databases are on this machine.
        external_private_addresses=True,
    )


def _connector(pipeline: Pipeline) -> Callable[[], psycopg.Connection]:
    return partial(source.connect, pipeline.settings.source_url.get_secret_value(), application_name="demo application")


def _load(pipeline: Pipeline, size: DemoSize) -> None:
    with pipeline.source("demo data") as connection, errors.status("generating the application's data"):
        create_schema(connection)
        generate(connection, size)
    console.print(f"The application has {size.users:,} users in {size.tenancies:,} tenancies.")


def _add_customer_databases(pipeline: Pipeline) -> list[CustomerDatabase]:
    with pipeline.source("demo customers") as connection:
        customers = create_customer_databases(connection, pipeline.settings.source_url.get_secret_value())
        for entry in customers:
            add_database(connection, entry.tenancy_id, entry.name, entry.url, entry.mappings)
    owners = len({entry.tenancy_id for entry in customers})
    console.print(f"{owners} tenancies have {len(customers)} databases of their own.")
    return customers


def _prove(pipeline: Pipeline, customers: list[CustomerDatabase]) -> None:
    drained = drain(pipeline, Selection())
    for failure in drained.failures:
        errors.print(failure, style="red", markup=False)
    if drained.failures:
        raise DifferenceError(f"{len(drained.failures)} deliveries failed", _DEFECT)
    with errors.status("comparing every copy with its source"):
        comparisons = _compare(pipeline)
    console.print(comparison_table(comparisons[CLICKHOUSE]))
    console.print(external_comparison_table(customers, comparisons))
    differing = [entry.mapping_id for found in comparisons.values() for entry in found if entry.differing]
    if differing:
        raise DifferenceError(f"differing mappings: {', '.join(dict.fromkeys(differing))}", _DEFECT)
    console.print(f"{drained.rows:,} rows delivered; every mapping equals its source, row by row, in every copy.")


def _compare(pipeline: Pipeline) -> dict[str, list[Verified]]:
    """Return what was compared in each destination."""
    found: dict[str, list[Verified]] = {}
    for entry in verify(pipeline, Choice()):
        if entry.error:
            raise DifferenceError(f"{entry.destination_id} could not be compared: {entry.error}", _DEFECT)
        found.setdefault(entry.destination_id, []).append(entry)
    return found


def _run(pipeline: Pipeline, home: Path, traffic: Traffic, port: int, customers: list[CustomerDatabase]) -> None:
    stop = threading.Event()
    writer = threading.Thread(target=traffic.run, args=(stop,), name="traffic")
    with errors.status("starting Dagster"), ExitStack() as starting:
        urls = {f"{entry.database.upper()}_URL": entry.url for entry in customers}
        dagster = starting.enter_context(
            local_dagster(home, pipeline.settings, port, embedded_postgres=True, others=urls)
        )
        stack = starting.pop_all()
    with stack:
        place = place_of(pipeline.settings.clickhouse_url.get_secret_value())
        console.print(f"Dagster UI: [bold]{dagster.url}[/]")
        console.print(f"ClickHouse: [bold]http://{place}[/], database {pipeline.settings.clickhouse_database}")
        console.print(f"Databases of customers' own: {', '.join(_shown(entry) for entry in customers)}", soft_wrap=True)
        console.print(
            f"In another terminal: [bold]. {home / 'env'}[/]  and then dbsync status, dbsync query, "
            f'psql "$DBSYNC_SOURCE_URL", psql "${next(iter(urls))}" …',
            soft_wrap=True,
        )
        writer.start()
        try:
            show_live(pipeline, traffic, dagster, customers)
        finally:
            stop.set()
            writer.join()


def _shown(customer: CustomerDatabase) -> str:
    return f"[bold]{address.shown(customer.url)}[/]"
