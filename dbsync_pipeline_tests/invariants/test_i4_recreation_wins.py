"""Attacks I4: a key that is deleted and inserted again ends live, whatever comes between.

The delete commits before the n-th step of a sequencer's pass, the insert before the m-th, a worker delivers at every
step; all pairs of steps that differ in kind are tried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest

from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedSequencer, WatchedWorker

DISTANCES = (0, 2)


@dataclass(frozen=True)
class Scenario:
    """A key that goes and comes back, over a session of its own."""

    mapping_id: str
    dirty: Callable[[Application, "Keys"], object]
    go: Callable[[Application, "Keys"], object]
    come: Callable[[Application, "Keys"], object]


@dataclass(frozen=True)
class Keys:
    """What the scenarios act on."""

    tenancy: UUID
    sibling: UUID
    user: UUID
    session: UUID
    team: UUID
    invitation: UUID


SCENARIOS = {
    "same key": Scenario(
        "users",
        lambda app, keys: app.update("ProjectUser", {"projectUserId": keys.user}, displayName=str(uuid4())),
        lambda app, keys: app.delete("ProjectUser", projectUserId=keys.user),
        lambda app, keys: app.user(keys.tenancy, projectUserId=keys.user),
    ),
    "natural key, new row": Scenario(
        "project_permissions",
        lambda app, keys: app.run('update "ProjectUserDirectPermission" set "createdAt" = clock_timestamp()'),
        lambda app, keys: app.run('delete from "ProjectUserDirectPermission"'),
        lambda app, keys: app.project_permission(keys.tenancy, keys.user, "admin"),
    ),
    "natural key, renamed and back": Scenario(
        "project_permissions",
        lambda app, keys: app.run('update "ProjectUserDirectPermission" set "createdAt" = clock_timestamp()'),
        lambda app, keys: app.run('update "ProjectUserDirectPermission" set "permissionId" = %s', "other"),
        lambda app, keys: app.run('update "ProjectUserDirectPermission" set "permissionId" = %s', "admin"),
    ),
    "to another tenancy and back": Scenario(
        "refresh_tokens",
        lambda app, keys: app.run('update "ProjectUserRefreshToken" set "createdAt" = clock_timestamp()'),
        lambda app, keys: app.update("ProjectUserRefreshToken", {"id": keys.session}, tenancyId=keys.sibling),
        lambda app, keys: app.update("ProjectUserRefreshToken", {"id": keys.session}, tenancyId=keys.tenancy),
    ),
    "out of the filter and back": Scenario(
        "team_invitations",
        lambda app, keys: app.run('update "VerificationCode" set "createdAt" = clock_timestamp()'),
        lambda app, keys: app.update("VerificationCode", {"id": keys.invitation}, type="PASSWORD_RESET"),
        lambda app, keys: app.update("VerificationCode", {"id": keys.invitation}, type="TEAM_INVITATION"),
    ),
    "joined row gone and back": Scenario(
        "team_invitations",
        lambda app, keys: app.run('update "VerificationCode" set "createdAt" = clock_timestamp()'),
        lambda app, keys: app.delete("Team", teamId=keys.team),
        lambda app, keys: app.team(keys.tenancy, teamId=keys.team),
    ),
}


@pytest.mark.parametrize("external", [False, True], ids=["clickhouse", "postgres"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_deleted_and_inserted_again_between_any_two_steps(pipeline: Harness, name: str, *, external: bool) -> None:
    scenario = SCENARIOS[name]
    app = pipeline.app
    # A writer that waits for the sequencer gives up here, and tries again a step later.
    app.connection.execute("set lock_timeout = '10ms'")
    tenancy = app.tenancy(project="shared")
    user, team = app.user(tenancy), app.team(tenancy)
    app.project_permission(tenancy, user, "admin")
    keys = Keys(
        tenancy,
        app.tenancy(project="shared"),
        user,
        app.session(tenancy, user),
        team,
        app.invitation(tenancy, team),
    )
    copies = [pipeline.configure_external(owner) for owner in (tenancy, keys.sibling)] if external else []

    def found() -> set[object]:
        rows = [row for copy in copies for row in copy.rows(scenario.mapping_id)]
        return {row.get("id", row.get("permission_id")) for row in rows or pipeline.view(scenario.mapping_id)}

    pipeline.drain()
    before = found()
    with WatchedWorker(pipeline, external=copies[0] if copies else None) as worker:
        steps = 1
        first = 0
        while first <= steps:
            for distance in DISTANCES:
                steps = _interleave(pipeline, worker, scenario, keys, (first, first + distance))
                assert found() == before, f"gone at {first}, back {distance} later"
            first += 1
    assert steps >= 10
    pipeline.assert_equal()
    for copy in copies:
        copy.assert_equal()


def _interleave(pipeline: Harness, worker: WatchedWorker, scenario: Scenario, keys: Keys, at: tuple[int, int]) -> int:
    """Run one pass with the two changes before its given steps; return how many steps it had."""
    scenario.dirty(pipeline.app, keys)
    passing = Steps()
    with WatchedSequencer(pipeline, tell=passing.wait) as sequencer:
        passing.start(sequencer.sequencer.run_pass)
        left = list(zip(at, (scenario.go, scenario.come), strict=True))
        steps = 0
        while True:
            while left and left[0][0] <= steps and _tried(pipeline.app, keys, left[0][1]):
                left.pop(0)
            worker.cycle.run_once()
            if passing.advance() is None:
                break
            steps += 1
        passing.finish()
    for _, change in left:
        change(pipeline.app, keys)
    pipeline.drain()
    return steps


def _tried(app: Application, keys: Keys, change: Callable[[Application, Keys], object]) -> bool:
    try:
        change(app, keys)
    except psycopg.errors.LockNotAvailable:
        return False
    return True
