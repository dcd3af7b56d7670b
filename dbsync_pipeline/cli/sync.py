"""`dbsync sync`: delivers everything that is pending now, and ends."""

from collections import Counter
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from dbsync_pipeline.cli.output import console, errors, progress_bar
from dbsync_pipeline.engine.cycle import Selection, SyncCycle, SyncResult
from dbsync_pipeline.errors import BadRowError
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import read_status, total_waiting

_ERRORS_SHOWN = 5


def sync(
    tenancy: Annotated[list[str] | None, typer.Option(help="Only this tenancy; may be repeated.")] = None,
    mapping: Annotated[list[str] | None, typer.Option(help="Only this mapping; may be repeated.")] = None,
) -> None:
    """Number what has changed, and deliver everything pending now.

    Exits with 0 when all of it was delivered, with 6 when a tenancy's mapping failed; the others are delivered all the
    same. Works beside running workers. Only what a person selects is delivered; numbering is always for all.
    """
    pipeline = Pipeline(load_settings())
    for mapping_id in mapping or ():
        pipeline.catalog.mapping(mapping_id)
    rows, failures = drain(pipeline, Selection(tenancy or None, mapping or None))
    console.print(f"Delivered {rows:,} rows.")
    if failures:
        for message in failures[:_ERRORS_SHOWN]:
            errors.print(message, style="red", markup=False)
        raise BadRowError(
            f"{len(failures)} of the pending (tenancy, mapping) pairs failed",
            "Correct the rows named above; they are tried again by themselves, or with `dbsync sync`.",
        )


def drain(pipeline: Pipeline, selection: Selection) -> tuple[int, list[str]]:
    """Sequence and sync until nothing is waiting; return the rows delivered and the errors of what failed."""
    with ExitStack() as stack:
        sequencer = stack.enter_context(pipeline.sequencer())
        worker = stack.enter_context(pipeline.clickhouse_worker(selection))
        connection = stack.enter_context(pipeline.source("sync status"))
        progress = stack.enter_context(progress_bar())
        waiting = total_waiting(read_status(connection, pipeline.catalog, pipeline.columns))
        task = progress.add_task("numbering", total=waiting)
        _number(sequencer, progress, task)
        progress.update(task, description="delivering", completed=0)
        worker.retry_now()
        return _deliver(worker, progress, task)


def _number(sequencer: Sequencer, progress: Progress, task: TaskID) -> None:
    while True:
        result = sequencer.run_pass()
        progress.advance(task, result.rows)
        if result.errors:
            raise BadRowError("; ".join(f"numbering {table}: {what}" for table, what in result.errors.items()))
        if not result.handled:
            return


def _deliver(worker: SyncCycle, progress: Progress, task: TaskID) -> tuple[int, list[str]]:
    delivered: Counter[str] = Counter()
    failures: dict[tuple[str, str], str] = {}
    while results := worker.run_once():
        for result in results:
            _note(result, delivered, failures)
        progress.update(task, completed=delivered.total())
    return delivered.total(), list(failures.values())


def _note(result: SyncResult, delivered: Counter[str], failures: dict[tuple[str, str], str]) -> None:
    delivered[result.item.mapping_id] += result.delivery.upserted + result.delivery.deleted
    key = (str(result.item.tenancy_id), result.item.mapping_id)
    if result.delivery.error is not None:
        failures[key] = result.delivery.error
    else:
        failures.pop(key, None)
