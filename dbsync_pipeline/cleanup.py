"""Removes deleted rows from ClickHouse when no older version of them can arrive any more.

An older version is in the hands of whoever read the source before the row was deleted there, so before its deletion
came into ClickHouse. When that is longer ago than a time, and no worker's view and no INSERT goes back as far, nobody
has one: who began later has read the source without the row. What comes back has a higher number, and what is delivered
again is what the source has now. A worker that has lost its session on the source, and was asleep for as long, is all
that is left; its rows would be found by verification.

The source's own purge does not depend on any of this, nor this on it.
"""

from dataclasses import dataclass, field

from dbsync_pipeline.destinations.clickhouse.cleaning import ClickHouseCleaning
from dbsync_pipeline.engine.snapshot import open_views
from dbsync_pipeline.errors import BehindError, DbsyncError
from dbsync_pipeline.pipeline import Pipeline

_SECONDS_A_DAY = 86_400


@dataclass
class Cleaned:
    """What a clean-up came to.

    Attributes:
        rows: deleted rows that were removed.
        left: why some were left for the next time, where they might have gone.
    """

    rows: int = 0
    left: list[str] = field(default_factory=list[str])


def clean_up(pipeline: Pipeline, *, days: float) -> Cleaned:
    """Remove the deleted rows that came into ClickHouse longer ago than some days, from tables where it is worth it.

    Nothing is raised: what fails is left for the next time, and named.
    """
    done = Cleaned()
    seconds = days * _SECONDS_A_DAY
    try:
        with pipeline.clickhouse() as clickhouse, pipeline.reading() as reading:
            # Its moment comes first: whoever begins after it has nothing older than what may go.
            cleaning = ClickHouseCleaning(clickhouse, pipeline.catalog, pipeline.clickhouse_names, seconds=seconds)
            _require_nobody(is_there=bool(open_views(reading, seconds=seconds)), what="a worker")
            _require_nobody(is_there=cleaning.is_inserting(), what="an INSERT")
            for mapping in pipeline.catalog.mappings:
                try:
                    done.rows += cleaning.clean(mapping)
                except DbsyncError as error:
                    # A table that cannot be written, or takes longer than an answer may: the others are none of that.
                    done.left.append(f"{mapping.mapping_id}: {error.what}")
    except DbsyncError as error:
        done.left.append(error.what)
    return done


def _require_nobody(*, is_there: bool, what: str) -> None:
    if is_there:
        raise BehindError(f"{what} that began before the deleted rows came in is still under way")
