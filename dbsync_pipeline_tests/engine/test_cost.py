"""What a cycle costs, counted in rows and requests and never in time: it follows the change, not what exists (I9)."""

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.destinations.base import Pair, Slice
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.destinations.postgres import destination
from dbsync_pipeline.engine.extraction import Extraction, parameters
from dbsync_pipeline.verify.copies import ClickHouseCopy
from dbsync_pipeline.verify.scope import Scope, Share
from dbsync_pipeline.verify.states import Key, States
from dbsync_pipeline_tests.acceptance.test_advanced import import_users
from dbsync_pipeline_tests.harness import Harness

REQUESTS = ("query", "execute", "insert_stream")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of ClickHouse from now on."""
    counted: Counter[str] = Counter()
    lock = Lock()

    def counting(name: str) -> Any:
        original = getattr(ClickHouse, name)

        def call(self: ClickHouse, *arguments: Any, **more: Any) -> Any:
            with lock:
                counted[name] += 1
            return original(self, *arguments, **more)

        return call

    for name in REQUESTS:
        monkeypatch.setattr(ClickHouse, name, counting(name))
    return counted


def reads(pipeline: Harness, statement: sql.Composed) -> float:
    """Return how many rows a query takes from tables and indexes, those included that it then leaves out.

    A table that fits into a few pages is read whole, and rightly; these here stand for large ones.
    """
    explained = sql.SQL("explain (analyze, buffers, format json) {}").format(statement)
    with pipeline.admin.transaction(force_rollback=True):
        for way in ("seqscan", "hashjoin", "mergejoin"):
            pipeline.admin.execute(f"set local enable_{way} = off")
        ((plan,),) = pipeline.admin.execute(explained).fetchall()
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in _nodes(plan[0]["Plan"])
        if "Scan" in node["Node Type"] and ("Relation Name" in node or "Index Name" in node)
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _slices(tenancies: list[UUID], mapping: str, after: int, upto: int) -> list[Slice]:
    return [Slice(Pair(tenancy, mapping), 0, after, upto, first=False, complete_up_to=upto) for tenancy in tenancies]


def _extraction(pipeline: Harness, mapping: str) -> tuple[Extraction, ClickHouseDestination]:
    found = pipeline.catalog.mapping(mapping)
    destination = ClickHouseDestination(pipeline.clickhouse, pipeline.catalog, pipeline.names)
    return Extraction(pipeline.catalog, found, pipeline.pipeline.columns), destination


def test_inserts_do_not_grow_with_tenancies(pipeline: Harness, requests: Counter[str]) -> None:
    """D34, S28: one insert a changed mapping and one of checkpoints for all tenancies of a batch, and no DDL."""
    for _ in range(30):
        tenancy = pipeline.app.tenancy()
        pipeline.app.team(tenancy)
        pipeline.app.user(tenancy, email="a@example.com")
    pipeline.drain()
    pipeline.app.run('update "ProjectUser" set "displayName" = \'changed\'')
    pipeline.app.run('update "Team" set "displayName" = \'changed\'')
    pipeline.sequence()
    requests.clear()
    assert len(pipeline._worker.run_once()) == 60
    assert requests == {"query": 1, "insert_stream": 3}


@pytest.mark.parametrize(
    ("most_together", "copies"), [(destination.MOST_BYTES, 0), (0, 1)], ids=["together", "by copy"]
)
def test_statements_in_an_external_database_do_not_grow_with_rows(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch, most_together: int, copies: int
) -> None:
    """D28: a batch is one merge and one move of the checkpoint, and a COPY if it is large, however many rows it has."""
    monkeypatch.setattr(destination, "MOST_BYTES", most_together)
    tenancy = pipeline.app.tenancy()
    external = pipeline.configure_external(tenancy)
    for _ in range(60):
        pipeline.app.user(tenancy)
    pipeline.drain()
    database = external.url.rpartition("/")[2].partition("?")[0]
    asked: list[str] = []

    def counting(original: Any) -> Any:
        def call(self: psycopg.Cursor, query: Any, *arguments: Any, **more: Any) -> Any:
            if self.connection.info.dbname == database:
                asked.append(query.decode() if isinstance(query, bytes) else sql.as_string(query, self))
            return original(self, query, *arguments, **more)

        return call

    for name in ("execute", "copy"):
        monkeypatch.setattr(psycopg.Cursor, name, counting(getattr(psycopg.Cursor, name)))
    batches: list[list[str]] = []
    with pipeline.external_worker(external.destination_id) as worker:
        change = 'update "ProjectUser" set "displayName" = %s where "projectUserId" in ({})'
        some = 'select "projectUserId" from "ProjectUser" limit %s'
        for rows in (1, 5, 60):
            pipeline.app.run(change.format(some), f"of {rows}", rows)
            pipeline.sequence()
            asked.clear()
            results = worker.run_once()
            assert sum(entry.delivery.upserted for entry in results) == rows
            batches.append(asked.copy())
    assert batches[1] == batches[2]
    for part in ('insert into "dbsync"."users"', 'update "dbsync"."sync_checkpoint"'):
        assert sum(part in entry for entry in batches[2]) == 1
    assert sum("from stdin" in entry for entry in batches[2]) == copies


def test_a_quiet_worker_asks_nothing_of_clickhouse(pipeline: Harness, requests: Counter[str]) -> None:
    """I9, D33: a tenancy without a change is not looked at."""
    tenancies = [pipeline.app.tenancy() for _ in range(10)]
    for tenancy in tenancies:
        pipeline.app.user(tenancy)
    pipeline.drain()
    requests.clear()
    assert pipeline._worker.run_once() == []
    assert requests == {}
    pipeline.app.user(tenancies[0])
    pipeline.sequence()
    assert [(result.item.tenancy_id, result.item.mapping_id) for result in pipeline._worker.run_once()] == [
        (tenancies[0], "users")
    ]


def test_a_checkpoint_moves_past_what_holds_nothing(pipeline: Harness) -> None:
    """D32, D33: a mapping whose rows are all gone again is not searched from its old position every time."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.account(tenancy, None)
    pipeline.app.team(tenancy)
    pipeline.drain()
    account = pipeline.app.account(tenancy, pipeline.app.user(tenancy))
    pipeline.app.update("ProjectUserOAuthAccount", {"id": account}, projectUserId=None)
    pipeline.drain()
    assert pipeline.checkpoint("connected_accounts", tenancy) == pipeline.value(
        "select last_sequence_id from dbsync.sequencer"
    )


def test_a_page_reads_its_own_rows(pipeline: Harness) -> None:
    """D31: reading one page of a large tenancy costs a page, wherever in the load it is."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    for owner in (tenancy, other):
        import_users(pipeline.app, owner, 1_500)
    pipeline.sequence()
    pipeline.admin.execute("analyze")
    extraction, destination = _extraction(pipeline, "users")
    ids = [
        number
        for (number,) in pipeline.rows(
            'select "sequenceId" from "ProjectUser" where "tenancyId" = %s order by 1', tenancy
        )
    ]
    projection = destination.projection(extraction.mapping)
    for start in (0, 700, 1_399):
        (page,) = _slices([tenancy], "users", ids[start] - 1, ids[start + 100] - 1)
        # A user, its address, and the index entries that lead there.
        assert reads(pipeline, extraction.live_rows(projection, [page])) <= 100 * 5
        whole = Slice(page.pair, 0, page.after, ids[-1], first=False, complete_up_to=ids[-1])
        assert reads(pipeline, extraction.extent([whole], 100)) <= 100 * 5


def test_rows_are_not_read_for_places_that_nobody_left(pipeline: Harness) -> None:
    """A tenancy that was never renamed costs a look at it, also where its rows are too many to be kept for a join."""
    tenancy = pipeline.app.tenancy()
    import_users(pipeline.app, tenancy, 3_000)
    pipeline.sequence()
    pipeline.admin.execute("analyze")
    extraction, destination = _extraction(pipeline, "users")
    upto = pipeline.value("select last_sequence_id from dbsync.sequencer")
    pipeline.admin.execute("set work_mem = '64kB'")
    projection, slices = destination.projection(extraction.mapping), _slices([tenancy], "users", 0, upto)
    assert reads(pipeline, extraction._left_places(projection, slices, renamed=True)) <= 5


@pytest.mark.parametrize("mapping", ["users", "team_invitations", "team_member_profiles", "session_replays"])
def test_a_change_is_found_without_reading_what_did_not(pipeline: Harness, mapping: str) -> None:
    """D32: one changed row in each of a few tenancies, among many rows of many."""
    tenancies = [pipeline.app.tenancy() for _ in range(20)]
    for tenancy in tenancies:
        import_users(pipeline.app, tenancy, 100)
        team = pipeline.app.team(tenancy)
        pipeline.app.run(
            'insert into "VerificationCode" '
            '("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt") '
            "select %s, 'main', gen_random_uuid(), 'TEAM_INVITATION', 'code ' || i, "
            "jsonb_build_object('team_id', %s::text), now(), now() from generate_series(1, 150) as i",
            *(f"project-{tenancy}", team),
        )
        pipeline.app.run(
            'insert into "TeamMember" ("tenancyId", "teamId", "projectUserId", "updatedAt") '
            'select "tenancyId", %s, "projectUserId", "updatedAt" from "ProjectUser" where "tenancyId" = %s',
            *(team, tenancy),
        )
        user = pipeline.value('select "projectUserId" from "ProjectUser" where "tenancyId" = %s limit 1', tenancy)
        for _ in range(20):
            pipeline.app.chunk(tenancy, pipeline.app.replay(tenancy, user))
    pipeline.sequence()
    pipeline.admin.execute("analyze")
    after = pipeline.value("select last_sequence_id from dbsync.sequencer")
    pipeline.app.user(tenancies[0])
    pipeline.sequence()
    extraction, destination = _extraction(pipeline, mapping)
    slices = _slices(tenancies[:10], mapping, after, after + 1_000)
    assert reads(pipeline, extraction.live_rows(destination.projection(extraction.mapping), slices)) <= 60
    assert reads(pipeline, extraction.tombstones(destination.projection(extraction.mapping), slices)) <= 60
    assert reads(pipeline, extraction.extent(slices, 1_000)) <= 60
    # And by a plan that is made before anybody knows which slices are asked for.
    for statement, given in (
        (extraction.extents, [*parameters(slices), 1_000]),
        (extraction.select(destination.projection(extraction.mapping), renamed=True), parameters(slices)),
    ):
        with prepared(pipeline, statement, given) as execution:
            assert reads(pipeline, execution) <= 200


@contextmanager
def prepared(pipeline: Harness, statement: bytes, given: list[Any]) -> Generator[sql.Composed]:
    """Prepare a query with a plan that serves any parameters; give what executes it with some."""
    pipeline.admin.execute("set plan_cache_mode = force_generic_plan")
    pipeline.admin.execute(b"prepare of_test as " + statement)
    try:
        yield sql.SQL("execute of_test ({})").format(sql.SQL(", ").join(map(sql.Literal, given)))
    finally:
        pipeline.admin.execute("deallocate of_test")
        pipeline.admin.execute("reset plan_cache_mode")


def test_the_tombstones_of_a_key_are_found_among_those_of_other_tenancies(pipeline: Harness) -> None:
    """Numbered ones stay for as long as the settings say; those without a number, until the next pass."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.admin.execute(
        """
        insert into dbsync.tombstone (mapping_id, tenancy_id, identity, sequence_id)
        select mapping_id, gen_random_uuid(), '{}'::jsonb, sequence_id
        from (values ('users', 1), ('teams', null)) as kind (mapping_id, sequence_id), generate_series(1, 5000)
        """
    )
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.admin.execute("analyze")
    states = States(
        pipeline.catalog, pipeline.catalog.mapping("users"), pipeline.pipeline.columns, "clickhouse", "clickhouse"
    )
    key = Key(str(tenancy), (str(user),))
    assert states.read(pipeline.admin, [key])[key].unnumbered
    assert reads(pipeline, states.tombstones([key])) <= 10


def test_verifying_some_tenancies_reads_of_others_only_whose_they_are(pipeline: Harness) -> None:
    """Of large tenancies that are not asked about, not even that."""
    mapping = pipeline.catalog.mapping("teams")
    tenancies = [uuid4() for _ in range(4)]
    for tenancy in tenancies:
        pipeline.clickhouse.execute(
            f"insert into {pipeline.names.table(mapping)} (project_id, branch_id, tenancy_id, id, sync_sequence_id) "
            f"select 'p', 'main', '{tenancy}', generateUUIDv4(), number from numbers(50000)"
        )
    pipeline.clickhouse.execute(f"optimize table {pipeline.names.table(mapping)} final")
    for scope in (Scope((str(tenancies[0]),)), Scope(share=Share.nth(0.5, 0))):
        copy = ClickHouseCopy(pipeline.clickhouse, pipeline.catalog, mapping, pipeline.names, scope)
        plan = [line.strip() for (line,) in pipeline.clickhouse.query(f"explain indexes = 1 {copy._of(scope).sums()}")]
        (first,) = [line for line in plan if line.startswith("Prewhere filter column:")]
        assert "tenancy_id" in first
        (granules,) = [line.removeprefix("Granules: ") for line in plan if line.startswith("Granules: ")]
        read, there = map(int, granules.split("/"))
        assert read < there / 2 or scope.share is not None


def test_a_batch_of_thousands_of_pairs(pipeline: Harness) -> None:
    """Whatever the setting allows, no query outgrows what ClickHouse takes for one."""
    pipeline.configure(sync_batch_tenancies=6_000)
    pipeline.admin.execute(
        """
        with fresh as (
            insert into "Project" ("id", "displayName", "isProductionMode", "updatedAt") values ('p', 'p', false, now())
        )
        insert into "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt")
        select gen_random_uuid(), 'p', 'main', gen_random_uuid(), now() from generate_series(1, 5000)
        """
    )
    pipeline.sequence()
    pipeline.admin.execute(
        'insert into "Team" '
        '("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") '
        "select tenancy_id, gen_random_uuid(), 'p', 'main', 'team', now() from dbsync.tenancy"
    )
    pipeline.sequence()
    results = pipeline.sync()
    assert len(results) == 5_000
    assert pipeline.clickhouse.query(
        f"select count() from {pipeline.names.view(pipeline.catalog.mapping('teams'))}"
    ) == [(5_000,)]
    assert pipeline.pending() == []
