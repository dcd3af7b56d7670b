"""How a pass numbers: what it visits, what it leaves, and that nothing it leaves is lost."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline_tests.application import NOW, Application
from dbsync_pipeline_tests.harness import Harness


def drained(pipeline: Harness, **options: int) -> Sequencer:
    """Return a sequencer of the test's own batch size over the admin's session."""
    return Sequencer(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns, batch_size=options["batch_size"])


def test_the_first_id_is_delivered_after_passes_that_numbered_nothing(pipeline: Harness) -> None:
    """I1, I5: a checkpoint may not cover an id that is still to be given out."""
    empty = pipeline.app.tenancy()
    pipeline.sequence()
    assert pipeline.value("select last_sequence_id from dbsync.sequencer") == 0
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted) values (%s, 'users', %s, 1)",
        [empty, "clickhouse"],
    )
    with pipeline.worker() as worker:
        worker.run_once()
    pipeline.admin.execute("delete from dbsync.pending")
    pipeline.app.user(empty)
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == 1


def test_an_id_is_given_to_one_row_only(pipeline: Harness) -> None:
    """D39: a page that ends between two rows of one id would lose the second."""
    tenancy = pipeline.app.tenancy()
    for _ in range(20):
        pipeline.app.session(tenancy, pipeline.app.user(tenancy, email=f"{uuid4()}@example.com"))
    pipeline.app.run('delete from "ProjectUserRefreshToken" where "id" < %s', uuid4())
    pipeline.sequence()
    ids = pipeline.rows(
        'select "sequenceId" from "ProjectUser" union all select "sequenceId" from "ContactChannel" '
        'union all select "sequenceId" from "ProjectUserRefreshToken" '
        "union all select sequence_id from dbsync.tombstone"
    )
    assert len(ids) == len(set(ids)) == 60


def test_ids_above_the_range_of_a_double(pipeline: Harness) -> None:
    """D38: ids are 64-bit integers all the way."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute("select setval('dbsync.sequence_id', %s)", [2**53 + 1])
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="beyond")
    pipeline.assert_synced()
    (newest,) = pipeline.rows('select "sequenceId" from "ProjectUser"')
    assert newest == (2**53 + 2,)
    assert pipeline.versions("users")[-1]["sync_sequence_id"] == 2**53 + 2
    assert pipeline.checkpoint("users", tenancy) == pipeline.value("select last_sequence_id from dbsync.sequencer")


def test_an_idle_pass_is_one_query(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """D10: the cost of idling does not grow with tables or tenancies."""
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.drain()
    statements = []
    execute = psycopg.Connection.execute
    monkeypatch.setattr(
        psycopg.Connection,
        "execute",
        lambda self, query, *rest: (statements.append(query), execute(self, query, *rest))[1],
    )
    assert pipeline._sequencer.run_pass().rows == 0
    assert len(statements) == 1


def test_rows_that_no_mapping_wants_do_not_wait(pipeline: Harness) -> None:
    """D13: codes of other kinds stay outside the index of waiting rows and keep nobody awake."""
    tenancy = pipeline.app.tenancy()
    pipeline.sequence()
    for number in range(5):
        pipeline.app.invitation(tenancy, uuid4(), type="PASSWORD_RESET", code=str(number))
    assert pipeline._sequencer.waiting() is False
    definition = pipeline.value(
        """select indexdef from pg_indexes where tablename = 'VerificationCode' and indexdef like '%%"shouldUpdate%%'"""
    )
    assert "TEAM_INVITATION" in definition


def test_clean_rows_are_not_in_the_index_of_waiting_rows(pipeline: Harness) -> None:
    """D13: numbering leaves the index nearly empty, however large the table."""
    tenancy = pipeline.app.tenancy()
    for _ in range(300):
        pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute('vacuum "ProjectUser"')
    (name,) = [
        name
        for (name,) in pipeline.rows(
            """select indexrelid::regclass::text from pg_index where indrelid = '"ProjectUser"'::regclass
            and pg_get_expr(indpred, indrelid) like '%%shouldUpdate%%'"""
        )
    ]
    assert pipeline.value("select reltuples from pg_class where oid = %s::regclass", name) == 0


def test_a_table_that_fails_does_not_stop_the_others(pipeline: Harness) -> None:
    """D11: an error stays with its table and is reported under its name."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    user = pipeline.app.user(tenancy)
    pipeline.admin.execute("""alter table "Team" add constraint broken check ("sequenceId" is null)""")
    result = pipeline._sequencer.run_pass()
    assert list(result.errors) == ["Team"]
    assert "broken" in result.errors["Team"]
    assert ("users", tenancy) in result.numbered
    pipeline.admin.execute('alter table "Team" drop constraint broken')
    pipeline.assert_synced()
    assert [row["id"] for row in pipeline.view("users")] == [user]


def test_a_table_that_is_gone_does_not_stop_the_others(pipeline: Harness) -> None:
    """D11: not even the query that looks for work may depend on every table being there."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    with pipeline.sequencer() as sequencer:
        pipeline.admin.execute('alter table "Team" rename to "Gone"')
        result = sequencer.run_pass()
    # Invitations need their team.
    assert set(result.errors) == {"Team", "VerificationCode"}
    assert ("users", tenancy) in result.numbered


def test_a_pass_that_only_clears_away_is_no_reason_to_stop(pipeline: Harness) -> None:
    """What is left to do shows in what a pass handled, not in what has to be delivered."""
    tenancy = pipeline.app.tenancy()
    team = pipeline.app.team(tenancy)
    pipeline.drain()
    nowhere = [
        pipeline.app.invitation(tenancy, uuid4(), id=f"00000000-0000-0000-0000-{number:012}") for number in range(3)
    ]
    pipeline.app.invitation(tenancy, team, id="ffffffff-0000-0000-0000-000000000000")
    sequencer = drained(pipeline, batch_size=1)
    passes = 0
    while sequencer.run_pass().handled:
        passes += 1
    assert passes == len(nowhere) + 1
    pipeline.assert_synced()
    assert len(pipeline.view("team_invitations")) == 1


@pytest.mark.parametrize(
    "action", ["deletes its tenancy", "holds a row", "holds a row of a tombstone", "holds a fed row"]
)
def test_an_open_transaction_holds_nobody_up(pipeline: Harness, action: str) -> None:
    """The sequencer passes by what the application has locked, numbers the rest, and comes back for it."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    user, free = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.user(other)
    gone = pipeline.app.session(tenancy, user)
    pipeline.drain()
    pipeline.app.delete("ProjectUserRefreshToken", id=gone)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="waits")
    pipeline.app.update("ProjectUser", {"projectUserId": free}, displayName="does not")
    with pipeline.write() as db:
        app = Application(db)
        if action == "deletes its tenancy":
            app.delete("Tenancy", id=tenancy)
        elif action == "holds a row":
            app.run('select from "ProjectUser" where "projectUserId" = %s for update', user)
        elif action == "holds a row of a tombstone":
            # The row lives again under the tombstone's identity, and somebody changes it.
            pipeline.app.session(tenancy, user, id=gone)
            app.run('select from "ProjectUserRefreshToken" where "id" = %s for update', gone)
        else:
            pipeline.app.update("ContactChannel", {"projectUserId": user}, value="b@example.com")
            app.run('select from "ProjectUser" where "projectUserId" = %s for update', user)
        pipeline.admin.execute("set lock_timeout = '1ms'")
        assert drained(pipeline, batch_size=100).run_pass().errors == {}
        pipeline.sync()
        assert [row["display_name"] for row in pipeline.view("users", other)] == ["does not"]
        if action == "holds a row of a tombstone":
            assert pipeline.value("select count(*) from dbsync.tombstone where sequence_id is null") == 1
        db.commit()
    pipeline.assert_synced()


def test_a_table_that_is_locked_holds_nobody_up(pipeline: Harness) -> None:
    """I8: a migration may rewrite a table for minutes; what the others have waiting is numbered meanwhile."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="does not wait")
    with pipeline.sequencer() as sequencer, ThreadPoolExecutor(1) as threads:
        with pipeline.admin.transaction():
            pipeline.admin.execute('lock table "Team" in access exclusive mode')
            result = threads.submit(sequencer.run_pass).result(timeout=60)
        # Invitations are placed by their team.
        assert set(result.errors) == {"Team", "VerificationCode"}
        assert "has locked it" in result.errors["Team"]
    pipeline.sync()
    assert [row["display_name"] for row in pipeline.view("users")] == ["does not wait"]
    pipeline.assert_synced()


def test_deletions_behind_locked_rows_are_numbered(pipeline: Harness) -> None:
    """I4, I8: a long transaction on rows that came back holds their tombstones up, however many, and no others."""
    pipeline.configure(sequencer_batch_size=3)
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    busy = [pipeline.app.user(tenancy) for _ in range(7)]
    gone = pipeline.app.user(other)
    pipeline.drain()
    for user in busy:
        pipeline.app.delete("ProjectUser", projectUserId=user)
        pipeline.app.user(tenancy, projectUserId=user)
    pipeline.app.delete("ProjectUser", projectUserId=gone)
    unnumbered = "select count(*) from dbsync.tombstone where mapping_id = 'users' and sequence_id is null"
    with pipeline.write() as db:
        db.execute('select from "ProjectUser" where "tenancyId" = %s for update', [tenancy])
        for _ in range(8):
            assert pipeline._sequencer.run_pass().errors == {}
        assert pipeline.value(unnumbered) == 7
        assert pipeline.value("select tenancy_id from dbsync.tombstone where sequence_id is not null") == other
    pipeline.drain()
    assert pipeline.value(unnumbered) == 0
    pipeline.assert_equal("users")


def test_touches_behind_locked_rows_are_done(pipeline: Harness) -> None:
    """I8: one that concerns more rows than a batch has, all of them locked, holds up itself alone."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    for _ in range(7):
        pipeline.app.user(tenancy)
    user = pipeline.app.user(other, email="a@example.com")
    pipeline.drain()
    sequencer = drained(pipeline, batch_size=3)
    with pipeline.write() as db:
        db.execute('select from "ProjectUser" where "tenancyId" = %s for update', [tenancy])
        pipeline.app.update("Tenancy", {"id": tenancy}, branchId="other")
        pipeline.app.update("Tenancy", {"id": other}, branchId="other")
        for _ in range(8):
            assert sequencer.run_pass().errors == {}
        pipeline.sync()
        assert [row["branch_id"] for row in pipeline.view("users") if row["id"] == user] == ["other"]
    pipeline.assert_synced("users")


def test_touches_behind_a_batch_of_locked_rows_are_done(pipeline: Harness) -> None:
    """I8: somebody works on rows whose joined rows have just been changed, and is not done for long."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    busy = [pipeline.app.user(tenancy, email=f"{number}@example.com") for number in range(7)]
    user = pipeline.app.user(other, email="old@example.com")
    pipeline.drain()
    for changed in (*busy, user):
        pipeline.app.update("ContactChannel", {"projectUserId": changed}, value=f"{changed}@example.com")
    sequencer = drained(pipeline, batch_size=3)
    with pipeline.write() as db:
        db.execute('select from "ProjectUser" where "tenancyId" = %s for update', [tenancy])
        for _ in range(4):
            assert sequencer.run_pass().errors == {}
        pipeline.sync()
        assert [row["primary_email"] for row in pipeline.view("users") if row["id"] == user] == [f"{user}@example.com"]
    pipeline.assert_synced("users")


def test_a_tenancy_touch_is_numbered_in_batches(pipeline: Harness) -> None:
    """The batch size bounds every transaction, also where one change sends a million rows again."""
    tenancy = pipeline.app.tenancy()
    for _ in range(7):
        pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.app.update("Tenancy", {"id": tenancy}, branchId="other")
    sequencer = drained(pipeline, batch_size=3)
    sent: list[int] = []
    while (result := sequencer.run_pass()).handled and len(sent) < 20:
        sent.append(result.numbered.get(("users", tenancy), 0))
    # Each row once: in two full batches, and what is left.
    assert [rows for rows in sent if rows] == [3, 3, 1]
    pipeline.assert_synced()
    assert {row["branch_id"] for row in pipeline.view("users")} == {"other"}


def test_many_touches_of_few_rows_fill_a_batch(pipeline: Harness) -> None:
    """Whoever runs passes until one has left nothing has the touches numbered that are behind those of one row."""
    tenancy = pipeline.app.tenancy()
    often, last = (pipeline.app.user(tenancy, email=f"{name}@example.com") for name in ("often", "last"))
    pipeline.drain()
    for number in range(40):
        pipeline.app.update("ContactChannel", {"projectUserId": often}, value=f"{number}@example.com")
    pipeline.app.update("ContactChannel", {"projectUserId": last}, value="changed@example.com")
    sequencer = drained(pipeline, batch_size=16)
    while sequencer.run_pass().filled:
        pass
    assert pipeline.value("select count(*) from dbsync.touch") == 0
    pipeline.sync()
    assert {row["primary_email"] for row in pipeline.view("users")} == {"39@example.com", "changed@example.com"}


def test_touches_of_locked_rows_fill_no_batch(pipeline: Harness) -> None:
    """They cannot be dealt with now, so that another pass at once would be of no use."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="a@example.com")
    pipeline.drain()
    for number in range(40):
        pipeline.app.update("ContactChannel", {"projectUserId": user}, value=f"{number}@example.com")
    with pipeline.write() as db:
        Application(db).run('select from "ProjectUser" for update')
        sequencer = drained(pipeline, batch_size=16)
        while (result := sequencer.run_pass()).handled:
            pass
        assert not result.filled
    pipeline.assert_synced()


def test_a_busy_tenancy_does_not_starve_the_others(pipeline: Harness) -> None:
    """D9: a backlog larger than a batch leaves room for every other tenancy."""
    busy, *others = sorted(pipeline.app.tenancy() for _ in range(5))
    pipeline.drain()
    pipeline.app.run(
        'insert into "ProjectUser" '
        '("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt") '
        "select %s, gen_random_uuid(), 'p', 'b', %s from generate_series(1, 400)",
        *(busy, NOW),
    )
    for tenancy in others:
        pipeline.app.user(tenancy)
    sequencer = drained(pipeline, batch_size=20)
    served: set[object] = set()
    for _ in range(5):
        served |= {tenancy for _, tenancy in sequencer.run_pass().numbered}
    assert served == {busy, *others}


def test_paused_numbering_leaves_everything_where_it_is(pipeline: Harness) -> None:
    """B32: the fusebox of the sequencer."""
    tenancy = pipeline.app.tenancy()
    pipeline.drain()
    pipeline.admin.execute("update dbsync.sequencer set paused = true")
    pipeline.app.user(tenancy)
    result = pipeline._sequencer.run_pass()
    assert result.paused
    assert result.rows == 0
    assert pipeline.value('select count(*) from "ProjectUser" where "sequenceId" is null') == 1
    pipeline.admin.execute("update dbsync.sequencer set paused = false")
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == 1
