"""The demo's tables: the live one, and the final comparison."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from rich.box import SIMPLE
from rich.live import Live
from rich.table import Table

from dbsync_pipeline.cli.output import console
from dbsync_pipeline.demo.traffic import Traffic
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.embedded.dagster import EmbeddedDagster
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.mappings.relation import column, row_filter, table_name
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.status import MappingStatus, read_status
from dbsync_pipeline.verify.compare import Comparison

_REFRESH_SECONDS = 2.0
_PLAIN_REFRESH_SECONDS = 15.0


@dataclass(frozen=True)
class _Line:
    status: MappingStatus
    source_rows: int
    clickhouse_rows: int


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Return the result of comparing every mapping with its source."""
    table = Table(title="source and ClickHouse, compared", title_justify="left", box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    for name in ("source", "ClickHouse", "tenancies that differ"):
        table.add_column(name, justify="right")
    for entry in comparisons:
        table.add_row(
            entry.mapping_id,
            f"{entry.source_rows:,}",
            f"{entry.destination_rows:,}",
            f"{len(entry.differing):,}",
            style="red" if entry.differing else None,
        )
    return table


def show_live(pipeline: Pipeline, traffic: Traffic, dagster: EmbeddedDagster) -> None:
    """Show the live table until interrupted; where there is no terminal, print it now and then."""
    if not console.is_terminal:
        while True:
            console.print(_live_table(_read(pipeline), traffic.transactions))
            _wait(_PLAIN_REFRESH_SECONDS, dagster)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_live_table(_read(pipeline), traffic.transactions), refresh=True)
            _wait(_REFRESH_SECONDS, dagster)


def _wait(seconds: float, dagster: EmbeddedDagster) -> None:
    dagster.require_alive()
    time.sleep(seconds)


def _read(pipeline: Pipeline) -> list[_Line] | str:
    """Return one line a mapping, or why there is none right now."""
    try:
        with pipeline.source("demo table") as connection, pipeline.clickhouse() as clickhouse:
            status = read_status(connection, pipeline.catalog, pipeline.columns)
            here, there = _source_counts(pipeline, connection), _clickhouse_counts(pipeline, clickhouse)
    except UnreachableError as error:
        return error.what
    return [_Line(entry, here[entry.mapping_id], there[entry.mapping_id]) for entry in status]


def _source_counts(pipeline: Pipeline, connection: psycopg.Connection) -> dict[str, int]:
    # Rows that a deleted tenancy left behind in the source are none that a copy should have.
    living = sql.SQL("join dbsync.tenancy t on t.deleted_at is null and t.tenancy_id =")
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


def _clickhouse_counts(pipeline: Pipeline, clickhouse: ClickHouse) -> dict[str, int]:
    counts = [
        f"select '{mapping.mapping_id}', count() from {pipeline.clickhouse_names.view(mapping)}"  # noqa: S608 -- our names
        for mapping in pipeline.catalog.mappings
    ]
    return dict(clickhouse.query(" union all ".join(counts)))


def _live_table(lines: list[_Line] | str, transactions: int) -> Table:
    title = f"live: {transactions:,} transactions of the application so far"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    for name in ("source", "ClickHouse", "pending", "lag", "failing"):
        table.add_column(name, justify="right")
    if isinstance(lines, str):
        table.caption = lines
        return table
    for line in lines:
        table.add_row(
            line.status.mapping_id,
            f"{line.source_rows:,}",
            f"{line.clickhouse_rows:,}",
            f"{line.status.waiting_for_sequencer + line.status.waiting_for_delivery:,}",
            f"{line.status.lag_seconds:.1f} s",
            f"{line.status.failing_tenancies:,}",
            style="red" if line.status.failing_tenancies else None,
        )
    return table
