"""Dagster's own processes: runs that hand over, and are there again when everything was killed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import dagster as dg
import pytest

from dbsync_pipeline.defs import liveness
from dbsync_pipeline.defs.instance import write_dagster_home
from dbsync_pipeline.embedded.process import LOOPBACK, reserve_port
from dbsync_pipeline_tests.harness import Harness

PATIENCE_SECONDS = 120


@dataclass
class Daemon:
    """A daemon, the code server it starts, and the runs that this starts."""

    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", str(self.home / "workspace.yaml")],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self.home,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def family(self) -> dict[int, str]:
        """Return every process that was started under this home, and its command."""
        marker = f"DAGSTER_HOME={self.home}".encode()
        found: dict[int, str] = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (path / "environ").read_bytes().split(b"\0"):
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def end(self) -> None:
        while family := self.family():
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if self.process is not None:
                self.process.wait()
            time.sleep(0.05)


@pytest.fixture
def daemon(tmp_path: Path, settings: None, monkeypatch: pytest.MonkeyPatch) -> Generator[Daemon]:
    """A daemon on the pipeline, whose runs stay for five seconds and then look for a successor."""
    monkeypatch.setenv("DBSYNC_RUN_SECONDS", "5")
    monkeypatch.setenv("DBSYNC_IDLE_SECONDS", "600")
    home = tmp_path / "home"
    write_dagster_home(home)
    daemon = Daemon(home, {**os.environ, "DAGSTER_HOME": str(home)})
    try:
        yield daemon
    finally:
        daemon.end()


def until(holds: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {PATIENCE_SECONDS} s\n{log.read_text()[-4_000:]}")
        time.sleep(0.05)


def test_a_run_that_a_person_stops_ends_between_two_batches(pipeline: Harness, daemon: Daemon) -> None:
    """It is told by Dagster's launcher, as by the button in the UI, and ends by itself: cancelled, not failed."""
    log = daemon.home / "daemon.log"
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    daemon.environment["DBSYNC_RUN_SECONDS"] = "600"
    daemon.start()
    until(lambda: bool(_runs(pipeline)) and pipeline.pending() == [], "a worker that has delivered", log)
    with dg.DagsterInstance.from_config(str(daemon.home)) as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name="sync_job", statuses=[dg.DagsterRunStatus.STARTED]))
        assert instance.run_launcher.terminate(run.run_id)
        until(lambda: _status(instance, run) == dg.DagsterRunStatus.CANCELED, "the run is cancelled", log)
    until(lambda: liveness._lock_of(run.run_id) not in _runs(pipeline), "its lock is free", log)
    pipeline.assert_equal("users")


def test_what_is_delivered_does_not_depend_on_the_webserver(pipeline: Harness, daemon: Daemon) -> None:
    log = daemon.home / "daemon.log"
    tenancy = pipeline.app.tenancy()
    port, reservation = reserve_port(None)
    command = ["-m", "dagster_webserver", "-w", str(daemon.home / "workspace.yaml"), "-p", str(port)]
    with reservation, log.open("ab") as said:
        webserver = subprocess.Popen(
            [sys.executable, *command], env=daemon.environment, stdout=said, stderr=said, cwd=daemon.home
        )
        try:
            daemon.start()
            until(lambda: _answers(port), "the webserver answers", log)
            pipeline.app.user(tenancy)
            until(lambda: bool(_runs(pipeline)), "somebody is at work", log)
        finally:
            webserver.kill()
            webserver.wait()
    assert not _answers(port)
    seen = _runs(pipeline)
    pipeline.app.user(tenancy)
    # Those of before end after five seconds, so others come, which nobody asks the webserver for.
    until(lambda: bool(_runs(pipeline) - seen), "other runs", log)
    until(lambda: pipeline.pending() == [] and not _unnumbered(pipeline), "all is delivered", log)
    pipeline.assert_equal("users")


def test_the_wanted_runs_are_at_work_again_whatever_is_killed(pipeline: Harness, daemon: Daemon) -> None:
    log = daemon.home / "daemon.log"
    tenancy = pipeline.app.tenancy()
    seen: set[int] = set()
    gaps: list[liveness.Places] = []

    def at_work() -> bool:
        """Look whether the place has a run, or one that works on until its successor is there."""
        places = liveness.Places.of(pipeline.admin, "sync_job")
        return places.filled | places.being_left == {0}

    def wanted_and_at_work() -> bool:
        pipeline.app.user(tenancy)
        return at_work()

    def others_came() -> bool:
        """Look on until there have been two runs of the sequencer, and two workers, or more of one of them."""
        if not at_work():
            gaps.append(liveness.Places.of(pipeline.admin, "sync_job"))
        seen.update(_runs(pipeline))
        return len(seen) >= 4

    daemon.start()
    until(wanted_and_at_work, "a worker at work", log)
    until(others_came, "hand-overs", log)
    assert gaps == []

    for pid, command in daemon.family().items():
        if "dagster" in command and " grpc " in command:
            os.kill(pid, signal.SIGKILL)
    daemon.kill()
    _kill_a_run(daemon, pipeline)
    daemon.start()
    until(wanted_and_at_work, "a worker after all of them were killed", log)
    until(lambda: pipeline.pending() == [] and not _unnumbered(pipeline), "all is delivered", log)
    pipeline.assert_equal("users")


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://{LOOPBACK}:{port}/server_info") as answer:
            return answer.status == HTTPStatus.OK
    except URLError:
        return False


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def _runs(pipeline: Harness) -> set[int]:
    return liveness._held(pipeline.admin, liveness._RUNS)


def _kill_a_run(daemon: Daemon, pipeline: Harness) -> None:
    """Kill a sync run that is at work, and wait until Postgres has noticed."""
    with dg.DagsterInstance.from_config(str(daemon.home)) as instance:
        for run in instance.get_runs(dg.RunsFilter(job_name="sync_job", statuses=[dg.DagsterRunStatus.STARTED])):
            said = "\n".join(entry.message for entry in instance.all_logs(run.run_id))
            found = re.search(r"pid: (\d+)", said)
            lock = liveness._lock_of(run.run_id)
            if found is not None and lock in _runs(pipeline):
                os.kill(int(found[1]), signal.SIGKILL)
                while lock in _runs(pipeline):
                    time.sleep(0.01)
                return
    pytest.fail("no run was at work")


def _unnumbered(pipeline: Harness) -> bool:
    return pipeline.value('select exists (select from "ProjectUser" where "shouldUpdateSequenceId")')
