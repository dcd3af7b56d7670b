"""The demo's tables: the live one, and the final comparison."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg import sql
from rich.box import SIMPLE
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dbsync_pipeline.cli.output import console
from dbsync_pipeline.demo.customers import CustomerDatabase
from dbsync_pipeline.demo.traffic import Traffic
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.embedded.dagster import EmbeddedDagster
from dbsync_pipeline.errors import DbsyncError, NotInstalledError, UnreachableError
from dbsync_pipeline.mappings.relation import column, row_filter, table_name
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.status import DestinationStatus, MappingStatus, read_destinations, read_status
from dbsync_pipeline.verify.differences import Verified

_REFRESH_SECONDS = 2.0
_PLAIN_REFRESH_SECONDS = 15.0


@dataclass(frozen=True)
class _Line:
    status: MappingStatus
    source_rows: int
    clickhouse_rows: int


@dataclass(frozen=True)
class _ExternalLine:
    customer: CustomerDatabase
    status: DestinationStatus | None
    source_rows: int
    rows: int | None


@dataclass(frozen=True)
class _View:
    lines: list[_Line]
    external: list[_ExternalLine]


def comparison_table(comparisons: Sequence[Verified]) -> Table:
    """Return the result of comparing every mapping with its source."""
    table = Table(title="source and ClickHouse, compared", title_justify="left", box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    for name in ("source", "ClickHouse", "rows that differ"):
        table.add_column(name, justify="right")
    for entry in comparisons:
        table.add_row(
            entry.mapping_id,
            f"{entry.source_rows:,}",
            f"{entry.destination_rows:,}",
            f"{entry.differing:,}",
            style="red" if entry.differing else None,
        )
    return table


def external_comparison_table(customers: Sequence[CustomerDatabase], comparisons: dict[str, list[Verified]]) -> Table:
    """Return the result of comparing every database of a customer with the source."""
    table = Table(title="source and customers' databases, compared", title_justify="left", box=SIMPLE)
    table.add_column("database", no_wrap=True)
    # In a narrow terminal this one is folded, so that every number can be read.
    table.add_column("of tenancy", overflow="fold")
    for name in ("mappings", "source", "there", "differing"):
        table.add_column(name, justify="right", no_wrap=True)
    for customer in customers:
        found = comparisons[customer.destination_id]
        differing = sum(1 for entry in found if entry.differing)
        table.add_row(
            customer.database,
            customer.tenancy_id,
            f"{len(found)}",
            f"{sum(entry.source_rows for entry in found):,}",
            f"{sum(entry.destination_rows for entry in found):,}",
            f"{differing}",
            style="red" if differing else None,
        )
    return table


def show_live(
    pipeline: Pipeline, traffic: Traffic, dagster: EmbeddedDagster, customers: Sequence[CustomerDatabase]
) -> None:
    """Show the live tables until interrupted; where there is no terminal, print them now and then."""
    if not console.is_terminal:
        while True:
            console.print(_live_tables(_read(pipeline, customers), traffic.transactions))
            _wait(_PLAIN_REFRESH_SECONDS, dagster)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            live.update(_live_tables(_read(pipeline, customers), traffic.transactions), refresh=True)
            _wait(_REFRESH_SECONDS, dagster)


def _wait(seconds: float, dagster: EmbeddedDagster) -> None:
    dagster.require_alive()
    time.sleep(seconds)


def _read(pipeline: Pipeline, customers: Sequence[CustomerDatabase]) -> _View | str:
    """Return what the tables show, or why there is nothing right now."""
    try:
        with pipeline.source("demo table") as connection, pipeline.clickhouse() as clickhouse:
            status = read_status(connection, pipeline.catalog, pipeline.columns).mappings
            waiting = read_destinations(connection, pipeline.catalog, pipeline.columns)
            here, there = _source_counts(pipeline, connection), _clickhouse_counts(pipeline, clickhouse)
            external = [
                _ExternalLine(
                    customer,
                    waiting.get(customer.destination_id),
                    sum(
                        rows
                        for mapping_id, rows in _source_counts(pipeline, connection, customer.tenancy_id).items()
                        if customer.mappings is None or mapping_id in customer.mappings
                    ),
                    _external_count(pipeline, customer),
                )
                for customer in customers
            ]
    except UnreachableError as error:
        return error.what
    lines = [
        _Line(entry, here[entry.mapping_id], there[entry.mapping_id]) for entry in status if entry.kind == "clickhouse"
    ]
    return _View(lines, external)


def _source_counts(pipeline: Pipeline, connection: psycopg.Connection, tenancy_id: str | None = None) -> dict[str, int]:
    # Rows that a deleted tenancy left behind in the source are none that a copy should have.
    living = sql.SQL("join dbsync.tenancy t on t.deleted_at is null {} and t.tenancy_id =").format(
        sql.SQL("" if tenancy_id is None else "and t.tenancy_id = {}").format(sql.Literal(tenancy_id))
    )
    counts = [
        sql.SQL("select {}, count(*) from {} as source {} {} where {}").format(
            sql.Literal(mapping.mapping_id),
            table_name(mapping.source),
            living,
            column(mapping.tenancy.column or ""),
            row_filter(mapping),
        )
        if not mapping.has_placement
        else sql.SQL("select {0}, count(*) from dbsync.placement p {1} p.tenancy_id where mapping_id = {0}").format(
            sql.Literal(mapping.mapping_id), living
        )
        for mapping in pipeline.catalog.mappings
    ]
    return dict(connection.execute(sql.SQL(" union all ").join(counts)).fetchall())


def _external_count(pipeline: Pipeline, customer: CustomerDatabase) -> int | None:
    """Return how many rows a customer's database holds; None where it does not say."""
    counts = [
        sql.SQL("select count(*) from {}").format(pipeline.external_tables.table(mapping))
        for mapping in pipeline.catalog.mappings
        if customer.mappings is None or mapping.mapping_id in customer.mappings
    ]
    try:
        with closing(pipeline.external_session(customer.url)) as session, session.turn() as connection:
            return sum(rows for (rows,) in connection.execute(sql.SQL(" union all ").join(counts)))
    except NotInstalledError:
        return 0
    except DbsyncError:
        return None


def _clickhouse_counts(pipeline: Pipeline, clickhouse: ClickHouse) -> dict[str, int]:
    counts = [
        f"select '{mapping.mapping_id}', count() from {pipeline.clickhouse_names.view(mapping)}"  # noqa: S608 -- our names
        for mapping in pipeline.catalog.mappings
    ]
    return dict(clickhouse.query(" union all ".join(counts)))


def _live_tables(view: _View | str, transactions: int) -> Group:
    table = Table(
        title=f"live: {transactions:,} transactions of the application so far", title_justify="left", box=SIMPLE
    )
    table.add_column("mapping", no_wrap=True)
    for name in ("source", "ClickHouse", "pending", "lag", "failing"):
        table.add_column(name, justify="right")
    if isinstance(view, str):
        table.caption = view
        return Group(table)
    for line in view.lines:
        table.add_row(
            line.status.mapping_id,
            f"{line.source_rows:,}",
            f"{line.clickhouse_rows:,}",
            f"{line.status.waiting_for_sequencer + line.status.waiting_for_delivery:,}",
            f"{line.status.lag_seconds:.1f} s",
            f"{line.status.failing:,}",
            style="red" if line.status.failing else None,
        )
    failures = [
        Text(f"{line.customer.database}: {line.status.last_error}", style="red")
        for line in view.external
        if line.status is not None and line.status.last_error is not None
    ]
    return Group(table, _external_table(view.external), *failures)


def _external_table(lines: list[_ExternalLine]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("customer's database", no_wrap=True)
    for name in ("source", "there", "pending", "lag", "failing"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        status = line.status
        failing = len(status.failing) if status else 0
        table.add_row(
            line.customer.database,
            f"{line.source_rows:,}",
            "?" if line.rows is None else f"{line.rows:,}",
            f"{status.waiting_for_delivery:,}" if status else "0",
            f"{status.lag_seconds:.1f} s" if status else "0.0 s",
            f"{failing}",
            style="red" if failing else None,
        )
    return table
