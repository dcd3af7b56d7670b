"""Attacks I1: when a sequence id is visible, every lower one that will ever be visible already is."""

import psycopg
import pytest

from dbsync_pipeline_tests.harness import Harness, init_source
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedSequencer, WatchedWorker, kill

BEYOND_DOUBLES = 2**53


def marks(pipeline: Harness) -> tuple[int, int]:
    """Return how far the order is said to be complete, and the highest id that is visible."""
    complete = pipeline.value("select last_sequence_id from dbsync.sequencer")
    highest = pipeline.value('select coalesce(max("sequenceId"), 0) from "ProjectUser"')
    return complete, highest


@pytest.mark.parametrize("start", [1, BEYOND_DOUBLES - 2, 2**62])
def test_a_second_sequencer_gives_out_no_id_while_the_first_has_not_committed(pipeline: Harness, start: int) -> None:
    pipeline.admin.execute("select setval('dbsync.sequence_id', %s)", [start])
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(6)]
    first = Steps()
    slow = WatchedSequencer(pipeline, batch_size=3, tell=first.wait)
    first.start(slow.sequencer.run_pass)
    while pipeline.value("select last_value from dbsync.sequence_id") == start:
        first.until("commit")

    other = WatchedSequencer(pipeline, batch_size=3)
    assert other.sequencer.run_pass().locked_out
    assert marks(pipeline)[1] == 0
    pipeline.sync()
    first.finish()

    while other.sequencer.run_pass().handled:
        pass
    pipeline.sync()
    assert {row["id"] for row in pipeline.view("users")} == set(users)
    assert pipeline.checkpoint("users", tenancy) == marks(pipeline)[0] == marks(pipeline)[1]
    slow.close()
    other.close()


def test_what_is_read_at_any_moment_of_numbering_has_no_gap(pipeline: Harness) -> None:
    """A worker looks between every two statements of a sequencer that numbers two rows at a time."""
    tenancy = pipeline.app.tenancy()
    users = {pipeline.app.user(tenancy, email=f"{number}@example.com") for number in range(5)}
    reader = WatchedWorker(pipeline)
    seen: dict[int, set[object]] = {}

    def look(boundary: str) -> None:
        reader.cycle.run_once()
        mark, highest = marks(pipeline)
        assert highest <= mark or mark == 0
        below = {user for (user,) in pipeline.rows('select "projectUserId" from "ProjectUser" where "sequenceId" > 0')}
        for earlier, members in seen.items():
            joined = pipeline.rows(
                'select "projectUserId" from "ProjectUser" where "sequenceId" <= %s and not "projectUserId" = any(%s)',
                *(earlier, list(members)),
            )
            assert joined == [], f"{boundary}: joined below {earlier}"
        seen[mark] = below

    sequencer = WatchedSequencer(pipeline, batch_size=2, tell=look)
    while sequencer.sequencer.run_pass().rows:
        pass
    reader.cycle.run_once()
    assert {row["id"] for row in pipeline.view("users")} == users
    assert len(seen) > 5
    pipeline.assert_equal()
    sequencer.close()
    reader.close()


def test_ids_of_a_sequencer_that_died_are_never_waited_for(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    dying = Steps()
    sequencer = WatchedSequencer(pipeline, tell=dying.wait)
    dying.start(sequencer.sequencer.run_pass)
    while not pipeline.value("select is_called from dbsync.sequence_id"):
        dying.until("commit")
    kill(pipeline, sequencer.sessions)
    dying.abandon()
    assert isinstance(dying.error, psycopg.OperationalError)
    pipeline.assert_synced()
    assert pipeline.value('select "sequenceId" from "ProjectUser"') > 1


def test_a_transaction_open_across_cycles_is_delivered_when_it_commits(pipeline: Harness) -> None:
    """What becomes visible after everything else still gets a higher id; nothing, not even `init`, waits for it."""
    tenancy = pipeline.app.tenancy()
    kept, gone = pipeline.app.user(tenancy, displayName="old"), pipeline.app.user(tenancy)
    pipeline.drain()
    with pipeline.write() as open_transaction:
        open_transaction.execute(
            'update "ProjectUser" set "displayName" = %s where "projectUserId" = %s', ["new", kept]
        )
        open_transaction.execute('delete from "ProjectUser" where "projectUserId" = %s', [gone])
        for number in range(3):
            pipeline.app.user(tenancy, displayName=f"meanwhile {number}")
            pipeline.drain()
            assert {row["display_name"] for row in pipeline.view("users")} >= {"old", f"meanwhile {number}"}
        pipeline.admin.execute("set lock_timeout = '3s'")
        init_source(pipeline.pipeline, pipeline.admin)
        before = marks(pipeline)[0]
    pipeline.assert_synced()
    assert pipeline.value('select "sequenceId" from "ProjectUser" where "projectUserId" = %s', kept) > before
    assert {row["display_name"] for row in pipeline.view("users")} == {"new", *(f"meanwhile {n}" for n in range(3))}
