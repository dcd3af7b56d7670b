"""`dbsync init`: creates or upgrades what the pipeline needs in the source and in ClickHouse."""

from collections.abc import Sequence
from typing import Annotated

import typer
from psycopg import sql

from dbsync_pipeline.capture import install
from dbsync_pipeline.capture.step import Step
from dbsync_pipeline.cli.output import console, progress_bar
from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def initialise(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL and change nothing.")] = False,
) -> None:
    """Create or upgrade the sync objects in the source, and tables and views in ClickHouse.

    May be run again at any time: it changes only what is missing or differs. Indexes are built without blocking the
    application's writes; a table locked by a long transaction is given up after a few tries, and named.
    """
    pipeline = Pipeline(load_settings())
    if dry_run:
        _print_plan(pipeline)
        return
    changes, follows = initialise_pipeline(pipeline)
    console.print(f"Ready: {len(pipeline.catalog.mappings)} mappings; {changes} steps carried out.")
    for line in follows:
        console.print(line, markup=False, soft_wrap=True)


def initialise_pipeline(pipeline: Pipeline) -> tuple[int, list[str]]:
    """Bring source and ClickHouse up to date; return the number of steps taken, and what has to be known of them."""
    # ClickHouse first: announcing a mapping in the source starts its delivery.
    with pipeline.source("init") as connection, pipeline.clickhouse() as clickhouse, progress_bar() as progress:
        target_steps = tables.plan(clickhouse, pipeline.catalog, pipeline.clickhouse_names)
        source_steps = install.plan(connection, pipeline.catalog, pipeline.columns)
        task = progress.add_task("init", total=len(target_steps) + len(source_steps))
        for step in target_steps:
            progress.update(task, description=f"ClickHouse: {step.title}", advance=1)
            clickhouse.execute(step.statement)
        install.apply(
            connection,
            source_steps,
            lambda step: progress.update(task, description=f"source: {step.title}", advance=1),
        )
    return len(target_steps) + len(source_steps), _follows(pipeline, target_steps, source_steps)


def _follows(
    pipeline: Pipeline, target_steps: Sequence[tables.ClickHouseStep], source_steps: Sequence[Step]
) -> list[str]:
    """Return what has to be known or done after the steps.

    A table that ClickHouse has lost is made again by its step, and nothing is pending for it.
    """
    made, announced = {step.title for step in target_steps}, {step.title for step in source_steps}
    lost = [
        f"mapping {mapping.mapping_id}: its table in ClickHouse is made anew, and empty; "
        f"`dbsync verify --mapping {mapping.mapping_id} --destination clickhouse --repair` fills it."
        for mapping in pipeline.catalog.mappings
        if f"table {mapping.mapping_id}" in made and f"mapping {mapping.mapping_id}" not in announced
    ]
    return [step.follows for step in source_steps if step.follows] + lost


def _print_plan(pipeline: Pipeline) -> None:
    with pipeline.source("init --dry-run") as connection, pipeline.clickhouse() as clickhouse:
        target_steps = tables.plan(clickhouse, pipeline.catalog, pipeline.clickhouse_names)
        source_steps = install.plan(connection, pipeline.catalog, pipeline.columns)
        for target_step in target_steps:
            typer.echo(f"-- ClickHouse: {target_step.title}\n{target_step.statement};\n")
        for step in source_steps:
            note = " (outside a transaction)" if step.concurrently else ""
            typer.echo(f"-- source: {step.title}{note}")
            for statement in step.statements:
                typer.echo(sql.Composed([statement]).as_string(connection).strip().removesuffix(";") + ";")
            typer.echo()
        for line in _follows(pipeline, target_steps, source_steps):
            typer.echo(f"-- {line}")
