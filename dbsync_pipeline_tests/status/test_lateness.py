"""When changes that have no number yet count as late."""

from dataclasses import replace

import pytest

from dbsync_pipeline.lateness import Standstill, behind_seconds
from dbsync_pipeline.status import MappingStatus, Status

USERS = MappingStatus("users", "clickhouse", 1, 3, 0, 0, 2.0, 0, None, 0, 0, None, 0, None)
WAITING = Status([USERS], [], 7, False, [], [])


def test_changes_are_late_when_no_number_is_given_out_while_they_wait() -> None:
    first = Standstill().then(WAITING, 1_000)
    assert first.seconds(1_000) == 0
    assert first.then(WAITING, 1_300).seconds(1_300) == 300
    assert behind_seconds(USERS, 300) == 300
    assert behind_seconds(replace(USERS, waiting_for_sequencer=0), 300) == 2.0


@pytest.mark.parametrize(
    "change",
    [
        {"sequence_id": 8},
        {"numbering_paused": True},
        {"mappings": [replace(USERS, waiting_for_sequencer=0)]},
    ],
)
def test_what_moves_is_paused_or_done_stands_still_for_no_time(change: dict[str, object]) -> None:
    seen = Standstill().then(WAITING, 1_000).then(replace(WAITING, **change), 1_300)
    assert seen.seconds(1_300) == 0
    assert Standstill.model_validate_json(seen.model_dump_json()) == seen
