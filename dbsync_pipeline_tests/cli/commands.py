"""Runs `dbsync` as people do, in a process of its own."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable

import psycopg

from dbsync_pipeline_tests.harness import Harness

Command = Callable[..., subprocess.CompletedProcess[str]]

DBSYNC = [sys.executable, "-m", "dbsync_pipeline.cli.main"]


def environment(**variables: str) -> dict[str, str]:
    """The environment without anything of this project's, but for what is given; wide enough for any table."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("DBSYNC_", "DAGSTER_"))}
    return bare | {"COLUMNS": "200"} | variables


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DBSYNC, *arguments], env=environment(**variables), capture_output=True, text=True, timeout=240, check=False
    )


def sign_up(pipeline: Harness, names: list[str]) -> str:
    """Add a tenancy with one user a name; return its id."""
    tenancy = str(uuid.uuid4())
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            """insert into "Project" (id, "displayName", "isProductionMode", "updatedAt")
            values (%s, '', true, now())""",
            [tenancy],
        )
        connection.execute(
            """insert into "Tenancy" (id, "projectId", "branchId", "hasNoOrganization", "updatedAt")
            values (%s, %s, 'main', 'TRUE', now())""",
            [tenancy, tenancy],
        )
        for name in names:
            connection.execute(
                """insert into "ProjectUser" ("tenancyId", "projectUserId", "displayName", "mirroredProjectId",
                "mirroredBranchId", "updatedAt") values (%s, gen_random_uuid(), %s, %s, 'main', now())""",
                [tenancy, name, tenancy],
            )
    return tenancy
