"""Fills the application's tables with realistic data in which every kind of awkward value occurs.

The rows are made inside the database, by the scripts in `data/` from functions of a row's number: the same size gives
the same rows, ids and times, and a million users take two minutes. Whatever no copy may show starts with `secret_`, so
that a leak can be found. What an application does to the data later is `traffic`'s business.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import LiteralString

import psycopg
from psycopg import sql

from dbsync_pipeline.demo import samples
from dbsync_pipeline.demo.schema import run_scripts

BASE_TIME = datetime(2026, 1, 1, tzinfo=UTC)

_USERS_PER_TEAM = 8

# A value depends on the stream (what it is for) and on the number of its row. Every seventh text, every third document
# and every 31st time is an awkward one; the streams are shifted against each other, so that a row rarely has several.
# The bodies are single expressions, which PostgreSQL inlines: a call costs what its expression costs.
_FUNCTIONS: tuple[LiteralString, ...] = (
    """
    create or replace function pg_temp.shifted(stream text, i bigint) returns bigint immutable language sql
    return i + (hashtextextended(stream, {seed}) & 65535)
    """,
    """
    create or replace function pg_temp.roll(stream text, i bigint) returns double precision immutable language sql
    return (hashint8extended(i, hashtextextended(stream, {seed})) & 1073741823) / 1073741824.0::double precision
    """,
    """
    create or replace function pg_temp.key(stream text, i bigint) returns uuid immutable language sql
    return md5({seed}::text || stream || i)::uuid
    """,
    """
    create or replace function pg_temp.secret(stream text, i bigint) returns text immutable language sql
    return 'secret_' || md5({seed}::text || 'secret' || stream || i)
    """,
    """
    create or replace function pg_temp.usual_time(stream text, i bigint) returns timestamp immutable language sql
    return {base_time}::timestamp - make_interval(secs => pg_temp.roll(stream, i) * 63072000)
    """,
    """
    create or replace function pg_temp.time(stream text, i bigint) returns timestamp immutable language sql
    return case when pg_temp.shifted(stream, i) % 31 = 0
        then ({times}::timestamp[])[1 + pg_temp.shifted(stream, i) / 31 % {time_count}]
        else pg_temp.usual_time(stream, i) end
    """,
    """
    create or replace function pg_temp.text(stream text, i bigint, usual text) returns text immutable language sql
    return case when pg_temp.shifted(stream, i) % 7 = 0
        then ({texts}::text[])[1 + pg_temp.shifted(stream, i) / 7 % {text_count}]
        else usual end
    """,
    """
    create or replace function pg_temp.document(stream text, i bigint) returns jsonb immutable language sql
    return case pg_temp.shifted(stream, i) % 3
        when 0 then ({documents}::jsonb[])[1 + pg_temp.shifted(stream, i) / 3 % {document_count}]
        when 1 then null
        else jsonb_build_object('plan', 'plan ' || i % 5, 'seats', i % 100, 'tags', jsonb_build_array('a', i))
        end
    """,
    """
    create or replace function pg_temp.person(i bigint) returns text immutable language sql
    return (array['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Ken'])[1 + i % 8] || ' '
        || (array['Lovelace', 'Hopper', 'Turing', 'Dijkstra', 'Liskov', 'Knuth', 'Perlman'])[1 + i / 8 % 7]
        || ' ' || i
    """,
    """
    create or replace function pg_temp.permission(i bigint) returns text immutable language sql
    return ({permissions}::text[])[1 + i % {permission_count}]
    """,
    """
    create or replace function pg_temp.provider(i bigint) returns text immutable language sql
    return ({providers}::text[])[1 + i % {provider_count}]
    """,
    """
    create or replace function pg_temp.long_text() returns text immutable language sql return {long_text}
    """,
)


@dataclass(frozen=True)
class DemoSize:
    """How much data to generate.

    Attributes:
        tenancies: how many; their sizes fall off like 1/rank. The second and third share a project and branch, every
            fifth is another branch of the project before it, and the last of four or more stays empty.
        users: over all tenancies. Every user brings about ten more rows.
        seed: another seed gives other ids, times and values.
        users_only: leave out everything but tenancies, users and their contact channels.
    """

    tenancies: int = 50
    users: int = 20_000
    seed: int = 7
    users_only: bool = False


def generate(connection: psycopg.Connection, size: DemoSize, *, base_time: datetime = BASE_TIME) -> None:
    """Write the data into the application's empty tables, in one transaction.

    Args:
        connection: a connection to a database with the application's schema.
        size: how much of it.
        base_time: the present of the generated data, an aware time; with a fixed one the result is always the same.
    """
    with connection.transaction():
        _create_functions(connection, size.seed, base_time)
        _plan_tenancies(connection, size)
        run_scripts(connection, "data/users")
        if not size.users_only:
            run_scripts(connection, "data/activity")
        connection.execute("analyze")


def _create_functions(connection: psycopg.Connection, seed: int, base_time: datetime) -> None:
    literals: dict[str, sql.Composable] = {
        "seed": sql.Literal(seed),
        "base_time": sql.Literal(base_time.astimezone(UTC).replace(tzinfo=None)),
        "long_text": sql.Literal(samples.LONG_TEXT),
    }
    pools = {
        "text": samples.TEXTS,
        "time": samples.TIMES,
        "document": samples.DOCUMENTS,
        "permission": samples.PERMISSIONS,
        "provider": samples.PROVIDERS,
    }
    for name, values in pools.items():
        literals[f"{name}s"] = sql.SQL("array[{}]").format(sql.SQL(", ").join(map(sql.Literal, values)))
        literals[f"{name}_count"] = sql.Literal(len(values))
    for function in _FUNCTIONS:
        connection.execute(sql.SQL(function).format(**literals))


def _plan_tenancies(connection: psycopg.Connection, size: DemoSize) -> None:
    """Lay out the tenancies in a temporary table: who they are, and which numbers their users and teams have."""
    connection.execute(
        """
        create temporary table demo_tenancy (
            ordinal bigint, tenancy_id uuid, project_id text, branch_id text, organization_id uuid,
            first_user bigint, user_count bigint, first_team bigint, team_count bigint
        ) on commit drop
        """
    )
    with connection.cursor() as cursor, cursor.copy("copy demo_tenancy from stdin") as copy:
        for row in _tenancy_rows(size):
            copy.write_row(row)


def _tenancy_rows(size: DemoSize) -> Iterator[tuple[int | str | uuid.UUID | None, ...]]:
    rng = random.Random(size.seed)  # noqa: S311 (reproducible, not secret).
    weights = [1 / rank for rank in range(1, size.tenancies + 1)]
    if size.tenancies >= 4:  # noqa: PLR2004 (the three that have a role of their own are never the empty one).
        weights[-1] = 0
    whole = sum(weights)
    shares = [part / whole for part in accumulate(weights)]
    project_id = "internal"
    first_user = first_team = 0
    for ordinal, share in enumerate(shares, start=1):
        branch_id, organization_id = "main", None
        if ordinal == 3:  # noqa: PLR2004 (the sibling of the second).
            organization_id = _uuid(rng)
        elif ordinal % 5 == 0:
            branch_id = samples.BRANCH if ordinal % 2 else "preview"
        elif ordinal > 1:
            project_id = str(_uuid(rng))
        user_count = round(size.users * share) - first_user
        team_count = -(-user_count // _USERS_PER_TEAM)
        yield (
            ordinal, _uuid(rng), project_id, branch_id, organization_id,
            first_user, user_count, first_team, team_count,
        )  # fmt: skip
        first_user += user_count
        first_team += team_count


def _uuid(rng: random.Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)
