"""Rounds: few changes each of many external databases, delivered together, and everything that is left to a worker."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any
from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline.destinations.postgres.together import MOST_BYTES
from dbsync_pipeline.engine import rounds
from dbsync_pipeline.engine.rounds import Begun, Rounds
from dbsync_pipeline.engine.snapshot import Snapshot
from dbsync_pipeline.pending.due import destinations_due
from dbsync_pipeline.pending.tally import read_delivered
from dbsync_pipeline.retention import purge
from dbsync_pipeline_tests.harness import External, Harness
from dbsync_pipeline_tests.proxy import Proxy
from dbsync_pipeline_tests.serving import Serving, serving


@dataclass
class Scene:
    """A tenancy with a user in each of three databases, which are complete and whose sessions rest."""

    serving: Serving
    copies: list[External]
    users: list[UUID]

    @property
    def tenancies(self) -> list[UUID]:
        return [copy.tenancy for copy in self.copies]

    def begin(self) -> Begun:
        return self.serving.begin(copy.destination_id for copy in self.copies)

    def rename_all(self, name: str) -> None:
        self.serving.pipeline.app.run('update "ProjectUser" set "displayName" = %s', name)


@pytest.fixture
def scene(pipeline: Harness) -> Generator[Scene]:
    copies = [pipeline.configure_external(pipeline.app.tenancy(), name) for name in "abc"]
    users = [pipeline.app.user(copy.tenancy) for copy in copies]
    with serving(pipeline) as run:
        run.drain(copies)
        yield Scene(run, copies, users)


def assert_equal(copies: Iterable[External]) -> None:
    for copy in copies:
        copy.assert_equal()


def test_few_changes_of_many_go_together(pipeline: Harness, scene: Scene) -> None:
    """Rows that are new, changed and gone, of several mappings; reported and counted as any others."""
    scene.rename_all("changed")
    pipeline.app.user(scene.tenancies[0])
    pipeline.app.team(scene.tenancies[1])
    pipeline.app.delete("ProjectUser", projectUserId=scene.users[2])
    before = read_delivered(pipeline.admin)["users", "postgres"]
    assert scene.serving.drain(scene.copies) == []
    assert_equal(scene.copies)
    assert scene.copies[2].view("users") == []
    after = read_delivered(pipeline.admin)["users", "postgres"]
    assert (after.upserted - before.upserted, after.deleted - before.deleted) == (3, 1)
    found = {
        (entry.destination_id, entry.item.mapping_id): entry.delivery
        for entry in scene.serving.results
        if entry.delivery.upserted + entry.delivery.deleted
    }
    users = found[scene.copies[0].destination_id, "users"]
    assert (users.upserted, users.deleted, users.complete, users.error) == (2, 0, True, None)
    assert users.bytes_sent > 0
    assert users.reached == scene.copies[0].checkpoint("users")
    assert found[scene.copies[2].destination_id, "users"].deleted == 1


def test_a_round_reads_the_source_once(pipeline: Harness, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many databases it serves: a claim, a view, and two queries of each mapping."""
    scene.rename_all("changed")
    pipeline.sequence()
    statements: list[object] = []
    execute = psycopg.RawCursor.execute

    def watched(self: psycopg.RawCursor, query: bytes, *given: object, **options: bool) -> psycopg.RawCursor:
        statements.append(query)
        return execute(self, query, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(psycopg.RawCursor, "execute", watched)
    begun = scene.begin()
    assert len(begun.sending) == len(scene.copies)
    assert len(statements) == len(set(statements))


def test_databases_of_one_tenancy_may_have_come_to_different_points(pipeline: Harness, scene: Scene) -> None:
    """What one has already is no harm to it."""
    first = scene.copies[0]
    second = pipeline.configure_external(first.tenancy, "second")
    assert scene.serving.drain([first, second]) == ["second"]
    pipeline.app.team(first.tenancy)
    gone = pipeline.app.team(first.tenancy)
    assert scene.serving.drain([first]) == []
    pipeline.app.delete("Team", teamId=gone)
    pipeline.app.team(first.tenancy)
    assert scene.serving.drain([first, second]) == []
    assert_equal([first, second])
    assert len(second.view("teams")) == 2


def test_what_was_not_delivered_before_is_left_to_a_worker(pipeline: Harness, scene: Scene) -> None:
    """A mapping's first load, and one that was asked for again."""
    copy = scene.copies[0]
    pipeline.admin.execute("delete from dbsync.pending where destination_id = %s", [copy.destination_id])
    pipeline.admin.execute("update dbsync.destination set announced = false where name = 'a'")
    scene.rename_all("changed")
    assert scene.serving.drain(scene.copies) == ["a"]
    assert_equal(scene.copies)


@pytest.mark.parametrize("rows", [19, 20])
def test_many_rows_are_left_to_a_worker(pipeline: Harness, scene: Scene, rows: int) -> None:
    for _ in range(rows):
        pipeline.app.user(scene.tenancies[1])
    pipeline.app.user(scene.tenancies[2])
    assert scene.serving.drain(scene.copies) == (["b"] if rows == 20 else [])
    assert_equal(scene.copies)


def test_a_round_holds_so_many_rows_of_a_mapping(
    pipeline: Harness, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has waited longest goes first; the others wait for the next round, and need no worker."""
    monkeypatch.setattr(rounds, "_MOST_ROWS", 2)
    scene.rename_all("changed")
    pipeline.sequence()
    pipeline.admin.execute(
        "update dbsync.pending set pending_since = 'epoch' where destination_id = %s", [scene.copies[2].destination_id]
    )
    first = scene.begin()
    assert len(first.sending) == 2
    assert scene.copies[2].destination_id in first.sending
    assert first.alone == set()
    second = scene.begin()
    assert first.sending.keys() | second.sending.keys() == {copy.destination_id for copy in scene.copies}
    for send in (*first.sending.values(), *second.sending.values()):
        send()
    scene.serving.rounds.finish()
    assert scene.serving.due() == set()
    assert_equal(scene.copies)


def test_a_session_on_the_source_that_is_ended_costs_an_attempt_of_nobody(pipeline: Harness, scene: Scene) -> None:
    """Workers of their own open others; only the claims' own session matters to a run."""
    scene.rename_all("changed")
    pipeline.sequence()
    pipeline.value(
        "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity "
        "where datname = current_database() and application_name in ('dbsync sync', 'dbsync sync queue')"
    )
    assert set(scene.begin().alone) == {copy.destination_id for copy in scene.copies}
    assert scene.serving.drain(scene.copies) == ["a", "b", "c"]
    scene.serving.seconds += 10
    scene.rename_all("again")
    assert scene.serving.drain(scene.copies) == []
    assert_equal(scene.copies)


def test_large_rows_are_left_to_a_worker(pipeline: Harness, scene: Scene) -> None:
    pipeline.app.user(scene.tenancies[1], displayName="x" * MOST_BYTES)
    pipeline.app.user(scene.tenancies[2])
    assert scene.serving.drain(scene.copies) == ["b"]
    assert_equal(scene.copies)


def forget(copy: External) -> None:
    copy.run("delete from dbsync.users")
    copy.run("update dbsync.sync_checkpoint set sequence_id = 0")


def overtake(copy: External) -> None:
    copy.run("update dbsync.sync_checkpoint set sequence_id = sequence_id + 1")


def distrust(copy: External) -> None:
    copy.run("update dbsync.sync_checkpoint set version = '' where mapping_id = 'teams'")


def lose_checkpoint(copy: External) -> None:
    copy.run("delete from dbsync.sync_checkpoint where mapping_id = 'teams'")


def lose_table(copy: External) -> None:
    copy.run("drop table dbsync.teams")


def lose_column(copy: External) -> None:
    copy.run("alter table dbsync.teams drop column display_name")


def lose_key(copy: External) -> None:
    copy.run("alter table dbsync.teams drop constraint teams_pkey")


def lose_schema(copy: External) -> None:
    copy.run("drop schema dbsync cascade")


@pytest.mark.parametrize(
    "change", [forget, overtake, distrust, lose_checkpoint, lose_table, lose_column, lose_key, lose_schema]
)
def test_a_database_that_is_not_as_it_was_left_gets_nothing_in_a_round(
    pipeline: Harness, scene: Scene, change: Callable[[External], None]
) -> None:
    """I5: restored from a backup, served by somebody else meanwhile, or changed by its owner, in any of its tables."""
    change(scene.copies[1])
    scene.rename_all("changed")
    before = scene.copies[1].run("select to_regclass('dbsync.users')::text")
    pipeline.sequence()
    begun = scene.begin()
    assert len(begun.sending) == len(scene.copies)
    for send in begun.sending.values():
        send()
    scene.serving.rounds.finish()
    assert scene.serving.due() == {scene.copies[1].destination_id}
    if before == [("dbsync.users",)]:
        assert {row["display_name"] for row in scene.copies[1].view("users")} != {"changed"}
    assert scene.serving.drain(scene.copies) == ["b"]
    assert_equal(scene.copies)
    # It is not tried in a round again until a worker has had the time to look.
    scene.rename_all("again")
    assert scene.serving.drain(scene.copies) == ["b"]
    scene.serving.seconds += 10
    scene.rename_all("and again")
    assert scene.serving.drain(scene.copies) == []
    assert_equal(scene.copies)


def test_tombstones_that_are_gone_are_looked_for_by_a_worker(pipeline: Harness, scene: Scene) -> None:
    """One that was away while a deletion was purged would keep the row for ever."""
    away, others = scene.copies[0], scene.copies[1:]
    pipeline.app.delete("ProjectUser", projectUserId=scene.users[0])
    scene.rename_all("changed")
    pipeline.admin.execute("update dbsync.destination set enabled = false where name = 'a'")
    scene.serving.drain(others)
    purge(pipeline.admin, pipeline.catalog, days=0)
    pipeline.admin.execute("update dbsync.destination set enabled = true where name = 'a'")
    pipeline.admin.execute("update dbsync.pending set reached = %s where reached = 0", [away.checkpoint("users")])
    pipeline.sequence()
    begun = scene.begin()
    assert set(begun.alone) == {away.destination_id}
    scene.serving.alone(away.destination_id)
    scene.serving.drain([away])
    assert away.view("users") == []


def test_what_fails_in_the_source_is_left_to_workers(pipeline: Harness, scene: Scene) -> None:
    """Which deliver all mappings but the one at fault, and note why."""
    scene.rename_all("changed")
    pipeline.app.team(scene.tenancies[0])
    pipeline.sequence()
    pipeline.admin.execute('alter table "ProjectUser" rename column "displayName" to "shownName"')
    begun = scene.begin()
    assert set(begun.alone) == {copy.destination_id for copy in scene.copies}
    errors = [entry.delivery.error for entry in pipeline.sync_external(errors=True) if entry.delivery.error]
    assert len(errors) == len(scene.copies)
    scene.copies[0].assert_equal("teams")


def test_one_that_refuses_a_row_keeps_no_other_from_its_own(pipeline: Harness, scene: Scene) -> None:
    """I8: a worker of its own then tells which row it is."""
    scene.copies[1].run("alter table dbsync.users add check (display_name <> 'bad') not valid")
    scene.rename_all("bad")
    pipeline.sequence()
    for send in scene.begin().sending.values():
        send()
    scene.serving.rounds.finish()
    assert scene.serving.due() == {scene.copies[1].destination_id}
    (error,) = [entry.delivery.error for entry in pipeline.sync_external(errors=True) if entry.delivery.error]
    assert "users" in error
    assert "check" in error
    assert_equal([scene.copies[0], scene.copies[2]])


def test_one_that_hangs_delays_no_other(pipeline: Harness) -> None:
    """I8: the claims of the others end while it is still waited for; its own are given back."""
    pipeline.configure(external_statement_seconds=0.3)
    with pytest.MonkeyPatch.context() as patch, serving(pipeline) as run:
        patch.setattr("dbsync_pipeline.destinations.postgres.session._GRACE_SECONDS", 0.2)
        copies = [pipeline.configure_external(pipeline.app.tenancy(), "good")]
        url = pipeline.new_database()
        with Proxy(url) as proxy:
            copies.append(pipeline.configure_external(pipeline.app.tenancy(), "bad", url=url, connection=proxy.url))
            for copy in copies:
                pipeline.app.user(copy.tenancy)
            run.drain(copies)
            for copy in copies:
                pipeline.app.user(copy.tenancy)
            pipeline.sequence()
            proxy.fall_silent()
            begun = run.begin(copy.destination_id for copy in copies)
            begun.sending[copies[0].destination_id]()
            run.rounds.finish()
            copies[0].assert_equal()
            held = "select distinct destination_id from dbsync.pending where lease_until > now()"
            assert pipeline.rows(held) == [(copies[1].destination_id,)]
            begun.sending[copies[1].destination_id]()
            run.rounds.finish()
            assert run.due() == {copies[1].destination_id}
            proxy.restore()
            assert run.drain(copies) == ["bad"]
        assert_equal(copies)


def test_a_resync_that_is_asked_meanwhile_is_not_ended(pipeline: Harness, scene: Scene) -> None:
    """I2: whoever lost the lease has nothing to say."""
    scene.rename_all("changed")
    pipeline.sequence()
    begun = scene.begin()
    pipeline.admin.execute(
        "update dbsync.pending set reached = 0, epoch = epoch + 1, lease_worker = null, lease_until = null"
    )
    for send in begun.sending.values():
        send()
    scene.serving.rounds.finish()
    assert scene.serving.due() == {copy.destination_id for copy in scene.copies}
    assert pipeline.value("select max(reached) from dbsync.pending where mapping_id = 'users'") == 0
    assert scene.serving.drain(scene.copies) == ["a", "b", "c"]
    assert_equal(scene.copies)


def test_what_a_round_has_claimed_nobody_else_gets(pipeline: Harness, scene: Scene) -> None:
    """Until its session ends, however that happens."""
    scene.rename_all("changed")
    pipeline.sequence()
    begun = scene.begin()
    with serving(pipeline) as other:
        assert other.due() == set()
        assert other.begin(copy.destination_id for copy in scene.copies).sending == {}
    first = begun.sending[scene.copies[0].destination_id]
    first()
    assert scene.serving.due() == set()
    scene.serving.rounds.finish()
    assert scene.serving.due() == set()


def test_claims_end_with_whoever_made_them(pipeline: Harness) -> None:
    copy = pipeline.configure_external(pipeline.app.tenancy())
    with serving(pipeline) as run:
        for _ in range(2):
            pipeline.app.user(copy.tenancy)
            run.drain([copy])
        pipeline.app.user(copy.tenancy)
        pipeline.sequence()
        assert len(run.begin([copy.destination_id]).sending) == 1
        assert run.due() == set()
    assert {entry.destination_id for entry in destinations_due(pipeline.admin, 10)} == {copy.destination_id}
    pipeline.drain()
    copy.assert_equal()


def test_a_database_that_is_disabled_is_not_begun(pipeline: Harness, scene: Scene) -> None:
    scene.rename_all("changed")
    pipeline.sequence()
    pipeline.admin.execute("update dbsync.destination set enabled = false where name = 'b'")
    begun = scene.begin()
    assert scene.copies[1].destination_id in begun.alone
    assert scene.copies[1].destination_id not in begun.sending


def test_a_table_of_the_source_that_is_locked_holds_up_nobody(pipeline: Harness, scene: Scene) -> None:
    """I8: rounds are begun by the loop that ends them; workers of their own may wait."""
    scene.rename_all("changed")
    pipeline.sequence()
    with psycopg.connect(pipeline.url) as locking:
        locking.execute('lock table "ProjectUser"')
        assert set(scene.begin().alone) == {copy.destination_id for copy in scene.copies}
        assert scene.serving.due() == {copy.destination_id for copy in scene.copies}
        # For a while it is not even tried.
        assert set(scene.begin().alone) == {copy.destination_id for copy in scene.copies}
    scene.serving.seconds += 10
    assert scene.serving.drain(scene.copies) == []
    assert_equal(scene.copies)


def test_a_long_round_keeps_its_claims(pipeline: Harness, scene: Scene) -> None:
    """However many others begin meanwhile; it ends with the last of what it has claimed."""
    lease = "select min(lease_until) from dbsync.pending where destination_id = %s and lease_until is not null"
    seconds = pipeline.pipeline.settings.lease_seconds
    scene.rename_all("changed")
    pipeline.sequence()
    begun = scene.begin()
    name, other = scene.copies[0].destination_id, scene.copies[1].destination_id
    begun.sending[other]()
    scene.serving.rounds.finish()
    first = pipeline.value(lease, name)
    for _ in range(4):
        scene.serving.seconds += seconds / 4
        pipeline.app.user(scene.tenancies[1])
        pipeline.sequence()
        begun_again = scene.serving.begin([other])
        begun_again.sending[other]()
        scene.serving.rounds.finish()
    assert pipeline.value(lease, name) > first
    for destination_id in (name, scene.copies[2].destination_id):
        begun.sending[destination_id]()
    scene.serving.rounds.finish()
    assert pipeline.value(lease, name) is None
    assert_equal(scene.copies)


def test_no_row_of_another_tenancy_is_written(pipeline: Harness, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: were the source to answer with one, under whichever name, the database would get nothing at all."""
    by_tenancy = Snapshot.by_tenancy

    def mixed_up(self: Snapshot, queries: Iterable[Any]) -> list[dict[Any, Any]]:
        found = by_tenancy(self, queries)
        return [dict(zip(rows, reversed(rows.values()), strict=True)) for rows in found]

    monkeypatch.setattr(Snapshot, "by_tenancy", mixed_up)
    scene.rename_all("changed")
    pipeline.sequence()
    for send in scene.begin().sending.values():
        send()
    scene.serving.rounds.finish()
    # Of three that are turned round, one keeps its own.
    assert sum(copy.view("users")[0]["display_name"] == "changed" for copy in scene.copies) == 1
    assert [[row["id"] for row in copy.view("users")] for copy in scene.copies] == [[user] for user in scene.users]


@pytest.mark.parametrize("setting", ["worker_rows_per_second", "destination_rows_per_second", None])
def test_who_is_bound_by_a_throttle_is_served_alone(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    """It waits in a thread of its own, and not in the loop that begins rounds."""
    pipeline.configure(**({setting: 1_000_000} if setting else {}))
    begun: list[Sequence[str]] = []
    monkeypatch.setattr(Rounds, "begin", lambda _self, names: begun.append(names) or Begun({}, names))
    copy = pipeline.configure_external(pipeline.app.tenancy())
    pipeline.app.user(copy.tenancy)
    pipeline.sequence()
    with pipeline.pipeline.source("test") as connection:
        served = pipeline.pipeline.external_dispatcher(connection, lambda _results: None)
        with served as dispatcher:
            dispatcher.run(stop=Event(), max_seconds=math.inf, idle_seconds=0, note=lambda _line: None)
    copy.assert_equal()
    assert bool(begun) == (setting is None)


def test_many_tenancies_of_one_database_share_a_session_in_a_round(pipeline: Harness) -> None:
    """Or open another one: none of them needs a worker of its own for that."""
    first = pipeline.configure_external(pipeline.app.tenancy(), "0")
    copies = [first, *(pipeline.configure_external(pipeline.app.tenancy(), f"{n}", url=first.url) for n in range(1, 4))]
    for copy in copies:
        pipeline.app.user(copy.tenancy)
    with serving(pipeline) as run:
        run.drain(copies)
        for copy in copies:
            pipeline.app.user(copy.tenancy)
        pipeline.sequence()
        sending = run.begin(copy.destination_id for copy in copies).sending
        assert len(sending) == len(copies)
        taken = run.kept.take(first.destination_id, first.url)
        assert taken is not None
        for send in sending.values():
            send()
        taken.close()
        run.rounds.finish()
        assert run.due() == set()
    first.assert_equal("users")
