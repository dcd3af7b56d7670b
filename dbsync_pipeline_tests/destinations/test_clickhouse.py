"""ClickHouse as a destination: what counts as delivered, which version shows, and what its tables may not become."""

import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from dbsync_pipeline.destinations.base import Checkpoint, Pair, Slice
from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.errors import (
    BadRowError,
    DbsyncError,
    IncompatibleTargetError,
    RefusedForNowError,
    UnreachableError,
)
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
from dbsync_pipeline_tests.application import NOW
from dbsync_pipeline_tests.harness import Harness, init_clickhouse


@pytest.fixture
def destination(pipeline: Harness) -> ClickHouseDestination:
    return ClickHouseDestination(pipeline.clickhouse, pipeline.catalog, pipeline.names)


@contextmanager
def redirecting(url: str) -> Generator[str]:
    """Put something before a server that sends everybody to another path of the same address first."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                body = self._body()
            except ValueError:
                # It was broken off.
                self.close_connection = True
                return
            if not self.path.startswith("/there"):
                self._answer(307, {"Location": f"/there{self.path}"}, b"")
                return
            parts = urlsplit(url)
            kept = {name: value for name, value in self.headers.items() if name in ("Authorization", "Content-Type")}
            with closing(HTTPConnection(parts.hostname or "", parts.port)) as server:
                server.request("POST", self.path.removeprefix("/there"), body, kept)
                answer = server.getresponse()
                headers = {name: value for name, value in answer.headers.items() if name.startswith("X-ClickHouse")}
                self._answer(answer.status, headers, answer.read())

        def _body(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield url.replace(f":{urlsplit(url).port}", f":{server.server_port}")
        server.shutdown()
        thread.join()


def part(tenancy: UUID, upto: int, *, epoch: int = 0, mapping: str = "users") -> Slice:
    return Slice(Pair(tenancy, mapping), epoch, 0, upto, first=False, complete_up_to=upto)


def merge(pipeline: Harness, table: str) -> None:
    """Have ClickHouse drop what it would drop some time by itself."""
    pipeline.clickhouse.execute(f"optimize table {tables.name(pipeline.names.internal)}.{tables.name(table)} final")


@pytest.mark.parametrize("merged", [False, True])
def test_the_highest_checkpoint_counts(pipeline: Harness, destination: ClickHouseDestination, *, merged: bool) -> None:
    """D37, I5: whoever writes last, and whatever its clock says; of a later epoch, whatever its number."""
    tenancy = uuid4()
    for upto, epoch, counts in ((5, 0, (0, 5)), (9, 0, (0, 9)), (7, 0, (0, 9)), (3, 1, (1, 3)), (99, 0, (1, 3))):
        destination.record([part(tenancy, upto, epoch=epoch)])
        if merged:
            merge(pipeline, tables.CHECKPOINT_TABLE)
        found = destination.checkpoints([Pair(tenancy, "users"), Pair(tenancy, "teams")])
        assert found == {Pair(tenancy, "users"): Checkpoint(*counts)}


def test_checkpoints_are_exact_integers(destination: ClickHouseDestination) -> None:
    """D38: beyond 2^53, where a double would round."""
    pair = Pair(uuid4(), "users")
    for upto in (2**53 + 1, 2**63 - 1):
        destination.record([part(pair.tenancy_id, upto)])
        assert destination.checkpoints([pair])[pair].sequence_id == upto


def test_checkpoints_of_tenancies_whose_ids_are_any_text(pipeline: Harness, clickhouse_database_prefix: str) -> None:
    """I5, I7: no id can be taken for another, or for two."""
    text = pipeline.catalog.tenancy.model_copy(update={"type": "text"})
    catalog = replace(pipeline.catalog, tenancy=text)
    names = tables.ClickHouseNames(clickhouse_database_prefix)
    init_clickhouse(pipeline.clickhouse, catalog, names)
    destination = ClickHouseDestination(pipeline.clickhouse, catalog, names)
    pairs = [Pair(tenancy, "users") for tenancy in ("a", "a\tb", "a\nb", "a\\tb", "a\\", "it's", "\\N", "")]
    destination.record(
        [Slice(pair, 0, 0, number, first=False, complete_up_to=number) for number, pair in enumerate(pairs)]
    )
    assert destination.checkpoints(pairs) == {pair: Checkpoint(0, number) for number, pair in enumerate(pairs)}


def test_checkpoints_of_any_number_of_pairs(destination: ClickHouseDestination) -> None:
    """A worker may claim as many pairs as its setting says; no query is too long for ClickHouse."""
    slices = [part(uuid4(), number, mapping="notification_preferences") for number in range(1, 20_001)]
    destination.record(slices)
    found = destination.checkpoints(entry.pair for entry in slices)
    assert found == {entry.pair: Checkpoint(0, entry.upto) for entry in slices}


def test_checkpoints_of_pairs_whose_ids_are_long(pipeline: Harness, clickhouse_database_prefix: str) -> None:
    """Nor is a query then: a claim that cannot be asked about would never be delivered."""
    catalog = replace(pipeline.catalog, tenancy=pipeline.catalog.tenancy.model_copy(update={"type": "text"}))
    names = tables.ClickHouseNames(clickhouse_database_prefix)
    init_clickhouse(pipeline.clickhouse, catalog, names)
    destination = ClickHouseDestination(pipeline.clickhouse, catalog, names)
    pairs = [Pair(f"{'tenancy ä' * 30}{number}", "users") for number in range(2_000)]
    destination.record([Slice(pair, 0, 0, 1, first=False, complete_up_to=1) for pair in pairs])
    assert destination.checkpoints(pairs) == dict.fromkeys(pairs, Checkpoint(0, 1))


def send(
    destination: ClickHouseDestination,
    tenancy: UUID,
    version: int,
    name: str,
    *,
    deleted: bool = False,
    project: str = "p",
    team: int = 1,
    image: str = "\\N",
) -> None:
    """Deliver one version of one team, as the COPY would give it."""
    places = [project, "main", str(tenancy), str(UUID(int=team))]
    values = [*places, name, image, NOW, "{}", "{}", "{}", str(version), str(int(deleted))]
    mapping = load_catalog().mapping("teams")
    destination.deliver(mapping, [part(tenancy, version)], iter(["\t".join(values).encode() + b"\n"]))


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (3, 3, 1)])
def test_the_newest_version_shows_whatever_came_last(
    pipeline: Harness, destination: ClickHouseDestination, order: tuple[int, ...], *, merged: bool
) -> None:
    """I6, D23: late, twice or in reverse, before a merge and after it."""
    tenancy = uuid4()
    for version in order:
        send(destination, tenancy, version, f"version {version}")
        if merged:
            merge(pipeline, "teams")
    assert [row["display_name"] for row in pipeline.view("teams")] == ["version 3"]


@pytest.mark.parametrize("merged", [False, True])
def test_a_tombstone_is_a_version(pipeline: Harness, destination: ClickHouseDestination, *, merged: bool) -> None:
    """D35, D36: it hides what is older and yields to what is newer, and a merge leaves it in place."""
    tenancy = uuid4()
    for version, deleted, shown in ((2, False, 1), (3, True, 0), (1, False, 0), (2, False, 0), (4, False, 1)):
        send(destination, tenancy, version, str(version), deleted=deleted)
        if merged:
            merge(pipeline, "teams")
            assert len(pipeline.versions("teams")) == 1
        assert len(pipeline.view("teams")) == shown
        assert len(pipeline.view("teams", tenancy)) == shown


def test_siblings_do_not_share_keys(pipeline: Harness, destination: ClickHouseDestination) -> None:
    """D41, I7: the tenancy is part of the key, so that one project's two tenancies keep their own rows."""
    tenancies = [uuid4(), uuid4()]
    for tenancy in tenancies:
        send(destination, tenancy, 1, str(tenancy))
    merge(pipeline, "teams")
    for tenancy in tenancies:
        assert [row["display_name"] for row in pipeline.view("teams", tenancy)] == [str(tenancy)]


def test_no_table_is_partitioned(pipeline: Harness) -> None:
    """D22, D35: old and new versions of a row, and its tombstone, always meet in a merge."""
    found = pipeline.clickhouse.query(
        "select name, partition_key, sorting_key from system.tables where database = {d:String}",
        {"d": pipeline.names.internal},
    )
    assert len(found) == len(pipeline.catalog.mappings) + 1
    for name, partition_key, sorting_key in found:
        assert partition_key == ""
        if name != tables.CHECKPOINT_TABLE:
            assert sorting_key.startswith("project_id, branch_id, tenancy_id, ")


def test_dates_of_hundreds_of_months_in_one_insert(pipeline: Harness) -> None:
    """D22: a load of an old application."""
    tenancy = pipeline.app.tenancy()
    for month in range(150):
        pipeline.app.project_permission(
            tenancy, pipeline.app.user(tenancy), "p", createdAt=f"{2000 + month // 12}-{1 + month % 12:02}-01"
        )
    pipeline.assert_synced("project_permissions", "users")
    assert len(pipeline.view("project_permissions")) == 150


def test_versions_of_deleted_rows_carry_no_values(pipeline: Harness) -> None:
    """D36, S16: a tombstone has the key and what stands for nothing, and a merge drops what it replaces."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="secret@example.com", displayName="secret", clientMetadata='"secret"')
    team = pipeline.app.team(tenancy, displayName="secret")
    pipeline.app.member(tenancy, team, user, displayName="secret")
    pipeline.app.invitation(tenancy, team, "secret@example.com")
    pipeline.app.account(tenancy, user, providerAccountId="secret")
    pipeline.drain()
    for table in ("ProjectUser", "VerificationCode", "Team"):
        pipeline.app.run(f'delete from "{table}"')
    pipeline.assert_synced()
    for mapping in (
        "users",
        "contact_channels",
        "teams",
        "team_member_profiles",
        "team_invitations",
        "connected_accounts",
    ):
        merge(pipeline, mapping)
        (left,) = pipeline.versions(mapping)
        assert left["sync_is_deleted"] == 1
        assert "secret" not in str(left)


@pytest.mark.parametrize("column", [3, 6, 10])
def test_null_is_refused_where_there_is_none(destination: ClickHouseDestination, column: int) -> None:
    """S16: no value is invented for a key, a time or a number."""
    values = ["p", "main", str(uuid4()), str(uuid4()), "name", "\\N", NOW, "{}", "{}", "{}", "1", "0"]
    values[column] = "\\N"
    with pytest.raises(BadRowError):
        destination.deliver(load_catalog().mapping("teams"), [], iter(["\t".join(values).encode() + b"\n"]))


def test_what_a_refusal_says_quotes_no_row_behind_the_one_refused(destination: ClickHouseDestination) -> None:
    """It may be another tenancy's."""
    rows = [
        ["p", "main", str(uuid4()), str(uuid4()), name, "\\N", NOW, "{}", "{}", "{}", "1", deleted]
        for name, deleted in (("name", "0 more"), ("somebody else", "0"))
    ]
    with pytest.raises(BadRowError) as raised:
        destination.deliver(
            load_catalog().mapping("teams"), [], iter(["\t".join(row).encode() + b"\n" for row in rows])
        )
    said = str(raised.value)
    assert "refuses a value: Cannot parse input" in said
    assert "somebody" not in said


@pytest.mark.parametrize(
    "profile",
    [
        {"input_format_tsv_empty_as_default": 1},
        {"input_format_tsv_skip_first_lines": 1},
        {"format_tsv_null_representation": ""},
    ],
    ids=str,
)
def test_values_arrive_as_they_are_whatever_the_users_profile_says(pipeline: Harness, profile: dict[str, Any]) -> None:
    """I5: nor is a row left out that the checkpoint covers."""
    tenancy = uuid4()
    with ClickHouse(pipeline.server.clickhouse.url, settings=profile) as clickhouse:
        destination = ClickHouseDestination(clickhouse, pipeline.catalog, pipeline.names)
        send(destination, tenancy, 1, "one", image="")
        send(destination, tenancy, 2, "two", team=2)
        destination.record([part(tenancy, 2, mapping="teams")])
    shown = {row["display_name"]: row["profile_image_url"] for row in pipeline.view("teams", tenancy)}
    assert shown == {"one": "", "two": None}
    assert pipeline.checkpoint("teams", tenancy) == 2


def test_what_cannot_be_read_is_refused_though_the_users_profile_allows_for_it(pipeline: Harness) -> None:
    """I5: a row is not skipped and then said to be there."""
    with ClickHouse(pipeline.server.clickhouse.url, settings={"input_format_allow_errors_num": 10}) as clickhouse:
        destination = ClickHouseDestination(clickhouse, pipeline.catalog, pipeline.names)
        with pytest.raises(BadRowError):
            send(destination, uuid4(), 1, "one", project="one\tmore")


def test_rows_that_are_redirected_are_not_said_to_be_there(pipeline: Harness) -> None:
    """I5: they can be sent once, and the driver follows a redirection with what is left of them, which is nothing."""
    with redirecting(pipeline.server.clickhouse.url) as url, ClickHouse(url) as clickhouse:
        destination = ClickHouseDestination(clickhouse, pipeline.catalog, pipeline.names)
        with pytest.raises(UnreachableError, match="once only"):
            send(destination, uuid4(), 1, "one")


def test_rows_that_were_there_before_are_written_again(pipeline: Harness, fresh: tables.ClickHouseNames) -> None:
    """I6: on a server that drops a block which looks like an earlier one, as ClickHouse Cloud does, too."""
    tenancy = uuid4()
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, fresh)
    table = fresh.table(pipeline.catalog.mapping("teams"))
    pipeline.clickhouse.execute(f"alter table {table} modify setting non_replicated_deduplication_window = 100")
    destination = ClickHouseDestination(pipeline.clickhouse, pipeline.catalog, fresh)
    for _ in range(2):
        send(destination, tenancy, 1, "one")
        assert pipeline.clickhouse.query(f"select count() from {table}") == [(1,)]
        # Somebody removes it, to have it delivered again.
        pipeline.clickhouse.execute(f"alter table {table} delete where true settings mutations_sync = 2")


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        (242, "", RefusedForNowError),
        (252, "", RefusedForNowError),
        (285, "", RefusedForNowError),
        (286, "", RefusedForNowError),
        (319, "", RefusedForNowError),
        (241, "(total) memory limit exceeded", UnreachableError),
        (241, "Memory limit (total) exceeded", UnreachableError),
        (241, "Query memory limit exceeded", DbsyncError),
        (243, "", UnreachableError),
        (999, "", UnreachableError),
    ],
)
def test_what_clickhouse_says_is_an_outage_or_one_tables_trouble(
    pipeline: Harness, code: int, said: str, error: type[DbsyncError]
) -> None:
    with pytest.raises(DbsyncError) as failure:
        pipeline.clickhouse.query(
            f"select throwIf(1, '{said}', toInt16({code})) settings allow_custom_error_code_in_throwif = 1"
        )
    assert type(failure.value) is error


@pytest.fixture
def fresh(pipeline: Harness, clickhouse_database_prefix: str) -> tables.ClickHouseNames:
    """Names under which nothing exists."""
    return tables.ClickHouseNames(clickhouse_database_prefix)


def titles(pipeline: Harness, names: tables.ClickHouseNames) -> list[str]:
    return [step.title for step in tables.plan(pipeline.clickhouse, pipeline.catalog, names)]


def test_a_second_init_makes_no_table(pipeline: Harness, fresh: tables.ClickHouseNames) -> None:
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, fresh)
    assert [title for title in titles(pipeline, fresh) if title.startswith(("table", "column"))] == []
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, fresh)


def test_a_new_column_is_added_in_its_place(pipeline: Harness, fresh: tables.ClickHouseNames) -> None:
    """D45: with the rows that are there; the next delivery fills it."""
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, fresh)
    mapping = pipeline.catalog.mapping("teams")
    pipeline.clickhouse.execute(f"drop view {fresh.view(mapping)}")
    pipeline.clickhouse.execute(f"drop view {fresh.tenancy_view(mapping)}")
    pipeline.clickhouse.execute(f"alter table {fresh.table(mapping)} drop column profile_image_url")
    found = [title for title in titles(pipeline, fresh) if title.startswith(("table", "column"))]
    assert found == ["column teams.profile_image_url"]
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, fresh)
    names = pipeline.clickhouse.query(
        "select name, type from system.columns where database = {d:String} and table = 'teams' order by position",
        {"d": fresh.internal},
    )
    assert names == [(column.name, column.type) for column in tables.columns(pipeline.catalog, mapping)]


VERSION = "sync_sequence_id UInt64, sync_is_deleted UInt8"
ENGINE = "engine = ReplacingMergeTree(sync_sequence_id, sync_is_deleted)"
OURS = f"{ENGINE} order by (project_id, branch_id, tenancy_id, id)"


@pytest.mark.parametrize(
    ("definition", "complaint"),
    [
        ("(id UUID) engine = MergeTree order by id", "has another engine"),
        ("(x UInt8, v UInt64) engine = ReplacingMergeTree(v) order by x", "has another engine"),
        (
            f"(id UUID, {VERSION}) {ENGINE} order by id",
            r"is keyed by \(id\), not \(project_id, branch_id, tenancy_id, id\)",
        ),
        (
            f"(project_id String, branch_id String, tenancy_id UUID, id UUID, display_name UInt8, {VERSION}) {OURS}",
            "column display_name is UInt8, not String",
        ),
    ],
)
def test_a_table_that_is_not_ours_is_not_written(
    pipeline: Harness, fresh: tables.ClickHouseNames, definition: str, complaint: str
) -> None:
    """D25 in ClickHouse's form: what another hand made is refused before anything is changed."""
    pipeline.clickhouse.execute(f"create database {fresh.internal}")
    pipeline.clickhouse.execute(f"create table {fresh.internal}.teams {definition}")
    with pytest.raises(IncompatibleTargetError, match=complaint):
        tables.plan(pipeline.clickhouse, pipeline.catalog, fresh)


@pytest.mark.parametrize(
    ("cluster", "engine", "ours"),
    [
        ("", "ReplacingMergeTree(", True),
        ("", "SharedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', ", True),
        ("", "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', ", False),
        ("all", "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', ", True),
        ("all", "SharedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', ", True),
        ("all", "ReplacingMergeTree(", False),
    ],
)
def test_a_second_init_knows_the_engine_as_clickhouse_names_it(
    pipeline: Harness,
    fresh: tables.ClickHouseNames,
    monkeypatch: pytest.MonkeyPatch,
    cluster: str,
    engine: str,
    *,
    ours: bool,
) -> None:
    """What a server of another kind says of a table that was made by the first."""
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, fresh)
    query = ClickHouse.query

    def elsewhere(
        self: ClickHouse, statement: str, parameters: dict[str, object] | None = None
    ) -> list[tuple[Any, ...]]:
        rows = query(self, statement, parameters)
        if "engine_full" not in statement:
            return rows
        return [(name, full.replace("ReplacingMergeTree(", engine), key) for name, full, key in rows]

    monkeypatch.setattr(ClickHouse, "query", elsewhere)
    with nullcontext() if ours else pytest.raises(IncompatibleTargetError, match="has another engine"):
        tables.plan(pipeline.clickhouse, pipeline.catalog, replace(fresh, cluster=cluster))


def test_names_with_quotes_are_quoted() -> None:
    assert (tables.name("a`b\\c"), tables.literal("a'b\\c")) == ("`a\\`b\\\\c`", "'a\\'b\\\\c'")


def test_the_database_is_a_setting(pipeline: Harness) -> None:
    settings = Settings(source_url=SecretStr("x"), clickhouse_url=SecretStr("y"), clickhouse_database="other")
    mapping = pipeline.catalog.mapping("users")
    assert Pipeline(settings).clickhouse_names.table(mapping) == "`other_internal`.`users`"
