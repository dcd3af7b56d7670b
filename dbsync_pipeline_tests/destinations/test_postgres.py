"""What arrives in the database of a tenancy's owner: whose rows, in what form, and in what order of workers."""

from collections.abc import Iterator
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest

from dbsync_pipeline.demo import samples
from dbsync_pipeline.destinations.base import ResendError, SupersededError
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.pending.again import retry_now
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedWorker, expire_leases, kill
from dbsync_pipeline_tests.proxy import Proxy

BOUNDARIES = ("checkpoints", "extract", "deliver", "delivered", "record", "recorded")


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


def write_everything(pipeline: Harness, tenancy: UUID) -> tuple[UUID, UUID]:
    app = pipeline.app
    user, team = app.user(tenancy, email="first@example.com"), app.team(tenancy)
    app.member(tenancy, team, user)
    app.team_permission(tenancy, team, user, "$read")
    app.project_permission(tenancy, user, "admin")
    app.session(tenancy, user)
    app.account(tenancy, user, email="me@example.com")
    app.invitation(tenancy, team)
    app.mail(tenancy)
    app.chunk(tenancy, app.replay(tenancy, user))
    app.preference(tenancy, user)
    return user, team


def turn(pipeline: Harness) -> dict[str, str]:
    """Number, and work for one turn at every database; return what failed, by mapping."""
    pipeline.sequence()
    results = pipeline.sync_external(errors=True)
    return {entry.delivery.pair.mapping_id: entry.delivery.error for entry in results if entry.delivery.error}


def others(pipeline: Harness) -> list[str]:
    return [entry.mapping_id for entry in pipeline.catalog.mappings if entry.mapping_id != "users"]


def test_two_projects_with_five_databases(pipeline: Harness) -> None:
    """A1, I7: each gets its own rows and nobody else's."""
    owners = [pipeline.app.tenancy() for _ in range(2)]
    users = [pipeline.app.user(owner, displayName=str(owner)) for owner in owners]
    copies = [pipeline.configure_external(owners[0], name) for name in "ab"]
    copies += [pipeline.configure_external(owners[1], name) for name in "abc"]
    pipeline.drain()
    for copy in copies:
        assert [row["id"] for row in copy.view("users")] == [users[owners.index(copy.tenancy)]]
        copy.assert_equal()


def test_several_tenancies_in_one_database(pipeline: Harness, tenancy: UUID) -> None:
    """D24: with keys in common; each has checkpoints of its own, and one that goes takes its own rows alone."""
    other, user = pipeline.app.tenancy(project=f"project-{tenancy}"), uuid4()
    first = pipeline.configure_external(tenancy)
    second = pipeline.configure_external(other, url=first.url)
    pipeline.app.user(tenancy, projectUserId=user, displayName="a")
    pipeline.app.user(other, projectUserId=user, displayName="b", mirroredBranchId="b")
    pipeline.drain()
    assert {(row["tenancy_id"], row["display_name"]) for row in first.view("users")} == {(tenancy, "a"), (other, "b")}
    pipeline.app.delete("ProjectUser", tenancyId=tenancy)
    pipeline.drain()
    for copy in (first, second):
        copy.assert_equal()
    assert len(first.view("users")) == 1


def test_one_database_under_two_names(pipeline: Harness, tenancy: UUID) -> None:
    first = pipeline.configure_external(tenancy)
    pipeline.configure_external(tenancy, "again", url=first.url)
    for _ in range(3):
        user, _ = write_everything(pipeline, tenancy)
        pipeline.drain()
        first.assert_equal()
        pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    first.assert_equal()
    assert pipeline.pending() == []


def test_rows_of_somebody_else_are_not_written(pipeline: Harness, tenancy: UUID) -> None:
    """I7: whatever goes wrong before, the last look is at the rows themselves."""
    other = pipeline.app.tenancy()
    copies = [pipeline.configure_external(owner) for owner in (tenancy, other)]
    for owner in (tenancy, other):
        pipeline.app.user(owner)
    pipeline.sequence()
    mine, theirs = [WatchedWorker(pipeline, external=copy) for copy in copies]
    for worker in (mine, theirs):
        worker.cycle.run_once()
    ((mapping, slices, blocks),) = theirs.destination.delivered
    for given in (slices, mine.destination.delivered[0][1]):
        # A first load notices by what is in the table afterwards, takes it back, and asks for the rows again.
        refused = (DbsyncError, SupersededError, ResendError)
        with pytest.raises(refused, match=r"rows of other tenancies|another worker|^$"):
            mine.destination.inner.deliver(mapping, given, iter(blocks))
    mine.destination.inner.checkpoints([])
    with pytest.raises(DbsyncError, match="not of that tenancy"):
        mine.destination.inner.checkpoints([entry.pair for entry in slices])
    with pytest.raises(DbsyncError, match="rows of other tenancies"):
        mine.destination.inner.deliver(mapping, (), iter(blocks))
    for copy, worker in zip(copies, (mine, theirs), strict=True):
        worker.close()
        copy.assert_equal()


def test_every_value_arrives_as_it_is(pipeline: Harness, tenancy: UUID) -> None:
    """A4, D21, D43: texts, JSON of every shape, and times, whatever zone anybody is in."""
    copy = pipeline.configure_external(tenancy)
    for text in (*samples.TEXTS, samples.LONG_TEXT):
        pipeline.app.user(tenancy, displayName=text, profileImageUrl=text)
    for document in (*samples.DOCUMENTS, "null", None, '"text"', "[1, [2]]", "17", "true", "{}", '"null"'):
        pipeline.app.user(tenancy, clientMetadata=document, serverMetadata=document)
    for time in samples.TIMES:
        pipeline.app.user(tenancy, displayName=time, signedUpAt=time)
    pipeline.drain()
    copy.assert_equal()
    shown = {row["display_name"]: str(row["signed_up_at"]) for row in copy.view("users")}
    assert shown["2024-03-31 02:30:00"] == "2024-03-31 02:30:00"
    assert shown["1969-12-31 23:59:59.999"] == "1969-12-31 23:59:59.999000"
    assert copy.run("select count(*) from dbsync.users where jsonb_typeof(client_metadata) = 'null'") == [(0,)]


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [
        ("alter table dbsync.users add check (display_name <> 'bad') not valid", "violates check constraint"),
        ("alter table dbsync.users alter profile_image_url set not null", '"profile_image_url"'),
        ("create unique index on dbsync.users (display_name) where display_name = 'bad'", "duplicate key value"),
        (
            "alter table dbsync.users add unique (display_name) deferrable initially deferred",
            "duplicate key value",
        ),
        (
            """
            create function public.no() returns trigger language plpgsql as $$ begin
                if new.display_name = 'bad' then raise exception 'not with us' using errcode = '45000'; end if;
                return new;
            end $$;
            create trigger no before insert or update on dbsync.users for each row execute function public.no()
            """,
            "not with us",
        ),
    ],
    ids=["check", "not null", "unique", "deferred unique", "trigger"],
)
def test_a_row_that_its_owner_refuses_is_named(pipeline: Harness, tenancy: UUID, obstacle: str, words: str) -> None:
    """D19: with key and the database's own words; other mappings and tenancies go on, and it heals by itself."""
    copy = pipeline.configure_external(tenancy)
    known = pipeline.app.user(tenancy, displayName="good", profileImageUrl="x")
    pipeline.app.user(tenancy, displayName="bad" if "duplicate" in words else "x", profileImageUrl="x")
    pipeline.drain()
    copy.run(obstacle)
    users = [pipeline.app.user(tenancy, displayName=str(number), profileImageUrl="x") for number in range(5)]
    bad = users[2]
    pipeline.app.update("ProjectUser", {"projectUserId": bad}, displayName="bad", profileImageUrl=None)
    if "not null" not in obstacle:
        pipeline.app.update("ProjectUser", {"projectUserId": bad}, profileImageUrl="x")
    pipeline.app.team(tenancy)
    errors = turn(pipeline)
    assert list(errors) == ["users"]
    assert words in errors["users"]
    if "deferr" not in obstacle:
        assert f"key id={bad}" in errors["users"]
    copy.assert_equal("teams")
    assert pipeline.rows("select mapping_id from dbsync.pending where last_error is not null") == [("users",)]
    pipeline.app.update("ProjectUser", {"projectUserId": bad}, displayName="mended", profileImageUrl="x")
    pipeline.drain()
    copy.assert_equal()
    assert known in {row["id"] for row in copy.view("users")}
    assert pipeline.value("select count(*) from dbsync.pending where last_error is not null") == 0


_ANOTHER_KEY = (
    "alter table dbsync.users drop constraint users_pkey, add primary key (tenancy_id, id, display_name)",
    "alter table dbsync.users drop constraint users_pkey, add primary key (tenancy_id, id)",
)
_A_BROKEN_TRIGGER = (
    """
    create function public.no() returns trigger language plpgsql as 'begin insert into nowhere values (1); end';
    create trigger no before insert on dbsync.users for each row execute function public.no()
    """,
    "drop trigger no on dbsync.users",
)


@pytest.mark.parametrize(
    ("obstacle", "end"), [_ANOTHER_KEY, _A_BROKEN_TRIGGER], ids=["another key", "a broken trigger"]
)
def test_a_table_that_is_not_what_it_was_stops_itself_alone(
    pipeline: Harness, tenancy: UUID, obstacle: str, end: str
) -> None:
    """D19: mappings behind it in the order are delivered in the same turn, every time."""
    copy = pipeline.configure_external(tenancy)
    write_everything(pipeline, tenancy)
    pipeline.drain()
    copy.run(obstacle)
    for _ in range(2):
        write_everything(pipeline, tenancy)
        assert list(turn(pipeline)) == ["users"]
        copy.assert_equal(*others(pipeline))
    copy.run(end)
    pipeline.drain()
    copy.assert_equal()


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("loaded", [False, True], ids=["first load", "later"])
def test_a_stale_worker_writes_nothing(pipeline: Harness, tenancy: UUID, boundary: str, *, loaded: bool) -> None:
    """D23: it has read its rows; another one finishes newer work; then it goes on."""
    copy = pipeline.configure_external(tenancy)
    user, team = write_everything(pipeline, tenancy)
    if loaded:
        pipeline.drain()
        pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="second")
        pipeline.app.update("Team", {"teamId": team}, displayName="second")
    pipeline.sequence()
    work = Steps()
    old = WatchedWorker(pipeline, external=copy, tell=work.wait)
    work.start(old.cycle.run_once)
    work.until(boundary)
    pipeline.app.delete("Team", teamId=team)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="third")
    pipeline.app.delete("ProjectUserRefreshToken", projectUserId=user)
    expire_leases(pipeline)
    pipeline.drain()
    copy.assert_equal()
    before = copy.run("select mapping_id, epoch, sequence_id, recorded_at from dbsync.sync_checkpoint order by 1")
    work.finish()
    copy.assert_equal()
    after = copy.run("select mapping_id, epoch, sequence_id, recorded_at from dbsync.sync_checkpoint order by 1")
    assert after == before
    old.close()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_worker_that_dies_between_two_steps_loses_nothing(pipeline: Harness, tenancy: UUID, boundary: str) -> None:
    """I5: its rows are there with their checkpoint, or neither is."""
    copy = pipeline.configure_external(tenancy)
    user, team = write_everything(pipeline, tenancy)
    pipeline.drain()
    pipeline.app.delete("Team", teamId=team)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="second")
    pipeline.sequence()
    work = Steps()
    worker = WatchedWorker(pipeline, external=copy, tell=work.wait)
    work.start(worker.cycle.run_once)
    work.until(boundary)
    backends = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'dbsync' and "
    copy.run(backends + "datname = current_database() and pid <> pg_backend_pid()")
    kill(pipeline, worker.sessions)
    work.abandon()
    worker.close()
    pipeline.drain()
    copy.assert_equal()


def test_every_batch_again_changes_nothing(pipeline: Harness, tenancy: UUID) -> None:
    """I6: late, in any order, by a worker that believes itself the first."""
    copy = pipeline.configure_external(tenancy)
    worker = WatchedWorker(pipeline, chunk_rows=3, external=copy)
    for number in range(3):
        user, team = write_everything(pipeline, tenancy)
        pipeline.sequence()
        while worker.cycle.run_once():
            pass
        pipeline.app.delete("ProjectUser", projectUserId=user)
        pipeline.app.user(tenancy, projectUserId=user, displayName=f"again {number}")
        pipeline.app.delete("Team", teamId=team)
    pipeline.drain()
    copy.assert_equal()
    sent = worker.destination.delivered
    assert len(sent) > 10
    for mapping, _, blocks in (*sent, *reversed(sent)):
        worker.destination.inner.checkpoints([])
        worker.destination.inner.deliver(mapping, (), iter(blocks))
    rows = {row["id"] for row in copy.view("users")}
    assert {row["id"] for row in pipeline.expected("users", tenancy)} <= rows
    worker.close()
    # Without the checkpoint's guard, what is gone may return; what is there is never older.
    assert [line for line in copy.differences("users") if "should be 1" in line or " is " in line] == []


def test_a_changed_row_of_a_renamed_tenancy_is_never_gone(pipeline: Harness, tenancy: UUID) -> None:
    """It has no former place here; an owner's table that refers to it loses nothing."""
    copy = pipeline.configure_external(tenancy, mappings=["users"])
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    copy.run(
        "create table note (tenancy uuid, author uuid, "
        "foreign key (tenancy, author) references dbsync.users (tenancy_id, id) on delete cascade)"
    )
    copy.run("insert into note values (%s, %s)", tenancy, user)
    pipeline.app.update("Tenancy", {"id": tenancy}, branchId="other")
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="changed")
    pipeline.drain()
    copy.assert_equal("users")
    assert copy.run("select count(*) from note") == [(1,)]


@pytest.mark.parametrize("way", ["branch", "project", "deleted", "deleted and back"])
def test_a_tenancy_moves_or_goes(pipeline: Harness, tenancy: UUID, way: str) -> None:
    """Former places are all the same place here; what a deleted tenancy leaves in the source leaves the copy."""
    copy = pipeline.configure_external(tenancy)
    write_everything(pipeline, tenancy)
    pipeline.app.user(tenancy, displayName="kept")
    pipeline.drain()
    match way:
        case "branch":
            pipeline.app.update("Tenancy", {"id": tenancy}, branchId="other")
        case "project":
            pipeline.app.update("Project", {"id": f"project-{tenancy}"}, id="renamed")
        case _:
            pipeline.app.delete("Tenancy", id=tenancy)
            pipeline.drain()
            assert copy.view("users") == []
    if way == "deleted and back":
        pipeline.app.tenancy(tenancy_id=tenancy, project="elsewhere")
    pipeline.drain()
    copy.assert_equal()
    assert bool(copy.view("users")) is (way != "deleted")


def test_a_connection_that_breaks_in_the_middle_of_a_copy(pipeline: Harness, tenancy: UUID) -> None:
    """Nothing of it is there, and all of it when the connection holds."""
    copy = pipeline.configure_external(tenancy)
    for _ in range(4):
        pipeline.app.user(tenancy, serverMetadata=f'"{"x" * 1_500_000}"')
    with Proxy(copy.url) as proxy:
        pipeline.admin.execute("update dbsync.destination set connection = %s where kind = 'postgres'", [proxy.url])
        proxy.break_off(after=3_000_000)
        assert "cannot be written now" in turn(pipeline)["users"]
        assert copy.view("users") == []
        assert copy.checkpoint("users") is None
        proxy.restore()
        pipeline.drain()
    copy.assert_equal()


def test_a_lock_on_one_table_stops_it_alone(pipeline: Harness, tenancy: UUID) -> None:
    """D27: for as long as the limit says; the session is kept, and it is tried again soon, as no row is at fault."""
    pipeline.configure(external_lock_seconds=0.05, retry_base_seconds=3_600, retry_max_seconds=7_200)
    copy = pipeline.configure_external(tenancy)
    write_everything(pipeline, tenancy)
    pipeline.drain()
    write_everything(pipeline, tenancy)
    with psycopg.connect(copy.url) as owner:
        owner.execute("lock table dbsync.users in access exclusive mode")
        errors = turn(pipeline)
    assert list(errors) == ["users"]
    assert "lock timeout" in errors["users"]
    copy.assert_equal(*others(pipeline))
    assert pipeline.value("select max(next_attempt_at) < now() + interval '11 s' from dbsync.pending")
    retry_now(pipeline.admin)
    pipeline.drain()
    copy.assert_equal()


def test_a_batch_may_take_longer_to_send_than_a_statement_may_take(
    pipeline: Harness, tenancy: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a source or a network that is slow; else a first load of such a database would never end."""
    monkeypatch.setattr("dbsync_pipeline.destinations.postgres.session._GRACE_SECONDS", 0.1)
    pipeline.configure(external_statement_seconds=0.3)
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    pipeline.sequence()
    with WatchedWorker(pipeline, external=copy) as worker:
        worker.cycle.run_once()
        ((mapping, _, blocks),) = worker.destination.delivered

        def slowly() -> Iterator[bytes]:
            for block in blocks:
                Event().wait(0.6)
                yield block

        copy.run("delete from dbsync.users")
        worker.destination.inner.deliver(mapping, (), slowly())
    copy.assert_equal()


@pytest.mark.parametrize("trouble", ["refused login", "nobody there", "read-only", "no room", "no such database"])
def test_trouble_of_a_database_delays_no_other_and_heals(pipeline: Harness, tenancy: UUID, trouble: str) -> None:
    """B10, A13, D18: it is named; the others and ClickHouse are complete, and so is it later, with no change needed."""
    good, bad = pipeline.configure_external(tenancy, "good"), pipeline.configure_external(tenancy, "bad")
    write_everything(pipeline, tenancy)
    pipeline.drain()
    name = bad.url.rpartition("/")[2]
    set_up = "update dbsync.destination set connection = %s where name = 'bad'"
    match trouble:
        case "refused login":
            pipeline.admin.execute(set_up, [bad.url.replace("://postgres:", "://nobody:")])
        case "nobody there":
            pipeline.admin.execute(set_up, [f"postgresql://me:s3cret@127.0.0.1:1/{name}"])
        case "no such database":
            pipeline.admin.execute(set_up, [f"{bad.url}_none"])
        case "no room":
            pipeline.admin.execute(f'alter database "{name}" connection limit 0')
            pipeline.admin.execute(f'alter database "{name}" allow_connections false')
        case _:
            bad.run(f'alter database "{name}" set default_transaction_read_only = on')
    write_everything(pipeline, tenancy)
    errors = turn(pipeline)
    assert errors
    assert all(f"/{name}" in error for error in errors.values())
    pipeline.sync()
    good.assert_equal()
    pipeline.assert_equal()
    shown = pipeline.rows("select distinct d.name, last_error from dbsync.pending p join dbsync.destination d using "
                          "(destination_id) where last_error is not null")  # fmt: skip
    assert {name for name, _ in shown} == {"bad"}
    assert "s3cret" not in str(shown)
    match trouble:
        case "no room":
            pipeline.admin.execute(f'alter database "{name}" allow_connections true')
            pipeline.admin.execute(f'alter database "{name}" connection limit -1')
        case "read-only":
            pipeline.admin.execute(f'alter database "{name}" reset default_transaction_read_only')
        case _:
            pipeline.admin.execute(set_up, [bad.url])
    pipeline.drain()
    bad.assert_equal()
    assert pipeline.value("select count(*) from dbsync.pending where last_error is not null") == 0
