"""How long a commit of the application takes to become visible in a copy, asked in two ways.

`waits` signs a user up in some tenancy and asks the copy for it until it is there, then the next: cheap, and right for
a steady state. `lags` signs users up at a fixed rate, whether or not those before have arrived, so that a time in which
nothing arrives is seen in full.
"""

import random
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg

from dbsync_pipeline.pipeline import Pipeline

POLL_SECONDS = 0.04
"""A look at ClickHouse takes 8 ms of processor time, and all of it shares the machine."""

SIGN_UPS_PER_SECOND = 10
_LONGEST_WAIT_SECONDS = 60
_FEWEST_PROBES = 2

_SIGN_UP = """
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
)
select "id", %s, "projectId", "branchId", 'Probe', now() from "Tenancy" where "id" = %s
"""

Looks = Callable[[Sequence[tuple[UUID, UUID]]], set[UUID]]
"""Takes tenancies, and a user of each; returns the users that their copies show."""


@dataclass(frozen=True)
class Lag:
    """One sign-up: when it was committed, by `time.perf_counter`, and how many seconds later a copy showed it."""

    committed: float
    seconds: float


def waits(pipeline: Pipeline, looks: Looks, tenancies: Sequence[UUID], seconds: float) -> list[float]:
    """Sign users up one after the other; return how long each took, in seconds."""
    found: list[float] = []
    rng = random.Random(7)  # noqa: S311 -- which tenancy comes next, not a secret
    with pipeline.source("bench probe") as connection:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(found) < _FEWEST_PROBES:
            sought = (rng.choice(tenancies), uuid.uuid4())
            committed = _sign_up(connection, *sought)
            while not looks([sought]):
                _expect_arrival(committed)
                time.sleep(POLL_SECONDS)
            found.append(time.perf_counter() - committed)
    return found


def lags(pipeline: Pipeline, looks: Looks, tenancies: Sequence[UUID], goes_on: Callable[[], bool]) -> list[Lag]:
    """Sign users up at a fixed rate as long as it goes on; return what became of each, in the order of arrival."""
    found: list[Lag] = []
    awaited: dict[UUID, tuple[UUID, float]] = {}
    rng = random.Random(7)  # noqa: S311 -- likewise
    with pipeline.source("bench probe") as connection:
        started, signed_up, going = time.perf_counter(), 0, True
        while going or awaited:
            going = going and (goes_on() or signed_up < _FEWEST_PROBES)
            if going and time.perf_counter() - started >= signed_up / SIGN_UPS_PER_SECOND:
                tenancy_id, user_id = rng.choice(tenancies), uuid.uuid4()
                awaited[user_id] = (tenancy_id, _sign_up(connection, tenancy_id, user_id))
                signed_up += 1
            arrived = looks([(tenancy_id, user_id) for user_id, (tenancy_id, _) in awaited.items()]) if awaited else ()
            now = time.perf_counter()
            for user_id in arrived:
                _, committed = awaited.pop(user_id)
                found.append(Lag(committed, now - committed))
            for _, committed in awaited.values():
                _expect_arrival(committed)
            time.sleep(POLL_SECONDS)
    return found


@contextmanager
def clickhouse_looks(pipeline: Pipeline) -> Generator[Looks]:
    """Open a connection that looks into the view of the users, by its whole sorting key, so that it costs little."""
    view = pipeline.clickhouse_names.view(pipeline.catalog.mapping("users"))
    question = f"select id from {view} where (project_id, branch_id, tenancy_id, id) in %(sought)s"  # noqa: S608 -- our own name
    with pipeline.source("bench") as connection, pipeline.clickhouse() as clickhouse:
        rows = connection.execute('select "id", "projectId", "branchId" from "Tenancy"')
        places = {tenancy_id: (project_id, branch_id) for tenancy_id, project_id, branch_id in rows}

        def looks(sought: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
            keys = tuple((*places[tenancy_id], tenancy_id, user_id) for tenancy_id, user_id in sought)
            return {user_id for (user_id,) in clickhouse.query(question, {"sought": keys})}

        yield looks


def _sign_up(connection: psycopg.Connection, tenancy_id: UUID, user_id: UUID) -> float:
    connection.execute(_SIGN_UP, [user_id, tenancy_id])
    return time.perf_counter()


def _expect_arrival(committed: float) -> None:
    if time.perf_counter() - committed > _LONGEST_WAIT_SECONDS:
        raise AssertionError(f"a sign-up has not arrived within {_LONGEST_WAIT_SECONDS} s")
