"""Mappings change under a running pipeline: nobody goes on by the old ones, and every copy becomes what the new say."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
import yaml

from dbsync_pipeline.capture import install
from dbsync_pipeline.errors import NotInstalledError
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE
from dbsync_pipeline.mappings.installed import SCHEMA_VERSION
from dbsync_pipeline.pending.tally import read_delivered
from dbsync_pipeline.verify.differences import Kind
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.harness import External, Harness, init_clickhouse, init_source

Document = dict[str, Any]


class Files:
    """A deployment of two mappings whose files can be changed, with both kinds of copies of one tenancy."""

    def __init__(self, pipeline: Harness, directory: Path, database: str) -> None:
        self._pipeline = pipeline
        self._directory = directory
        (directory / TENANCY_FILE).write_text((BUILTIN_DIRECTORY / TENANCY_FILE).read_text())
        for name in ("teams", "connected_accounts"):
            (directory / f"{name}.yaml").write_text((BUILTIN_DIRECTORY / f"{name}.yaml").read_text())
        pipeline.configure(mappings=str(directory), clickhouse_database=database)
        self.init()
        self.tenancy: UUID = pipeline.app.tenancy()
        self.teams = [pipeline.app.team(self.tenancy, displayName=name) for name in ("red", "green")]
        self.external: External = pipeline.configure_external(self.tenancy)
        pipeline.drain()

    def write(self, name: str, change: Callable[[Document], object]) -> None:
        """Change the document of `teams`, and save it under a name."""
        document = yaml.safe_load((self._directory / "teams.yaml").read_text())
        change(document)
        self.save(name, yaml.safe_dump(document))

    def save(self, name: str, text: str) -> None:
        (self._directory / f"{name}.yaml").write_text(text)
        self._pipeline.configure()

    def remove(self, name: str) -> None:
        (self._directory / f"{name}.yaml").unlink()
        self._pipeline.configure()

    def init(self) -> list[str]:
        """Do what `dbsync init` does; return the titles of its steps."""
        pipeline = self._pipeline
        titles = init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
        return titles + init_source(pipeline.pipeline, pipeline.admin)

    def differences(self, *, repair: bool = False) -> list[tuple[str, Kind]]:
        """Return the differences of both copies, by kind of copy."""
        found = list(verify(self._pipeline.pipeline, Choice(), patience_seconds=0, repair=repair))
        assert [entry.error for entry in found if entry.error] == []
        return [(entry.destination_id.partition(":")[0], what.kind) for entry in found for what in entry.differences]


@pytest.fixture
def files(pipeline: Harness, tmp_path: Path, clickhouse_database_prefix: str) -> Files:
    return Files(pipeline, tmp_path, clickhouse_database_prefix)


def set_filter(color: str) -> Callable[[Document], object]:
    return lambda document: document.update(filter=f"source.\"displayName\" <> '{color}'")


def shout(document: Document) -> None:
    column = document["columns"][1]
    column["value"] = f'upper(source."{column.pop("source")}")'


ADDED = {"name": "shout", "value": 'upper(source."displayName")', "type": "text"}
CHANGES: dict[str, Callable[[Document], object]] = {
    "a column is added": lambda document: document["columns"].append(ADDED),
    "a column is dropped": lambda document: document["columns"].pop(1),
    "a column becomes another": shout,
    "a join is added": lambda document: document.update(
        joins=[
            {
                "alias": "members",
                "table": "TeamMember",
                "on": {"tenancyId": "tenancyId", "teamId": "teamId"},
                "aggregate": {"number": "count(*)"},
            }
        ],
        columns=[*document["columns"], {"name": "members", "value": "members.number", "type": "count"}],
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_copy_becomes_what_the_mapping_has_become(
    pipeline: Harness, files: Files, change: Callable[[Document], object]
) -> None:
    """I2: whoever works by the old file ends, and whoever works by the new one delivers all of it anew."""
    with (
        pipeline.worker() as worker,
        pipeline.external_worker(files.external.destination_id) as external,
        pipeline.sequencer() as sequencer,
    ):
        files.write("teams", change)
        with pytest.raises(NotInstalledError, match="teams is not what is installed"):
            pipeline.sequence()
        assert "mapping teams" in files.init()
        pipeline.app.update("Team", {"teamId": files.teams[0]}, displayName="rose", clientMetadata='{"a": 1}')
        for old in (worker.run_once, external.run_once, sequencer.run_pass):
            with pytest.raises(NotInstalledError, match="teams is not what is installed"):
                old()
    pipeline.drain()
    assert files.differences() == []
    assert len(files.external.view("teams")) == len(pipeline.view("teams")) == 2


def test_rows_that_a_filter_leaves_out_now_leave_by_repair(pipeline: Harness, files: Files) -> None:
    """Until then they are extra rows, and are called so."""
    files.write("teams", set_filter("red"))
    files.init()
    pipeline.drain()
    assert files.differences() == [("clickhouse", Kind.EXTRA), ("postgres", Kind.EXTRA)]
    files.differences(repair=True)
    pipeline.drain()
    assert files.differences() == []
    assert [row["display_name"] for row in pipeline.view("teams")] == ["green"]


def test_a_change_of_what_is_placed_waits_for_no_row(pipeline: Harness, files: Files) -> None:
    """Nor does the application wait for it: all rows are looked at again by the sequencer, a batch at a time."""
    invitations = (BUILTIN_DIRECTORY / "team_invitations.yaml").read_text()
    files.save("team_invitations", invitations)
    files.init()
    pipeline.app.invitation(files.tenancy, files.teams[0], email="guest@example.com")
    pipeline.drain()
    address = "source.\"method\"->>'email'"
    files.save("team_invitations", invitations.replace(address, f"upper({address})"))
    with pipeline.write() as db:
        db.execute('select from "VerificationCode" for update')
        files.init()
    pipeline.drain()
    for view in (pipeline.view, files.external.view):
        assert [row["recipient_email"] for row in view("team_invitations")] == ["GUEST@EXAMPLE.COM"]


def test_rows_that_a_changed_mapping_takes_in_find_their_places(pipeline: Harness, files: Files) -> None:
    """Of a mapping whose rows are placed, they were numbered without one."""
    invitations = (BUILTIN_DIRECTORY / "team_invitations.yaml").read_text()
    files.save("team_invitations", invitations.replace("->>'team_id'", "->>'nowhere'"))
    files.init()
    pipeline.app.invitation(files.tenancy, files.teams[0], email="guest@example.com")
    pipeline.drain()
    assert pipeline.view("team_invitations") == []
    files.save("team_invitations", invitations)
    files.init()
    pipeline.drain()
    for view in (pipeline.view, files.external.view):
        assert [row["recipient_email"] for row in view("team_invitations")] == ["guest@example.com"]


def test_a_mapping_is_added_and_removed(pipeline: Harness, files: Files) -> None:
    """I2: nobody numbers or claims without knowing it; its copies stay when it goes."""
    before, notes = pipeline.pipeline, list[str]()
    with pipeline.worker() as worker, pipeline.sequencer() as sequencer:
        files.write("squads", lambda document: document.update(mapping="squads"))
        assert "mapping squads" in files.init()
        pipeline.app.update("Team", {"teamId": files.teams[0]}, displayName="rose")
        for old in (worker.run_once, sequencer.run_pass):
            with pytest.raises(NotInstalledError, match="squads is installed in the source, and not among"):
                old()
    with (
        before.external_dispatcher(pipeline.admin, report=lambda results: None) as dispatcher,
        pytest.raises(NotInstalledError, match="squads"),
    ):
        dispatcher.run(stop=Event(), max_seconds=5, idle_seconds=0, note=notes.append)
    assert notes == []
    pipeline.drain()
    assert files.differences() == []
    assert {row["display_name"] for row in files.external.view("squads")} == {"rose", "green"}
    with pipeline.worker() as worker, pipeline.sequencer() as sequencer:
        files.remove("squads")
        assert "mapping squads, no longer there" in files.init()
        pipeline.app.update("Team", {"teamId": files.teams[0]}, displayName="pink")
        pipeline.admin.execute("update dbsync.pending set wanted = wanted + 1 where mapping_id = 'teams'")
        for old in (worker.run_once, sequencer.run_pass):
            with pytest.raises(NotInstalledError, match="squads is not installed"):
                old()
    pipeline.drain()
    assert files.differences() == []
    assert {row["display_name"] for row in files.external.view("squads")} == {"rose", "green"}


def test_a_destination_that_comes_with_a_mapping_gets_it(pipeline: Harness, files: Files) -> None:
    """I2: a sequencer of before would announce it for the old mappings only."""
    with pipeline.sequencer() as sequencer:
        files.write("squads", lambda document: document.update(mapping="squads"))
        files.init()
        other = pipeline.configure_external(files.tenancy, "other")
        with pytest.raises(NotInstalledError, match="squads"):
            sequencer.run_pass()
    pipeline.drain()
    assert len(other.view("squads")) == 2


def test_an_older_program_refuses_what_a_newer_one_has_made(pipeline: Harness) -> None:
    """Whoever is at work ends, and `dbsync init` changes nothing."""
    pipeline.app.user(pipeline.app.tenancy())
    with pipeline.sequencer() as sequencer:
        pipeline.admin.execute("update dbsync.installed set fingerprint = '999' where object_id = 'schema'")
        for old in (
            sequencer.run_pass,
            lambda: pipeline.sequencer().__enter__(),
            lambda: pipeline.worker().__enter__(),
            lambda: install.plan(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns),
        ):
            with pytest.raises(NotInstalledError, match="is of version 999, and this program knows") as caught:
                old()
            assert "no way back" in caught.value.mend
    assert pipeline.view("users") == []


def test_a_newer_program_asks_for_init_first(pipeline: Harness) -> None:
    pipeline.admin.execute("update dbsync.installed set fingerprint = '0' where object_id = 'schema'")
    with pytest.raises(NotInstalledError, match="older than this program"), pipeline.sequencer():
        pass
    assert f"version {SCHEMA_VERSION} of the schema" in init_source(pipeline.pipeline, pipeline.admin)
    pipeline.assert_synced()


def test_an_installation_that_fails_writes_it_cannot_capture_is_replaced(pipeline: Harness) -> None:
    """That of version 2: a sequencer of before would not make up for what the triggers of now let through."""
    team = pipeline.app.team(pipeline.app.tenancy())
    pipeline.drain()
    pipeline.admin.execute(
        """drop table dbsync.missed;
        create or replace function dbsync."delete_Team"() returns trigger language plpgsql as
            'begin perform old."teamId"; return null; end';
        update dbsync.installed set fingerprint = '2' where object_id = 'schema';
        update dbsync.installed set fingerprint = 'of before' where object_id like 'triggers %'"""
    )
    with pytest.raises(NotInstalledError, match="older than this program"), pipeline.sequencer():
        pass
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.admin.execute('alter table "Team" rename "teamId" to "key"')
    pipeline.app.delete("Team", key=team)
    pipeline.admin.execute('alter table "Team" rename "key" to "teamId"')
    pipeline.assert_synced()
    assert pipeline.view("teams") == []


def test_an_installation_without_counters_gets_them(pipeline: Harness) -> None:
    """That of version 1: workers of now refuse it, and after `dbsync init` go on where those of before have stopped."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute(
        "drop table dbsync.delivered; update dbsync.installed set fingerprint = '1' where object_id = 'schema'"
    )
    pipeline.app.user(tenancy)
    with pytest.raises(NotInstalledError, match="older than this program"), pipeline.worker():
        pass
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.assert_synced()
    assert read_delivered(pipeline.admin)["users", "clickhouse"].rows == 1
