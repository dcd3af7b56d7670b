from collections.abc import Generator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.demo import samples
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.source import connect
from dbsync_pipeline_tests.demo.contents import checksums, count, table_names

# Labels that the database can compute in no case.
UNREACHABLE_LABELS = {"BOUNCED", "DELIVERY_DELAYED"}


@pytest.fixture(scope="module")
def demo_size() -> DemoSize:
    return DemoSize(tenancies=12, users=2_500)


@pytest.fixture
def empty(source_url: str) -> Generator[psycopg.Connection]:
    with connect(source_url) as connection:
        create_schema(connection)
        yield connection


def test_same_size_gives_the_same_data(
    generated: psycopg.Connection, empty: psycopg.Connection, demo_size: DemoSize
) -> None:
    empty.execute("set timezone to 'America/New_York'; set max_parallel_workers_per_gather to 0")
    generate(empty, demo_size)
    assert checksums(empty) == checksums(generated)


def test_another_seed_or_time_gives_other_data(empty: psycopg.Connection) -> None:
    seen: list[dict[str, str]] = []
    for seed, year in ((1, 2026), (2, 2026), (1, 2020)):
        with empty.transaction(force_rollback=True):
            generate(empty, DemoSize(6, 50, seed), base_time=datetime(year, 1, 1, tzinfo=UTC))
            seen.append(checksums(empty))
    first, other_seed, other_time = seen
    assert all(first[table] != other_seed[table] for table in first)
    without_time = {table for table in first if first[table] == other_time[table]}
    assert without_time == {"UserNotificationPreference"}


def test_tenancies_are_skewed_and_one_is_empty(generated: psycopg.Connection) -> None:
    sizes = generated.execute(
        """
        select count("projectUserId") from "Tenancy" left join "ProjectUser" on "tenancyId" = "Tenancy"."id"
        group by "Tenancy"."id" order by 1
        """
    ).fetchall()
    numbers = [size for (size,) in sizes]
    assert numbers[0] == 0
    assert numbers[1] > 0
    assert numbers[-1] > 8 * numbers[1]
    assert sum(numbers) == 2_500


@pytest.mark.parametrize(
    "size", [DemoSize(1, 0), DemoSize(1, 1), DemoSize(2, 3), DemoSize(3, 9), DemoSize(4, 1), DemoSize(300, 20)]
)
def test_small_sizes(empty: psycopg.Connection, size: DemoSize) -> None:
    generate(empty, size)
    assert count(empty, 'select count(*) from "Tenancy"') == size.tenancies
    assert count(empty, 'select count(*) from "ProjectUser"') == size.users


def test_users_only(empty: psycopg.Connection) -> None:
    generate(empty, DemoSize(6, 100, users_only=True))
    filled = {name for name in table_names(empty) if count(empty, f'select count(*) from "{name}"')}
    assert filled == {"Project", "Tenancy", "ProjectUser", "ContactChannel"}


def test_a_second_data_set_fits_beside_the_first(empty: psycopg.Connection) -> None:
    generate(empty, DemoSize(1, 10, seed=1, users_only=True))
    with pytest.raises(psycopg.errors.UniqueViolation):
        generate(empty, DemoSize(1, 10, seed=1, users_only=True))
    assert count(empty, 'select count(*) from "ProjectUser"') == 10


def test_null_and_not_null_wherever_null_is_allowed(generated: psycopg.Connection) -> None:
    columns = generated.execute(
        """
        select table_name, column_name from information_schema.columns
        where table_schema = 'public' and is_nullable = 'YES'
        """
    ).fetchall()
    assert len(columns) > 50
    query = sql.SQL("select bool_or({column} is null) and bool_or({column} is not null) from {table}")
    for table, column in columns:
        row = generated.execute(query.format(table=sql.Identifier(table), column=sql.Identifier(column))).fetchone()
        assert row == (True,), f"{table}.{column}"


def test_every_label_of_every_enum(generated: psycopg.Connection) -> None:
    columns = generated.execute(
        """
        select table_name, column_name, enum.labels
        from information_schema.columns
        cross join lateral (
            select array_agg(enumlabel::text) as labels from pg_enum
            inner join pg_type on pg_type.oid = enumtypid where typname = udt_name
        ) as enum
        where table_schema = 'public' and labels is not null
        """
    ).fetchall()
    assert len(columns) >= 10
    for table, column, labels in columns:
        query = sql.SQL("select distinct {}::text from {}").format(sql.Identifier(column), sql.Identifier(table))
        found = {label for (label,) in generated.execute(query)} - {None}
        assert set(labels) - found <= UNREACHABLE_LABELS, f"{table}.{column}"


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("ProjectUser", "displayName"),
        ("TeamMember", "displayName"),
        ("ProjectUserOAuthAccount", "providerAccountId"),
        ("EmailOutbox", "renderedSubject"),
    ],
)
def test_every_awkward_text(generated: psycopg.Connection, table: str, column: str) -> None:
    query = sql.SQL("select {} from {}").format(sql.Identifier(column), sql.Identifier(table))
    found = {text for (text,) in generated.execute(query)}
    assert set(samples.TEXTS) <= found


@pytest.mark.parametrize("column", ["clientMetadata", "clientReadOnlyMetadata", "serverMetadata"])
def test_every_awkward_document(generated: psycopg.Connection, column: str) -> None:
    query = sql.SQL('select distinct {}::text from "ProjectUser"').format(sql.Identifier(column))
    found = {text for (text,) in generated.execute(query)}
    expected = generated.execute(
        "select array_agg(d::jsonb::text) from unnest(%s::text[]) as d", [list(samples.DOCUMENTS)]
    ).fetchone()[0]
    assert set(expected) <= found


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("ProjectUser", "signedUpAt"),
        ("ProjectUser", "lastActiveAt"),
        ("ContactChannel", "createdAt"),
        ("ProjectUserRefreshToken", "expiresAt"),
        ("VerificationCode", "expiresAt"),
        ("EmailOutbox", "scheduledAt"),
        ("EmailOutbox", "startedSendingAt"),
        ("SessionReplay", "startedAt"),
    ],
)
def test_every_awkward_time(generated: psycopg.Connection, table: str, column: str) -> None:
    query = sql.SQL("select distinct {}::text from {}").format(sql.Identifier(column), sql.Identifier(table))
    found = {text for (text,) in generated.execute(query)}
    expected = generated.execute(
        "select array_agg(t::timestamp(3)::text) from unnest(%s::text[]) as t", [list(samples.TIMES)]
    ).fetchone()[0]
    assert set(expected) <= found


INVITATION = """from "VerificationCode" as code inner join "Tenancy" using ("projectId", "branchId")
    left join "Team" on "Team"."tenancyId" = "Tenancy"."id" and "teamId"::text = "data" ->> 'team_id'
    where "type" = 'TEAM_INVITATION'"""


@pytest.mark.parametrize(
    "query",
    [
        # Tenancies.
        """select from "Tenancy" as a inner join "Tenancy" as b using ("projectId", "branchId")
           where a."hasNoOrganization" = 'TRUE' and b."organizationId" is not null""",
        """select from "Tenancy" as a inner join "Tenancy" as b using ("projectId")
           where a."branchId" <> b."branchId" """,
        """select from "Tenancy" where "projectId" = 'internal'""",
        r"""select from "Tenancy" where "branchId" ~ '\t' and "branchId" like '%\\%' and "branchId" like '%''%'""",
        # Users and their addresses.
        """select from "ProjectUser" where "isAnonymous" and "displayName" is null""",
        """select from "ProjectUser" where length("displayName") > 20000""",
        """select from "ProjectUser" where length("serverMetadata"::text) > 20000""",
        """select from "ProjectUser" as u where not exists (
               select from "ContactChannel" as c where c."projectUserId" = u."projectUserId")""",
        """select from "ContactChannel" group by "projectUserId"
           having count(*) > 1 and bool_or("isPrimary" is not null)""",
        """select from "ContactChannel" group by "projectUserId" having bool_and("isPrimary" is null)""",
        # Keys of permissions.
        """select from "TeamMemberDirectPermission" where "permissionId" = ''""",
        r"""select from "TeamMemberDirectPermission" where "permissionId" ~ '\t'""",
        r"""select from "ProjectUserDirectPermission" where "permissionId" ~ '\n'""",
        r"""select from "ProjectUserDirectPermission" where "permissionId" = '\N'""",
        # Accounts and sessions.
        """select from "ProjectUserOAuthAccount" where "projectUserId" is null""",
        """select from "ProjectUserRefreshToken" as t where not exists (
               select from "ProjectUser" as u where u."projectUserId" = t."projectUserId")""",
        # Invitations.
        f"""select {INVITATION} and "teamId" is not null""",
        f"""select {INVITATION} and "usedAt" is not null""",
        f"""select {INVITATION} and "teamId" is null and exists (
                select from "Team" as sibling inner join "Tenancy" as t on t."id" = sibling."tenancyId"
                where sibling."teamId"::text = code."data" ->> 'team_id' and t."id" <> "Tenancy"."id"
                    and (t."projectId", t."branchId") = (code."projectId", code."branchId"))""",
        f"""select {INVITATION} and exists (
                select from "Team" as foreign_team
                where foreign_team."teamId"::text = code."data" ->> 'team_id'
                    and foreign_team."mirroredProjectId" <> code."projectId")""",
        """select from "VerificationCode" as code
           where "type" = 'TEAM_INVITATION' and "data" ->> 'team_id' ~ '^[0-9a-f-]{36}$' and not exists (
               select from "Team" where "teamId"::text = code."data" ->> 'team_id')""",
        f"""select {INVITATION} and not pg_input_is_valid("data" ->> 'team_id', 'uuid')""",
        f"""select {INVITATION} and "data" ->> 'team_id' like '{{%-%}}'""",
        f"""select {INVITATION} and "data" ->> 'team_id' ~ '[A-F].*-'""",
        f"""select {INVITATION} and "data" -> 'team_id' = 'null'""",
        f"""select {INVITATION} and "data" = 'null'""",
        f"""select {INVITATION} and jsonb_typeof("data") in ('array', 'string')""",
        f"""select {INVITATION} and "teamId" is not null and "method" = 'null'""",
        f"""select {INVITATION} and "teamId" is not null and "method" -> 'email' = 'null'""",
        f"""select {INVITATION} and "teamId" is not null and jsonb_typeof("method" -> 'email') = 'number'""",
        # Mail and replays.
        """select from "EmailOutbox" where "skippedDetails" = 'null'""",
        """select from "EmailOutbox" where "status" = 'SENDING' and "bouncedAt" is not null""",
        """select from "EmailOutbox" where "status" = 'SENDING' and "deliveryDelayedAt" is not null""",
        """select from "SessionReplay" as r where not exists (
               select from "SessionReplayChunk" where "sessionReplayId" = r."id")""",
        """select from "SessionReplayChunk" group by "sessionReplayId"
           having count(*) > 1 and sum("byteLength"::bigint) > 4294967296""",
    ],
)
def test_kind_occurs(generated: psycopg.Connection, query: str) -> None:
    assert count(generated, f"select count(*) from ({query}) as found") > 0


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("VerificationCode", "code"),
        ("ProjectUserRefreshToken", "refreshToken"),
        ("SessionReplayChunk", "s3Key"),
        ("SessionReplayChunk", "browserSessionId"),
    ],
)
def test_secrets_can_be_recognised(generated: psycopg.Connection, table: str, column: str) -> None:
    query = sql.SQL("select count(*), count(*) filter (where {} like 'secret\\_%') from {}")
    total, marked = generated.execute(query.format(sql.Identifier(column), sql.Identifier(table))).fetchone()
    assert total == marked > 0
