"""Nothing is reported while writers, the sequencer and workers are at it, and damage is found all the same."""

import random
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline import completeness, source
from dbsync_pipeline.completeness import wait_until
from dbsync_pipeline.demo.application.mix import Application as DemoApplication
from dbsync_pipeline.demo.traffic import Traffic
from dbsync_pipeline.errors import BehindError, DestinationError
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.verify.rounds import Choice
from dbsync_pipeline_tests.harness import External, Harness
from dbsync_pipeline_tests.verify.looking import assert_mended, differences, verified

_ROUNDS = 3


@contextmanager
def running(*loops: Callable[[threading.Event], None]) -> Generator[None]:
    """Run loops in threads; whatever one of them raises is raised here at the end."""
    stop = threading.Event()
    raised: list[Exception] = []

    def run(loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(stop)
        except Exception as error:  # noqa: BLE001 -- raised again by whoever waits
            raised.append(error)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert raised == []


def numbering(pipeline: Pipeline) -> Callable[[threading.Event], None]:
    def loop(stop: threading.Event) -> None:
        with pipeline.sequencer() as sequencer:
            sequencer.run(stop=stop, max_seconds=600, idle_seconds=600, report=lambda result: None)

    return loop


def delivering(pipeline: Pipeline, destination_id: str | None = None) -> Callable[[threading.Event], None]:
    def loop(stop: threading.Event) -> None:
        opened = pipeline.clickhouse_worker() if destination_id is None else pipeline.external_worker(destination_id)
        with opened as worker:
            worker.run(stop=stop, max_seconds=600, idle_seconds=600, report=lambda results: None)

    return loop


@pytest.fixture
def populated(pipeline: Harness) -> Harness:
    rng = random.Random(5)
    with pipeline.write() as db:
        demo = DemoApplication(db)
        for _ in range(3):
            demo.create_project(rng)
        for _ in range(150):
            demo.random_transaction(rng)
    return pipeline


def test_no_false_alarm_and_real_damage_is_found(populated: Harness) -> None:
    pipeline = populated
    tenancy = pipeline.value('select id from "Tenancy" order by id limit 1')
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    traffic = Traffic(lambda: source.connect(pipeline.url), seed=3, changes_per_second=100)
    found = []
    waiting = 0
    with running(
        traffic.run,
        numbering(pipeline.pipeline),
        delivering(pipeline.pipeline),
        delivering(pipeline.pipeline),
        delivering(pipeline.pipeline, external.destination_id),
    ):
        for _ in range(_ROUNDS):
            for entry in verified(pipeline, patience_seconds=60):
                found += entry.differences
                waiting += entry.waiting
        # The traffic may send all the teams it knows again before anybody looks; it knows nothing of this one.
        quiet = pipeline.app.tenancy()
        pipeline.app.team(quiet)
        with source.session(pipeline.url) as connection:
            wait_until(connection, pipeline.catalog, pipeline.pipeline.columns, str(quiet), timeout_seconds=60)
        assert len(pipeline.view("teams", quiet)) == 1
        pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('teams'))}")
        damaged = verified(pipeline, patience_seconds=60)
    assert traffic.transactions > 0
    assert waiting > 0, "no round met anything on its way: too little was going on to prove anything"
    assert found == []
    assert [(entry.destination_id, entry.mapping_id) for entry in damaged if entry.differing] == [
        ("clickhouse", "teams")
    ]
    missing = [difference for entry in damaged for difference in entry.differences]
    assert {difference.kind for difference in missing} == {"missing"}
    assert str(quiet) in {difference.tenancy for difference in missing}
    pipeline.drain()
    assert_mended(pipeline)


def test_waiting_for_ones_own_writes(populated: Harness) -> None:
    pipeline = populated
    traffic = Traffic(lambda: source.connect(pipeline.url), seed=3, changes_per_second=100)
    with (
        running(traffic.run, numbering(pipeline.pipeline), delivering(pipeline.pipeline)),
        source.session(pipeline.url) as connection,
    ):
        while not traffic.transactions:
            connection.execute("select pg_sleep(0.01)")
        # The traffic knows nothing of this one, and takes nothing away from it.
        tenancy = pipeline.app.tenancy()
        external = pipeline.configure_external(tenancy)
        _wait_for_writes(pipeline, connection, tenancy, external)


def _wait_for_writes(pipeline: Harness, connection: psycopg.Connection, tenancy: UUID, external: External) -> None:
    def waited(**options: object) -> int:
        chosen = {"timeout_seconds": 60, **options}
        return wait_until(connection, pipeline.catalog, pipeline.pipeline.columns, str(tenancy), **chosen)

    with running(delivering(pipeline.pipeline, external.destination_id)):
        for number in range(5):
            user = pipeline.app.user(tenancy, displayName=f"number {number}")
            complete = waited()
            for copy in (pipeline.view("users", tenancy), external.view("users")):
                assert [row["display_name"] for row in copy if row["id"] == user] == [f"number {number}"]
            # A change of another table, and a deletion.
            pipeline.app.channel(tenancy, user, value=f"{number}@example.com", isPrimary="TRUE")
            assert waited(destination_id="clickhouse") >= complete
            assert {row["primary_email"] for row in pipeline.view("users") if row["id"] == user} == {
                f"{number}@example.com"
            }
            pipeline.app.delete("ContactChannel", projectUserId=user)
            pipeline.app.delete("ProjectUser", projectUserId=user)
            waited()
            assert [row for row in pipeline.view("users") if row["id"] == user] == []
            assert [row for row in external.view("users") if row["id"] == user] == []


def test_waiting_ends_with_what_it_waits_for(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)

    def waited(**options: object) -> int:
        chosen = {"timeout_seconds": 0, **options}
        return wait_until(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns, str(tenancy), **chosen)

    with pytest.raises(BehindError, match="wait for the sequencer"):
        waited()
    with pytest.raises(BehindError, match="the last sequence id is 0, not 7"):
        waited(sequence_id=7)
    pipeline.sequence()
    with pytest.raises(BehindError, match="users in clickhouse has reached 0"):
        waited()
    pipeline.drain()
    assert waited() == pipeline.value("select last_sequence_id from dbsync.sequencer")
    assert waited(sequence_id=1, destination_id="clickhouse") == 1
    with pytest.raises(DestinationError, match="no destination 'elsewhere'"):
        waited(destination_id="elsewhere")


def test_waiting_for_a_destination_that_is_new_or_changed(pipeline: Harness) -> None:
    """Nothing is pending for it before the sequencer has announced it, and it holds nothing."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    external = pipeline.configure_external(tenancy)

    def waited(destination_id: str | None) -> int:
        return wait_until(
            pipeline.admin,
            pipeline.catalog,
            pipeline.pipeline.columns,
            str(tenancy),
            destination_id=destination_id,
            timeout_seconds=0,
        )

    for change in (None, "mappings = '{users}'", "enabled = false", "enabled = true"):
        if change is not None:
            pipeline.admin.execute(f"update dbsync.destination set {change} where kind = 'postgres'")
        if change == "enabled = false":
            waited(None)
            continue
        for destination_id in (external.destination_id, None):
            with pytest.raises(BehindError, match=rf"{external.destination_id} is new or was changed"):
                waited(destination_id)
        waited("clickhouse")
        pipeline.sequence()
        with pytest.raises(BehindError, match=rf"in {external.destination_id} has reached 0"):
            waited(None)
        pipeline.drain()
        assert waited(None) == pipeline.value("select last_sequence_id from dbsync.sequencer")


def test_waiting_for_more_rows_than_are_noted(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, no more than some are in memory at once; they are noted as soon as they are few."""
    monkeypatch.setattr(completeness, "_MOST_NOTED", 3)
    pipeline.configure(sequencer_batch_size=2)
    tenancy = pipeline.app.tenancy()
    pipeline.drain()
    for _ in range(9):
        pipeline.app.user(tenancy)
    noted: list[int] = []
    note = completeness._Numbering._dirty

    def noting(self: completeness._Numbering, mappings: Sequence[SyncMapping]) -> list[tuple[object, int | None]]:
        found = note(self, mappings)
        noted.append(len(found))
        return found

    def pass_and_deliver(_: float) -> None:
        pipeline._sequencer.run_pass()
        pipeline.sync()

    monkeypatch.setattr(completeness._Numbering, "_dirty", noting)
    complete = wait_until(
        pipeline.admin,
        pipeline.catalog,
        pipeline.pipeline.columns,
        str(tenancy),
        timeout_seconds=60,
        sleep=pass_and_deliver,
    )
    assert complete == pipeline.value('select max("sequenceId") from "ProjectUser"')
    assert max(noted) == 4
    assert pipeline.value('select count(*) from "ProjectUser" where "shouldUpdateSequenceId"') == 0
    pipeline.assert_equal("users")


def test_clickhouse_says_how_far_it_is_complete(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    progress = f"select mapping_id, sequence_id from {pipeline.names.progress} where tenancy_id = '{tenancy}'"
    assert dict(pipeline.clickhouse.query(progress))["users"] == pipeline.checkpoint("users", tenancy)
    assert differences(pipeline) == []
    assert verified(pipeline, Choice(mappings=["teams"]))[0].source_rows == 0
