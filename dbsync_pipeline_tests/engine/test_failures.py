"""What fails, how alone it fails, what it says, and how it heals."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import yaml
from pydantic import SecretStr

from dbsync_pipeline.destinations.base import Slice
from dbsync_pipeline.destinations.clickhouse import destination as clickhouse_destination
from dbsync_pipeline.destinations.clickhouse import part_budget, tables
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.errors import (
    BadRowError,
    DbsyncError,
    NotInstalledError,
    RefusedForNowError,
    SettingsError,
    UnreachableError,
)
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
from dbsync_pipeline.verify.differences import Verified
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.harness import Harness, init_clickhouse, init_source


def turn(pipeline: Harness) -> dict[tuple[UUID, str], SyncResult]:
    """Run one cycle of a worker that rests what fails; return what became of each pair."""
    with pipeline.worker() as worker:
        return {(entry.item.tenancy_id, entry.item.mapping_id): entry for entry in worker.run_once()}


def with_replay(pipeline: Harness, *, size: int) -> tuple[UUID, UUID]:
    """Add a tenancy whose recording is `size` bytes long: less than none is more than ClickHouse's column takes."""
    tenancy = pipeline.app.tenancy()
    replay = pipeline.app.replay(tenancy, pipeline.app.user(tenancy))
    pipeline.app.chunk(tenancy, replay, size=size)
    return tenancy, replay


def test_a_bad_row_stops_its_tenancy_and_mapping_only(pipeline: Harness) -> None:
    """D19, I8: the others of the same insert arrive in the same cycle, and the message says where to look."""
    good = [with_replay(pipeline, size=7)[0] for _ in range(5)]
    bad, replay = with_replay(pipeline, size=-7)
    for _ in range(3):
        pipeline.app.replay(bad, pipeline.app.user(bad))
    pipeline.sequence()
    results = turn(pipeline)
    failures = {pair: entry.delivery.error for pair, entry in results.items() if entry.delivery.error}
    assert list(failures) == [(bad, "session_replays")]
    message = failures[bad, "session_replays"]
    for part in ("session_replays", str(bad), f"key id={replay}", "column byte_length"):
        assert part in str(message)
    pipeline.assert_equal("users")
    assert {row["tenancy_id"] for row in pipeline.view("session_replays")} == set(good)
    assert pipeline.checkpoint("session_replays", bad) in (0, None)
    assert pipeline.rows("select mapping_id, last_error from dbsync.pending where last_error is not null") == [
        ("session_replays", message)
    ]
    pipeline.app.update("SessionReplayChunk", {"byteLength": -7}, byteLength=7)
    pipeline.assert_synced()
    assert pipeline.value("select count(*) from dbsync.pending where last_error is not null or attempts > 0") == 0


@pytest.fixture
def priced(pipeline: Harness, tmp_path: Path, clickhouse_database_prefix: str) -> Harness:
    """A pipeline of one mapping whose type holds less than its column."""
    pipeline.admin.execute(
        'create table "Price" ("tenancyId" uuid, "id" int, "amount" numeric, primary key ("tenancyId", "id"))'
    )
    columns = [
        {"name": "id", "source": "id", "type": "integer"},
        {"name": "amount", "source": "amount", "type": "numeric(6, 2)", "nullable": True},
    ]
    mapping = {"mapping": "prices", "description": "Prices.", "source": "Price", "key": ["id"], "columns": columns}
    (tmp_path / "prices.yaml").write_text(yaml.safe_dump({**mapping, "tenancy": {"column": "tenancyId"}}))
    (tmp_path / TENANCY_FILE).write_text((BUILTIN_DIRECTORY / TENANCY_FILE).read_text())
    pipeline.configure(mappings=str(tmp_path), clickhouse_database=clickhouse_database_prefix)
    init_source(pipeline.pipeline, pipeline.admin)
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
    return pipeline


def test_a_value_that_the_source_cannot_convert_is_named_as_well(priced: Harness) -> None:
    """Numbers too large for the declared type are not rounded into it."""
    pipeline = priced
    tenancies = [pipeline.app.tenancy() for _ in range(3)]
    for number, tenancy in enumerate(tenancies):
        pipeline.admin.execute(
            'insert into "Price" values (%s, 1, 1.005), (%s, 2, %s)', [tenancy, tenancy, 10**number * 100]
        )
    pipeline.configure_external(tenancies[2])
    pipeline.sequence()
    for results in (turn(pipeline).values(), pipeline.sync_external(errors=True)):
        (error,) = [entry.delivery.error for entry in results if entry.delivery.error]
        assert error.startswith(f"mapping prices, tenancy {tenancies[2]}, key id=2")
        assert "numeric field overflow" in error
    found = pipeline.clickhouse.query(
        f"select id, toString(amount) from {pipeline.names.table(pipeline.catalog.mappings[0])}"
    )
    assert sorted(found) == [(1, "1.01"), (1, "1.01"), (2, "100"), (2, "1000")]


def test_a_row_that_cannot_be_converted_any_more_keeps_no_other_copy_from_being_verified(priced: Harness) -> None:
    pipeline = priced
    good, bad = pipeline.app.tenancy(), pipeline.app.tenancy()
    externals = [pipeline.configure_external(tenancy) for tenancy in (good, bad)]
    pipeline.admin.execute('insert into "Price" values (%s, 1, 1), (%s, 1, 2)', [good, bad])
    pipeline.drain()
    pipeline.admin.execute('update "Price" set "amount" = 10000 where "tenancyId" = %s', [bad])
    pipeline.sequence()
    found = {entry.destination_id: entry for entry in verify(pipeline.pipeline, Choice())}
    error = "mapping prices: numeric field overflow"
    assert [found["clickhouse"].error, found[externals[1].destination_id].error] == [error, error]
    assert found[externals[0].destination_id] == Verified(externals[0].destination_id, "prices", 1, 1)
    # What the server says of such a value quotes it.
    pipeline.admin.execute("""alter table "Price" alter "amount" type text using 'for "me" alone'""")
    for entry in verify(pipeline.pipeline, Choice()):
        assert entry.error == 'mapping prices: invalid input syntax for type numeric: "…"'


@pytest.mark.parametrize("error", [UnreachableError, BadRowError, DbsyncError])
def test_a_destination_that_fails_in_the_middle_of_a_stream(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch, error: type[DbsyncError]
) -> None:
    """The rest of the rows is not read, and the worker's session is good for the next cycle."""
    tenancy = pipeline.app.tenancy()
    for number in range(4):
        pipeline.app.user(tenancy, displayName=str(number), serverMetadata=f'"{"x" * 1_500_000}"')
    pipeline.sequence()
    deliver = ClickHouseDestination.deliver
    read: list[int] = []

    def failing(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        read.append(len(next(blocks)))
        raise error("the cable is out")

    with pipeline.worker() as worker:
        monkeypatch.setattr(ClickHouseDestination, "deliver", failing)
        (result,) = worker.run_once()
        assert "the cable is out" in str(result.delivery.error)
        assert len(read) == 1
        monkeypatch.setattr(ClickHouseDestination, "deliver", deliver)
        (result,) = worker.run_once()
        assert (result.delivery.error, result.delivery.upserted) == (None, 4)
    pipeline.assert_equal("users")


@pytest.fixture
def moved(pipeline: Harness) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Return what moves a table of ClickHouse out of the way, and returns what moves it back."""
    restore: list[str] = []

    def move(name: str) -> Callable[[], None]:
        place = tables.name(pipeline.names.internal)
        pipeline.clickhouse.execute(f"rename table {place}.{name} to {place}.moved")
        restore.append(f"rename table {place}.moved to {place}.{name}")
        return lambda: pipeline.clickhouse.execute(restore.pop())

    yield move
    for statement in restore:
        pipeline.clickhouse.execute(statement)


def test_a_missing_table_stops_its_mapping_only(pipeline: Harness, moved: Callable[[str], Callable[[], None]]) -> None:
    """I8: it is named, and the other mappings are delivered."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    pipeline.app.user(tenancy)
    pipeline.sequence()
    restore = moved("teams")
    errors = {mapping: entry.delivery.error for (_, mapping), entry in turn(pipeline).items()}
    assert errors["users"] is None
    assert "teams" in str(errors["teams"])
    assert "Run `dbsync init`." in str(errors["teams"])
    restore()
    pipeline.assert_synced()


@pytest.fixture
def own_tables(pipeline: Harness, clickhouse_database_prefix: str) -> str:
    """Deliver to tables of this test's own; return their database."""
    pipeline.configure(clickhouse_database=clickhouse_database_prefix)
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
    return pipeline.names.internal


@pytest.mark.parametrize(
    ("setting", "said"), [("table_readonly", "readonly"), ("parts_to_delay_insert", "as many parts as")]
)
def test_a_table_that_refuses_inserts_stops_its_mapping_only(
    pipeline: Harness, own_tables: str, monkeypatch: pytest.MonkeyPatch, setting: str, said: str
) -> None:
    """I8: it is no outage of ClickHouse; others are delivered and recorded in the same turn."""
    monkeypatch.setattr(part_budget, "_LONGEST_WAIT_SECONDS", 0)
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    pipeline.app.user(tenancy)
    pipeline.sequence()
    pipeline.clickhouse.execute(f"alter table {own_tables}.teams modify setting {setting} = 1")
    results = turn(pipeline)
    assert said in str(results[tenancy, "teams"].delivery.error)
    assert results[tenancy, "teams"].outage is None
    assert results[tenancy, "users"].delivery.error is None
    assert pipeline.checkpoint("users", tenancy) is not None
    assert pipeline.pending() == [(tenancy, "teams")]
    pipeline.clickhouse.execute(f"alter table {own_tables}.teams reset setting {setting}")
    pipeline.assert_synced("users", "teams")


def test_checkpoints_that_are_refused_for_now_are_an_outage(pipeline: Harness, own_tables: str) -> None:
    """I5: nothing counts as delivered; and nobody's row is at fault, so all of it comes back soon."""
    pipeline.configure(retry_base_seconds=3600, retry_max_seconds=3600)
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    place = f"{own_tables}.{tables.CHECKPOINT_TABLE}"
    pipeline.clickhouse.execute(f"alter table {place} modify setting table_readonly = 1")
    assert isinstance(turn(pipeline)[tenancy, "users"].outage, RefusedForNowError)
    assert (tenancy, "users") in pipeline.pending()
    assert pipeline.value("select max(next_attempt_at - now()) < interval '1 minute' from dbsync.pending")
    pipeline.clickhouse.execute(f"alter table {place} modify setting table_readonly = 0")
    pipeline.rows("update dbsync.pending set next_attempt_at = '-infinity' returning 1")
    pipeline.assert_synced("users")


def test_a_disk_without_room_is_an_outage(pipeline: Harness, own_tables: str) -> None:
    """I8: nobody's row is at fault, and all of it comes back soon; ClickHouse keeps so much free that nothing fits."""
    pipeline.configure(retry_base_seconds=3600, retry_max_seconds=3600)
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    setting = "min_free_disk_bytes_to_perform_insert"
    pipeline.clickhouse.execute(f"alter table {own_tables}.users modify setting {setting} = {1 << 60}")
    result = turn(pipeline)[tenancy, "users"]
    assert isinstance(result.outage, UnreachableError)
    assert "enough free space" in str(result.delivery.error)
    assert str(tenancy) not in str(result.delivery.error)
    assert pipeline.value("select max(next_attempt_at - now()) < interval '1 minute' from dbsync.pending")
    pipeline.clickhouse.execute(f"alter table {own_tables}.users reset setting {setting}")
    pipeline.rows("update dbsync.pending set next_attempt_at = '-infinity' returning 1")
    pipeline.assert_synced("users")


def test_rows_that_take_too_much_memory_together_arrive_apart(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I8: a limit that the insert itself exceeds is no outage; the batch is halved until its parts fit."""
    tenancies = [pipeline.app.tenancy() for _ in range(8)]
    for tenancy in tenancies:
        pipeline.app.user(tenancy, serverMetadata=f'"{"x" * 1_500_000}"')
    pipeline.sequence()
    monkeypatch.setitem(clickhouse_destination._INSERT_SETTINGS, "max_memory_usage", 16 << 20)
    results = turn(pipeline)
    assert {tenancy for tenancy, mapping in results if mapping == "users"} == set(tenancies)
    assert [entry.delivery.error for entry in results.values() if entry.delivery.error] == []
    pipeline.assert_equal("users")


def test_what_cannot_be_found_out_keeps_nobody_waiting(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """I8: a row that fits nowhere fails in the looking for it as well; the failure is then all that is said."""
    good, bad = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(good)
    pipeline.app.user(bad, serverMetadata=f'"{"x" * 20_000_000}"')
    pipeline.sequence()
    monkeypatch.setitem(clickhouse_destination._INSERT_SETTINGS, "max_memory_usage", 16 << 20)
    results = turn(pipeline)
    assert results[good, "users"].delivery.error is None
    failed = results[bad, "users"]
    assert failed.outage is None
    assert str(failed.delivery.error).startswith(f"mapping users, tenancy {bad}: ClickHouse at ")
    assert "memory limit exceeded" in str(failed.delivery.error)
    assert pipeline.pending() == [(bad, "users")]


def test_a_missing_checkpoint_table_loses_nothing(
    pipeline: Harness, moved: Callable[[str], Callable[[], None]]
) -> None:
    """I5: what cannot be recorded is delivered again."""
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    restore = moved(tables.CHECKPOINT_TABLE)
    with pytest.raises(NotInstalledError, match=f"{tables.CHECKPOINT_TABLE}.*Run `dbsync init`"):
        turn(pipeline)
    restore()
    pipeline.assert_synced()


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"source_url": "postgresql://me:s3cret@127.0.0.1:1/shop"}, UnreachableError, "127.0.0.1:1/shop"),
        ({"source_url": "host=127.0.0.1 port=1 password='s3 cret' dbname=shop"}, UnreachableError, "127.0.0.1:1/shop"),
        ({"source_url": "postgresql://me:s3cret@[127.0.0.1/shop"}, SettingsError, "DBSYNC_SOURCE_URL"),
        ({"source_url": "postgresql://me:s3@cret@127.0.0.1:1/shop"}, SettingsError, "%40 in DBSYNC_SOURCE_URL"),
        ({"clickhouse_url": "http://me:s3cret@127.0.0.1:1/"}, UnreachableError, "ClickHouse at 127.0.0.1:1"),
        ({"clickhouse_url": "s3cret"}, SettingsError, "DBSYNC_CLICKHOUSE_URL"),
    ],
)
def test_who_does_not_answer_is_named(
    pipeline: Harness, values: dict[str, str], error: type[DbsyncError], said: str
) -> None:
    """I10: host and port in one line, and never the password."""
    good = {"source_url": pipeline.url, "clickhouse_url": pipeline.server.clickhouse.url}
    settings: dict[str, Any] = {name: SecretStr(value) for name, value in {**good, **values}.items()}
    with pytest.raises(error) as failure, Pipeline(Settings(**settings)).clickhouse_worker() as worker:
        worker.run_once()
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)
    assert "cret" not in str(failure.value)


def test_a_password_that_is_refused_is_said_so(pipeline: Harness) -> None:
    """Waiting would not help."""
    wrong = pipeline.server.clickhouse.url.replace("://default:", "://default:s3cret")
    settings = Settings(source_url=SecretStr(pipeline.url), clickhouse_url=SecretStr(wrong))
    with pytest.raises(SettingsError, match="refuses the login") as failure, Pipeline(settings).clickhouse():
        pass
    assert "s3cret" not in str(failure.value)


def test_a_lost_session_of_the_source_ends_the_worker_and_loses_nothing(pipeline: Harness) -> None:
    """Its claims end with it, so that the next one begins at once."""
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(UnreachableError, match="the source Postgres"))
        worker = stack.enter_context(pipeline.worker())
        pipeline.rows(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where datname = current_database() and application_name = 'dbsync sync'"
        )
        worker.run_once()
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == 1


def test_a_worker_refuses_a_source_that_is_not_installed(pipeline: Harness, source_url: str) -> None:
    settings = Settings(source_url=SecretStr(source_url), clickhouse_url=SecretStr(pipeline.server.clickhouse.url))
    with pytest.raises(NotInstalledError, match="dbsync init"), Pipeline(settings).clickhouse_worker():
        pass
    with pytest.raises(NotInstalledError, match="dbsync init"), Pipeline(settings).sequencer():
        pass
    with psycopg.connect(source_url) as connection:
        assert connection.execute("select to_regnamespace('dbsync')").fetchone() == (None,)
