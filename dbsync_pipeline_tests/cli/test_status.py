"""`dbsync status --watch`, as a person and as a program reads it."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from dbsync_pipeline_tests.cli.commands import DBSYNC, Command, environment, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_watching_goes_on_until_it_is_interrupted(pipeline: Harness) -> None:
    tenancy = sign_up(pipeline, ["Ada"])
    pipeline.sequence()
    variables = environment(DBSYNC_SOURCE_URL=pipeline.url, DBSYNC_CLICKHOUSE_URL="http://unused/")
    with subprocess.Popen(
        [*DBSYNC, "status", "--watch", "0.1", "--json"], env=variables, stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
    assert watching.returncode == 130
    for look in looks:
        # The source says how copies stand; that ClickHouse does not answer leaves out nothing of it.
        assert look["clickhouse"]["tables"] == []
        assert "unused" in look["clickhouse"]["error"]
        (users,) = [entry for entry in look["mappings"] if entry["mapping_id"] == "users"]
        assert (users["oldest_tenancy"], users["waiting_for_delivery"]) == (tenancy, 1)

    with subprocess.Popen([*DBSYNC, "status", "--watch", "0.1"], env=variables, stdout=subprocess.PIPE, text=True) as (
        watching
    ):
        assert watching.stdout is not None
        seen = []
        while not seen or "Numbered since the last look: 0 rows/s." not in seen[-1]:
            seen.append(watching.stdout.readline())
            assert seen[-1]
        assert watching.stdout.readline() == "Delivered to clickhouse since the last look: 0 rows/s.\n"
        pipeline.sync()
        while not re.match(r"Delivered to clickhouse since the last look: [1-9]", seen[-1]):
            seen.append(watching.stdout.readline())
            assert seen[-1]
        watching.send_signal(signal.SIGINT)
    assert any("users in clickhouse has waited longest" in text and tenancy in text for text in seen)
    assert any("What is in ClickHouse is not known: " in text for text in seen)


def test_the_table_shows_what_workers_have_claimed(pipeline: Harness, dbsync: Command) -> None:
    """As the JSON does, so that a person sees who is at work."""
    sign_up(pipeline, ["Ada"])
    sign_up(pipeline, ["Grace"])
    pipeline.sequence()
    with pipeline.worker() as worker:
        assert worker._queue.claim(1)
        lines = dbsync("status").stdout.splitlines()
    (names,) = [line.split("  ") for line in lines if line.strip().startswith("mapping")]
    (users,) = [line.split() for line in lines if line.split()[:2] == ["users", "clickhouse"]]
    shown = dict(zip([name.strip() for name in names if name.strip()], users, strict=False))
    assert (shown["pending"], shown["claimed"]) == ("2", "1")


@pytest.fixture
def unmerged(pipeline: Harness) -> Iterator[Harness]:
    """A pipeline whose users keep every version in ClickHouse."""
    users = pipeline.names.table(pipeline.catalog.mapping("users"))
    pipeline.clickhouse.execute(f"system stop merges {users}")
    yield pipeline
    pipeline.clickhouse.execute(f"system start merges {users}")


def test_what_the_copies_take_in_clickhouse_is_shown(unmerged: Harness, dbsync: Command) -> None:
    """Every version of a row, for as long as it is there."""
    assert "In ClickHouse, with former versions: nothing." in dbsync("status").stdout
    sign_up(unmerged, ["Ada", "Grace"])
    unmerged.drain()
    unmerged.app.run('update "ProjectUser" set "displayName" = \'changed\'')
    unmerged.drain()
    ours = {"DBSYNC_CLICKHOUSE_DATABASE": unmerged.server.clickhouse_database}
    stored = json.loads(dbsync("status", "--json", **ours).stdout)["clickhouse"]
    tables = {entry["mapping_id"]: entry for entry in stored["tables"]}
    assert (stored["error"], len(tables)) == (None, len(unmerged.catalog.mappings))
    assert (tables["users"]["parts"], tables["users"]["rows"]) == (2, 4)
    assert tables["users"]["bytes"] > 0
    assert tables["teams"] == {"mapping_id": "teams", "parts": 0, "rows": 0, "bytes": 0}
    assert "In ClickHouse, with former versions: users 4 rows, " in dbsync("status", **ours).stdout


def test_what_was_delivered_last_is_in_the_table(pipeline: Harness, dbsync: Command) -> None:
    """By a bare worker, too, which leaves nothing else behind."""
    sign_up(pipeline, ["Ada", "Grace"])
    pipeline.drain()

    def users() -> str:
        (line,) = [line for line in dbsync("status").stdout.splitlines() if line.split()[:2] == ["users", "clickhouse"]]
        return line.rstrip()

    assert re.search(r" 2  +\d+ (s|min) ago$", users())
    for age, shown in (("3 minutes", "3 min"), ("2 hours", "2 h"), ("9 days", "9 d")):
        pipeline.admin.execute("update dbsync.delivered set last_at = clock_timestamp() - %s::interval", [age])
        assert users().endswith(f"{shown} ago")


def test_every_number_has_its_heading_however_narrow_the_place(pipeline: Harness, dbsync: Command) -> None:
    headings = "mapping copy places to number to deliver pending claimed lag failing paused delivered last"

    assert headings.split() in [line.split() for line in dbsync("status").stdout.splitlines()]


def test_an_outage_is_watched_too() -> None:
    variables = environment(
        DBSYNC_SOURCE_URL="postgresql://app:sesame@127.0.0.1:1/app", DBSYNC_CLICKHOUSE_URL="http://unused/"
    )
    with subprocess.Popen(
        [*DBSYNC, "status", "--watch", "0.1"], env=variables, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stderr is not None
        said = [watching.stderr.readline() for _ in range(2)]
        watching.send_signal(signal.SIGINT)
    assert said[0] == said[1]
    assert "127.0.0.1:1/app does not answer" in said[0]
    assert "sesame" not in said[0]
