"""`dbsync sync` beside sequencers, workers and traffic: what it waits for, and what it does not."""

import json

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.engine.cycle import Selection, SyncCycle, SyncResult
from dbsync_pipeline.mappings.relation import SEQUENCER_LOCK
from dbsync_pipeline.sequencer.sequencer import PassResult, Sequencer
from dbsync_pipeline_tests.cli.commands import Command, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_another_sequencer_at_work_is_waited_for(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that it keeps from being numbered counts as done."""
    pipeline.app.user(pipeline.app.tenancy())
    passes: list[PassResult] = []
    run_pass = Sequencer.run_pass
    with psycopg.connect(pipeline.url) as other:
        other.execute(sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(SEQUENCER_LOCK)))

        def noted(self: Sequencer) -> PassResult:
            passes.append(run_pass(self))
            if len(passes) == 2:
                other.rollback()
            return passes[-1]

        monkeypatch.setattr(Sequencer, "run_pass", noted)
        drained = drain(pipeline.pipeline, Selection())
    assert [entry.locked_out for entry in passes] == [True, True, False]
    assert drained.failures == []
    pipeline.assert_equal("users")
    assert len(pipeline.view("users")) == 1


def test_traffic_keeps_nobody_here(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there is delivered; something comes before every pass and every turn, and would never end."""
    tenancy = pipeline.app.tenancy()
    there = str(pipeline.app.user(tenancy))
    run_pass, run_once = Sequencer.run_pass, SyncCycle.run_once
    passes: list[PassResult] = []
    turns: list[list[SyncResult]] = []

    def busy_pass(self: Sequencer) -> PassResult:
        pipeline.app.user(tenancy)
        passes.append(run_pass(self))
        assert len(passes) < 20
        return passes[-1]

    def busy_turn(self: SyncCycle) -> list[SyncResult]:
        with monkeypatch.context() as quiet:
            quiet.setattr(Sequencer, "run_pass", run_pass)
            pipeline.app.user(tenancy)
            pipeline.sequence()
        turns.append(run_once(self))
        assert len(turns) < 20
        return turns[-1]

    monkeypatch.setattr(Sequencer, "run_pass", busy_pass)
    monkeypatch.setattr(SyncCycle, "run_once", busy_turn)
    drained = drain(pipeline.pipeline, Selection())
    assert drained.failures == []
    assert there in {str(row["id"]) for row in pipeline.view("users")}


def test_what_another_worker_has_claimed_is_waited_for(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    run_once = SyncCycle.run_once
    turns: list[list[SyncResult]] = []
    with pipeline.worker() as other:
        assert other._queue.claim(10)

        def noted(self: SyncCycle) -> list[SyncResult]:
            turns.append(run_once(self))
            if len(turns) == 2:
                other._queue.release()
            return turns[-1]

        monkeypatch.setattr(SyncCycle, "run_once", noted)
        drained = drain(pipeline.pipeline, Selection())
    assert [bool(results) for results in turns] == [False, False, True]
    assert drained.rows == 1


def test_what_another_worker_has_failed_with_is_no_success(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.configure(retry_base_seconds=3600, retry_max_seconds=3600)
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    run_once = SyncCycle.run_once
    with pipeline.worker() as other:
        assert other._queue.claim(10)

        def fails_meanwhile(self: SyncCycle) -> list[SyncResult]:
            other._queue.back_off({(tenancy, "users"): "the cable is out"})
            return run_once(self)

        monkeypatch.setattr(SyncCycle, "run_once", fails_meanwhile)
        drained = drain(pipeline.pipeline, Selection())
    assert drained.refused == {("clickhouse", str(tenancy), "users"): "the cable is out"}


def test_numbering_that_is_paused_is_said(pipeline: Harness, dbsync: Command) -> None:
    """What has a number is delivered all the same."""
    dbsync("init")
    sign_up(pipeline, ["Ada"])
    assert dbsync("sync").returncode == 0
    dbsync("pause", "--sequencer")
    assert dbsync("sync").returncode == 0
    sign_up(pipeline, ["Grace"])
    synced = dbsync("sync")
    assert (synced.returncode, synced.stdout) == (9, "Delivered 0 rows.\n")
    assert "numbering is paused" in synced.stderr
    assert "dbsync resume --sequencer" in synced.stderr
    dbsync("resume", "--sequencer")
    assert dbsync("sync").returncode == 0
    rest = json.loads(dbsync("status", "--json").stdout)["mappings"]
    assert {entry["waiting_for_sequencer"] + entry["waiting_for_delivery"] for entry in rest} == {0}
