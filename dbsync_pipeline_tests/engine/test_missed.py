"""What a trigger cannot capture, as a column is gone under it, is let through, noted, and made up for by itself."""

from itertools import cycle
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.completeness import wait_until
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.erasure import erase
from dbsync_pipeline.errors import BehindError
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE
from dbsync_pipeline.status import read_status
from dbsync_pipeline.verify.differences import Kind
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import External, Harness, init_clickhouse, init_source

KEY = ('alter table "Team" rename "teamId" to "key"', 'alter table "Team" rename "key" to "teamId"')


def noted(pipeline: Harness) -> list[tuple[str, str]]:
    """Return what is noted as missed, each once."""
    return pipeline.rows("select distinct mapping_id, what from dbsync.missed order by 1, 2")


def number(pipeline: Harness) -> dict[str, str]:
    """Run a pass; return the tables that it could not number, and why."""
    with pipeline.sequencer() as sequencer:
        return sequencer.run_pass().errors


class Adapted:
    """A deployment of some mappings whose files can be adapted, with both kinds of copies of one tenancy."""

    def __init__(self, pipeline: Harness, directory: Path, database: str, *names: str) -> None:
        self._pipeline = pipeline
        self._directory = directory
        for name in (TENANCY_FILE, *(f"{name}.yaml" for name in names)):
            (directory / name).write_text((BUILTIN_DIRECTORY / name).read_text())
        pipeline.configure(mappings=str(directory), clickhouse_database=database)
        self._init()
        self.tenancy: UUID = pipeline.app.tenancy()
        self.external: External = pipeline.configure_external(self.tenancy)

    def adapt(self, name: str, before: str, after: str) -> None:
        """Change a file, and do what `dbsync init` does."""
        path = self._directory / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
        self._pipeline.configure()
        self._init()

    def _init(self) -> None:
        pipeline = self._pipeline
        init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
        init_source(pipeline.pipeline, pipeline.admin)

    def values(self, mapping_id: str, column: str) -> list[list[object]]:
        """Return a column of a mapping in both copies."""
        return [
            sorted(row[column] for row in rows)
            for rows in (self._pipeline.view(mapping_id), self.external.view(mapping_id))
        ]


def test_a_deletion_while_the_key_has_another_name(pipeline: Harness) -> None:
    """I3: the write goes on; both copies lose the row once the column has its name back, and nothing else changes."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    gone, moved, *_ = (pipeline.app.team(tenancy) for _ in range(4))
    pipeline.app.team(other)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as db:
        Application(db).delete("Team", key=gone)
        Application(db).update("Team", {"key": moved}, key=UUID(int=1))
    assert pipeline.app.run('truncate "TeamMember" cascade') is not None
    assert noted(pipeline) == [("team_invitations", "change"), ("teams", "deletion")]
    assert "teamId" in number(pipeline)["Team"]
    assert noted(pipeline) == [("team_invitations", "change"), ("teams", "deletion")]
    pipeline.admin.execute(KEY[1])
    pipeline.assert_synced()
    external.assert_equal()
    assert len(pipeline.view("teams")) == 4
    assert noted(pipeline) == []
    assert pipeline.drain() == []


def test_a_deletion_while_the_mapping_is_adapted(
    pipeline: Harness, tmp_path: Path, clickhouse_database_prefix: str
) -> None:
    """What sessions of before have captured by the old name, and nobody has delivered yet, is not lost either."""
    adapted = Adapted(pipeline, tmp_path, clickhouse_database_prefix, "teams")
    teams = [pipeline.app.team(adapted.tenancy) for _ in range(5)]
    pipeline.drain()
    pipeline.app.delete("Team", teamId=teams[0])
    pipeline.sequence()
    pipeline.app.delete("Team", teamId=teams[1])
    pipeline.admin.execute(KEY[0])
    pipeline.app.delete("Team", key=teams[2])
    with pipeline.write() as db:
        Application(db).delete("Team", key=teams[3])
    adapted.adapt("teams.yaml", "source: teamId", "source: key")
    pipeline.drain()
    assert adapted.values("teams", "id") == [[teams[4]], [teams[4]]]
    assert noted(pipeline) == []


MATCH = ["projectUserId", "isPrimary", "type"]


def renamed(column: str) -> tuple[str, str]:
    """Return what gives a column of the joined table another name, and what gives it its own back."""
    statement = 'alter table "ContactChannel" rename "{}" to "{}"'
    return statement.format(column, "other"), statement.format("other", column)


@pytest.mark.parametrize("column", MATCH)
def test_writes_of_a_joined_table_while_a_column_it_is_matched_by_has_another_name(
    pipeline: Harness, column: str
) -> None:
    """I3: in sessions of before and after; both copies get what the rows are fed by now."""
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy, email=f"{name}@example.com") for name in ("a", "b", "c", "d")]
    late = pipeline.app.user(tenancy)
    channels = [pipeline.value('select "id" from "ContactChannel" where "projectUserId" = %s', user) for user in users]
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    # Compiled before the change.
    pipeline.app.update("ContactChannel", {"id": channels[3]}, value="before@example.com")
    away, back = renamed(column)
    pipeline.admin.execute(away)
    values = {"type": "EMAIL", "isPrimary": "TRUE", "projectUserId": late}
    values["other"] = values.pop(column)
    with pipeline.write() as db:
        for app, first in ((pipeline.app, 0), (Application(db), 2)):
            app.update("ContactChannel", {"id": channels[first]}, value=f"{first}.new@example.com")
            app.delete("ContactChannel", id=channels[first + 1])
        Application(db).insert(
            "ContactChannel",
            tenancyId=tenancy,
            id=UUID(int=1),
            value="late@example.com",
            isVerified=False,
            **{"updatedAt": "2024-05-06 07:08:09", **values},
        )
    expected = {("team_member_profiles", "change"), ("users", "change")}
    assert expected <= set(noted(pipeline))
    number(pipeline)
    assert expected <= set(noted(pipeline))
    pipeline.admin.execute(back)
    pipeline.assert_synced()
    external.assert_equal()
    assert noted(pipeline) == []
    assert pipeline.drain() == []


def test_a_joined_column_is_adapted(pipeline: Harness, tmp_path: Path, clickhouse_database_prefix: str) -> None:
    adapted = Adapted(pipeline, tmp_path, clickhouse_database_prefix, "users")
    users = [pipeline.app.user(adapted.tenancy, email=f"{name}@example.com") for name in ("a", "b")]
    pipeline.drain()
    pipeline.admin.execute(renamed("projectUserId")[0])
    with pipeline.write() as db:
        Application(db).update("ContactChannel", {"other": users[0]}, value="new@example.com")
        Application(db).delete("ContactChannel", other=users[1])
    adapted.adapt("users.yaml", "projectUserId: projectUserId}", "other: projectUserId}")
    pipeline.sequence()
    pipeline.drain()
    pipeline.admin.execute(
        "insert into dbsync.missed (mapping_id, what, reason) values ('users', 'change', 'as a trigger would')"
    )
    assert drain(pipeline.pipeline, Selection()).failures == []
    assert pipeline.pending() == pipeline.rows("select from dbsync.touch") == noted(pipeline) == []
    for rows in (pipeline.view("users"), adapted.external.view("users")):
        assert {row["id"]: row["primary_email"] for row in rows} == {users[0]: "new@example.com", users[1]: None}


def test_rows_come_and_go_with_a_joined_row_that_could_not_be_matched(pipeline: Harness) -> None:
    """An invitation that was never placed, as it had no team, is found too."""
    tenancy = pipeline.app.tenancy()
    gone = pipeline.app.team(tenancy)
    team = UUID(int=7)
    pipeline.app.invitation(tenancy, gone)
    pipeline.app.invitation(tenancy, team)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.admin.execute('alter table "Team" rename "mirroredBranchId" to "branch"')
    with pipeline.write() as db:
        Application(db).delete("Team", teamId=gone)
        Application(db).insert(
            "Team",
            tenancyId=tenancy,
            teamId=team,
            displayName="new",
            updatedAt="2024-05-06 07:08:09",
            mirroredProjectId=f"project-{tenancy}",
            branch="main",
        )
    assert noted(pipeline) == [("team_invitations", "change")]
    pipeline.admin.execute('alter table "Team" rename "branch" to "mirroredBranchId"')
    pipeline.assert_synced()
    external.assert_equal()
    assert [row["team_id"] for row in pipeline.view("team_invitations")] == [team]


def test_nobody_is_told_that_a_copy_is_complete(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    team = pipeline.app.team(tenancy)
    pipeline.drain()
    reached = pipeline.checkpoint("teams", tenancy)
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as db:
        Application(db).delete("Team", key=team)

    def wait(sequence_id: int | None = None) -> int:
        columns = pipeline.pipeline.columns
        return wait_until(
            pipeline.admin, pipeline.catalog, columns, str(tenancy), sequence_id=sequence_id, timeout_seconds=0
        )

    def errors() -> dict[str, tuple[int, str | None]]:
        status = read_status(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
        return {
            entry.mapping_id: (entry.waiting_for_sequencer, entry.last_error)
            for entry in status.mappings
            if entry.last_error
        }

    for sequence_id in (None, reached):
        with pytest.raises(BehindError, match=r"team_invitations: changes of joined tables since .*teamId"):
            wait(sequence_id)
    assert {name: waiting for name, (waiting, _) in errors().items()} == {"teams": 1, "team_invitations": 1}
    assert "mapping teams: deletions since" in str(errors()["teams"][1])
    pipeline.admin.execute(KEY[1])
    with pytest.raises(BehindError, match="could not be captured"):
        wait()
    pipeline.sequence()
    with pytest.raises(BehindError, match="teams in clickhouse has reached"):
        wait()
    assert errors() == {}
    pipeline.drain()
    assert wait() > wait(reached)


@pytest.mark.parametrize("explicit", [True, False], ids=["up to a number", "up to now"])
def test_whoever_waits_waits_for_what_a_comparison_removes(pipeline: Harness, explicit: bool) -> None:
    """It finds what is gone while others wait already, and writes tombstones that come after what they wait for."""
    tenancy = pipeline.app.tenancy()
    team = pipeline.app.team(tenancy)
    pipeline.drain()
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as db:
        Application(db).delete("Team", key=team)
    pipeline.admin.execute(KEY[1])
    steps = cycle([pipeline.sequence, pipeline.sync])
    wait_until(
        pipeline.admin,
        pipeline.catalog,
        pipeline.pipeline.columns,
        str(tenancy),
        sequence_id=pipeline.checkpoint("teams", tenancy) if explicit else None,
        timeout_seconds=60,
        sleep=lambda _: next(steps)(),
    )
    assert pipeline.view("teams") == []


def test_what_is_noted_later_is_made_up_for_later(pipeline: Harness) -> None:
    """A transaction that is open while another one's note is taken away has its own, and holds up nobody."""
    tenancy = pipeline.app.tenancy()
    first, second = (pipeline.app.team(tenancy) for _ in range(2))
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    note = "insert into dbsync.missed (mapping_id, what, reason) values ('teams', 'deletion', 'as a trigger would')"
    pipeline.admin.execute('alter table "Team" disable trigger zz_dbsync_truncate')
    pipeline.admin.execute('alter table "Team" disable trigger dbsync_delete')
    with psycopg.connect(pipeline.url) as late:
        late.execute('delete from "Team" where "teamId" = %s', [second])
        late.execute(note)
        with psycopg.connect(pipeline.url) as early:
            early.execute('delete from "Team" where "teamId" = %s', [first])
            early.execute(note)
        pipeline.drain()
        pipeline.assert_equal("teams")
        external.assert_equal("teams")
        assert pipeline.value("select count(*) from dbsync.missed") == 0
    assert pipeline.value("select count(*) from dbsync.missed") == 1
    pipeline.assert_synced("teams")
    external.assert_equal("teams")
    assert pipeline.view("teams") == []


def test_many_writers_wait_for_nobody(pipeline: Harness) -> None:
    """One note a transaction, mapping and kind, also after a savepoint that was rolled back."""
    tenancy = pipeline.app.tenancy()
    teams = [pipeline.app.team(tenancy) for _ in range(6)]
    pipeline.drain()
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as one, pipeline.write() as other:
        for db in (one, other):
            db.execute("set lock_timeout = '1ms'")
            with db.transaction(), db.transaction(force_rollback=True):
                Application(db).delete("Team", key=teams[0])
            Application(db).delete("Team", key=teams.pop())
            Application(db).delete("Team", key=teams.pop())
    assert pipeline.value("select count(*) from dbsync.missed where mapping_id = 'teams'") == 2
    pipeline.admin.execute(KEY[1])
    pipeline.assert_synced()
    assert len(pipeline.view("teams")) == 2


ALTERED = {
    "retyped": (
        'alter table "ContactChannel" alter "isPrimary" type text',
        'alter table "ContactChannel" alter "isPrimary" type "BooleanTrue" using "isPrimary"::"BooleanTrue"',
    ),
    "retyped to what no constant is of": (
        'alter table "ContactChannel" alter "isPrimary" type int using 1',
        'alter table "ContactChannel" alter "isPrimary" type "BooleanTrue" using \'TRUE\'',
    ),
    "a label renamed": (
        "alter type \"BooleanTrue\" rename value 'TRUE' to 'YES'",
        "alter type \"BooleanTrue\" rename value 'YES' to 'TRUE'",
    ),
    "dropped": (
        'alter table "ContactChannel" drop "isPrimary" cascade',
        'alter table "ContactChannel" add "isPrimary" "BooleanTrue" default \'TRUE\'',
    ),
}


@pytest.mark.parametrize(("altered", "back"), ALTERED.values(), ids=ALTERED)
def test_a_joined_column_is_not_what_it_was(pipeline: Harness, altered: str, back: str) -> None:
    """I3: no write fails, in sessions of before and after, and what a constant is compared with is another type."""
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy, email=f"{name}@example.com") for name in ("a", "b", "c", "d", "e")]
    late = pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.app.delete("ContactChannel", projectUserId=users[4])
    pipeline.drain()
    pipeline.app.update("ContactChannel", {"projectUserId": users[3]}, value="before@example.com")
    pipeline.admin.execute(altered)
    with pipeline.write() as db:
        for app, first in ((pipeline.app, 0), (Application(db), 2)):
            app.update("ContactChannel", {"projectUserId": users[first]}, value=f"{first}.new@example.com")
            app.delete("ContactChannel", projectUserId=users[first + 1])
        Application(db).channel(tenancy, late)
    number(pipeline)
    pipeline.admin.execute(back)
    pipeline.assert_synced()
    external.assert_equal()
    assert noted(pipeline) == []


def tenancies(pipeline: Harness) -> list[tuple[object, ...]]:
    """Return what is known of the tenancies."""
    return pipeline.rows(
        "select tenancy_id, columns ->> 'branch_id', deleted_at is null from dbsync.tenancy order by 1"
    )


@pytest.mark.parametrize("column", ["branchId", "id"])
def test_a_column_of_the_tenancy_table_has_another_name(pipeline: Harness, column: str) -> None:
    """I3: tenancies come, go and move all the same, and are known as what they are once it has its name back."""
    same, gone, moved, late = (UUID(int=number) for number in range(1, 5))
    for tenancy in (same, gone, moved):
        pipeline.app.tenancy(tenancy_id=tenancy)
        pipeline.app.user(tenancy, email="a@example.com")
        pipeline.app.invitation(tenancy, pipeline.app.team(tenancy))
    external = pipeline.configure_external(moved)
    pipeline.drain()
    name = {"branchId": "branchId", "id": "id", column: "other"}
    pipeline.admin.execute(f'alter table "Tenancy" rename "{column}" to "other"')
    with pipeline.write() as db:
        app = Application(db)
        app.update("Tenancy", {name["id"]: moved}, **{name["branchId"]: "second"})
        app.delete("Tenancy", **{name["id"]: gone})
        project = {"projectId": f"project-{same}", "organizationId": UUID(int=9), "updatedAt": "2024-05-06 07:08:09"}
        app.insert("Tenancy", **{name["id"]: late, name["branchId"]: "late", **project})
    assert noted(pipeline) == [("@tenancy", "change")]
    pipeline.app.update("ProjectUser", {"tenancyId": same}, displayName="goes on")
    assert "other" not in number(pipeline)
    assert noted(pipeline) == [("@tenancy", "change")]
    with pytest.raises(BehindError, match="changes of the tenancy table since"):
        wait_until(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns, str(same), timeout_seconds=0)
    status = read_status(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
    assert {"changes of the tenancy table" in str(entry.last_error) for entry in status.mappings} == {True}
    pipeline.admin.execute(f'alter table "Tenancy" rename "other" to "{column}"')
    pipeline.app.user(late)
    with pipeline.write() as db:
        # Locked meanwhile by a write that tells of nothing.
        Application(db).update("Tenancy", {"id": late}, updatedAt="2025-05-06 07:08:09")
        number(pipeline)
        assert noted(pipeline) == [("@tenancy", "change")]
    pipeline.assert_synced()
    external.assert_equal()
    assert tenancies(pipeline) == [
        (same, "main", True),
        (gone, "main", False),
        (moved, "second", True),
        (late, "late", True),
    ]
    assert {row["tenancy_id"] for row in pipeline.view("users")} == {same, moved, late}
    assert noted(pipeline) == []
    assert pipeline.drain() == []


def test_the_tenancy_file_is_adapted(pipeline: Harness, tmp_path: Path, clickhouse_database_prefix: str) -> None:
    adapted = Adapted(pipeline, tmp_path, clickhouse_database_prefix, "teams")
    pipeline.app.team(adapted.tenancy)
    pipeline.drain()
    pipeline.admin.execute('alter table "Tenancy" rename "branchId" to "other"')
    with pipeline.write() as db:
        Application(db).update("Tenancy", {"id": adapted.tenancy}, other="second")
    adapted.adapt(TENANCY_FILE, "source: branchId", "source: other")
    pipeline.drain()
    assert [row["branch_id"] for row in pipeline.view("teams")] == ["second"]
    assert tenancies(pipeline) == [(adapted.tenancy, "second", True)]
    assert noted(pipeline) == []


def test_verification_goes_on(pipeline: Harness) -> None:
    """Of what does not fit it says so; what is missed and not made up for yet it finds, and repairs."""
    tenancy = pipeline.app.tenancy()
    gone = pipeline.app.team(tenancy)
    pipeline.app.team(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as db:
        Application(db).delete("Team", key=gone)
    compared = list(verify(pipeline.pipeline, Choice(), patience_seconds=0))
    assert {entry.mapping_id for entry in compared if entry.error} >= {"teams"}
    assert {entry.mapping_id for entry in compared if not entry.error} >= {"users", "contact_channels"}
    pipeline.admin.execute(KEY[1])
    compared = list(verify(pipeline.pipeline, Choice(), patience_seconds=0))
    assert [(entry.mapping_id, what.kind) for entry in compared for what in entry.differences] == [
        ("teams", Kind.EXTRA)
    ] * 2
    assert len(list(verify(pipeline.pipeline, Choice(), patience_seconds=0, repair=True))) == len(compared)
    pipeline.assert_synced()
    external.assert_equal()
    assert noted(pipeline) == []


def test_a_tenancy_whose_deletion_was_missed_is_erased(pipeline: Harness) -> None:
    """Not before everything of it is known to be gone; then nothing is left of it, the notes included."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    pipeline.app.user(tenancy, email="a@example.com")
    pipeline.drain()
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as db:
        Application(db).delete("Team", tenancyId=tenancy)
        Application(db).delete("Tenancy", id=tenancy)
        db.execute('delete from "ProjectUser"')
    with pytest.raises(BehindError, match="could not be captured"):
        erase(pipeline.pipeline, str(tenancy), delivery_seconds=0)
    pipeline.admin.execute(KEY[1])
    pipeline.drain()
    erased = erase(pipeline.pipeline, str(tenancy), delivery_seconds=0)
    assert erased.errors == {}
    assert {entry.table: entry.after for entry in erased.tables if entry.after} == {}
    assert pipeline.versions("teams") == pipeline.versions("users") == noted(pipeline) == []


def test_a_copy_that_does_not_answer_is_compared_when_it_is_back(pipeline: Harness) -> None:
    """I8: by then its note is taken away; that tombstones are missing is known all the same."""
    tenancy = pipeline.app.tenancy()
    gone = pipeline.app.team(tenancy)
    external = pipeline.configure_external(tenancy)
    disabled = pipeline.configure_external(tenancy, "other")
    pipeline.drain()
    change = "update dbsync.destination set enabled = %s where destination_id = %s"
    pipeline.admin.execute(change, [False, disabled.destination_id])
    external.run("alter schema dbsync rename to hidden; create schema dbsync; create table dbsync.teams ()")
    pipeline.admin.execute(KEY[0])
    with pipeline.write() as db:
        Application(db).delete("Team", key=gone)
    pipeline.admin.execute(KEY[1])
    pipeline.sequence()
    pipeline.sync()
    assert noted(pipeline) == []
    pipeline.sequence()
    pipeline.sync()
    pipeline.assert_equal("teams")
    assert {entry.delivery.error is None for entry in pipeline.sync_external(errors=True)} == {False}
    external.run("drop schema dbsync cascade; alter schema hidden rename to dbsync")
    pipeline.admin.execute(change, [True, disabled.destination_id])
    pipeline.drain()
    for copy in (external, disabled):
        copy.assert_equal("teams")
        assert copy.view("teams") == []


def test_a_write_that_is_captured_takes_no_transaction_id_of_its_own(pipeline: Harness) -> None:
    """Of more than 64 in one transaction, every session of the server would pay for looking them up."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.team(tenancy)
    with pipeline.write() as db:
        app = Application(db)
        app.invitation(tenancy, app.team(tenancy))
        app.update("ContactChannel", {"projectUserId": user}, value="new@example.com")
        app.update("ContactChannel", {"projectUserId": user}, isPrimary=None)
        app.update("Team", {"teamId": team}, displayName="new")
        app.update("Team", {"teamId": team}, teamId=UUID(int=1))
        db.execute('update "VerificationCode" set "type" = \'PASSWORD_RESET\'')
        for table in ("ContactChannel", "VerificationCode", "Team"):
            db.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
        ((taken,),) = db.execute(
            "select subxact_count from pg_stat_get_backend_idset() as of (id), pg_stat_get_backend_subxact(of.id) "
            "where pg_stat_get_backend_pid(of.id) = pg_backend_pid()"
        ).fetchall()
    assert taken == 0
