import random
import threading
from collections.abc import Callable, Generator
from datetime import datetime

import psycopg
import pytest

from dbsync_pipeline.demo.application.mix import WEIGHTS, Application
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.source import connect
from dbsync_pipeline_tests.demo.contents import checksums, count

Transaction = Callable[[Application, random.Random], bool]

ORPHANED_SESSIONS = """
    select count(*) from "ProjectUserRefreshToken" where ("tenancyId", "projectUserId") not in (
        select "tenancyId", "projectUserId" from "ProjectUser"
    )
"""
MISPLACED_USERS = """
    select count(*) from "ProjectUser" inner join "Tenancy" on "Tenancy"."id" = "tenancyId"
    where ("mirroredProjectId", "mirroredBranchId") <> ("Tenancy"."projectId", "branchId")
"""


def fixed_clock() -> datetime:
    return datetime(2026, 3, 1, 12, 30, 0, 123_000)  # noqa: DTZ001 (UTC, as the columns hold it).


@pytest.fixture
def application(generated: psycopg.Connection) -> Generator[Application]:
    """An application whose transactions are all undone after the test."""
    with generated.transaction(force_rollback=True):
        yield Application(generated, clock=fixed_clock)


@pytest.fixture
def database(source_url: str) -> str:
    """The URL of a generated database of this test's own."""
    with connect(source_url) as connection:
        create_schema(connection)
        generate(connection, DemoSize(tenancies=12, users=400))
    return source_url


def run(application: Application, transaction: Transaction, seed: int = 1) -> random.Random:
    """Repeat a transaction until it finds something to write."""
    rng = random.Random(seed)
    for _ in range(200):
        if transaction(application, rng):
            return rng
    pytest.fail(f"{transaction.__name__} finds nothing to write")


def changed_columns(application: Application, table: str, key: list[str], act: Callable[[], object]) -> set[str]:
    """Return the columns in which the rows that `act` updates differ afterwards."""
    names = ", ".join(f'"{name}"' for name in key)
    execute = application.connection.execute
    execute(f'create temporary table before on commit drop as select * from "{table}"')
    act()
    rows = execute(
        f"""
        select o.key from before inner join "{table}" as after using ({names})
        cross join lateral jsonb_each(to_jsonb(before)) as o (key, value)
        cross join lateral jsonb_each(to_jsonb(after)) as n (key, value)
        where o.key = n.key and o.value <> n.value
        """
    )
    return {column for (column,) in rows}


@pytest.mark.parametrize(
    "transaction", [*WEIGHTS, Application.truncate_preferences], ids=lambda transaction: transaction.__name__
)
def test_each_transaction_writes_and_says_so(application: Application, transaction: Transaction) -> None:
    before = checksums(application.connection)
    run(application, transaction)
    assert checksums(application.connection) != before


def test_every_transaction_is_in_the_mix() -> None:
    public = {
        value
        for base in Application.__mro__
        if base.__name__.endswith("Transactions")
        for name, value in vars(base).items()
        if not name.startswith("_")
    }
    assert public - set(WEIGHTS) == {Application.truncate_preferences}


def test_activity_changes_nothing_else(application: Application) -> None:
    changed = changed_columns(
        application,
        "ProjectUser",
        ["tenancyId", "projectUserId"],
        lambda: run(application, Application.touch_activity),
    )
    assert changed == {"lastActiveAt", "updatedAt"}


def test_renamed_account_keeps_its_id(application: Application) -> None:
    changed = changed_columns(
        application, "ProjectUserOAuthAccount", ["id"], lambda: run(application, Application.rename_account)
    )
    assert changed == {"providerAccountId", "updatedAt"}


@pytest.mark.parametrize(
    ("transaction", "table", "key"),
    [
        (Application.recreate_user, "ProjectUser", '"tenancyId", "projectUserId"'),
        (Application.recreate_user_later, "ProjectUser", '"tenancyId", "projectUserId"'),
        (Application.recreate_team, "Team", '"tenancyId", "teamId"'),
        (Application.rejoin_team, "TeamMember", '"tenancyId", "projectUserId", "teamId"'),
        (Application.rejoin_team_later, "TeamMember", '"tenancyId", "projectUserId", "teamId"'),
        (
            Application.regrant_team_permission,
            "TeamMemberDirectPermission",
            '"tenancyId", "projectUserId", "teamId", "permissionId"',
        ),
        (
            Application.regrant_project_permission,
            "ProjectUserDirectPermission",
            '"tenancyId", "projectUserId", "permissionId"',
        ),
        (Application.recreate_account, "ProjectUserOAuthAccount", '"tenancyId", "id"'),
        (
            Application.replace_preference,
            "UserNotificationPreference",
            '"tenancyId", "projectUserId", "notificationCategoryId"',
        ),
    ],
)
def test_a_key_comes_back_as_another_row(
    application: Application, transaction: Transaction, table: str, key: str
) -> None:
    keys = f"select md5(string_agg(k::text, '|' order by k::text)) from (select {key} from \"{table}\") as k"
    before = application.connection.execute(keys).fetchone()
    whole_table = checksums(application.connection)[table]
    run(application, transaction)
    assert application.connection.execute(keys).fetchone() == before
    assert checksums(application.connection)[table] != whole_table


def test_moved_user_takes_everything_along_but_memberships(application: Application) -> None:
    changed = changed_columns(
        application, "ProjectUser", ["projectUserId"], lambda: run(application, Application.move_user)
    )
    assert changed == {"tenancyId"}
    assert count(application.connection, MISPLACED_USERS) == 0


def test_deleting_a_team_may_leave_its_invitations(application: Application) -> None:
    invitations = 'select count(*) from "VerificationCode"'
    before = count(application.connection, invitations)
    run(application, Application.delete_team)
    assert count(application.connection, invitations) == before
    rng = run(application, Application.delete_team_and_invitations)
    while count(application.connection, invitations) == before:
        application.delete_team_and_invitations(rng)


def test_deleting_a_tenancy_leaves_its_users(application: Application) -> None:
    users, mails = 'select count(*) from "ProjectUser"', 'select count(*) from "EmailOutbox"'
    before = count(application.connection, users), count(application.connection, mails)
    rng = run(application, Application.delete_tenancy)
    while count(application.connection, mails) == before[1]:
        assert application.delete_tenancy(rng)
    assert count(application.connection, users) == before[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_random_transactions(database: str, seed: int) -> None:
    with connect(database) as connection:
        orphans = count(connection, ORPHANED_SESSIONS)
        application = Application(connection)
        rng = random.Random(seed)
        done = {application.random_transaction(rng) for _ in range(2_000)}
        assert len(done) > len(WEIGHTS) / 2
        assert count(connection, ORPHANED_SESSIONS) <= orphans
        assert count(connection, MISPLACED_USERS) == 0
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_starts_in_an_empty_database(source_url: str) -> None:
    with connect(source_url) as connection:
        create_schema(connection)
        application = Application(connection)
        rng = random.Random(1)
        done = [application.random_transaction(rng) for _ in range(100)]
        assert done[0] == "create_project"
        assert "sign_up" in done


def test_same_random_numbers_write_the_same_rows(generated: psycopg.Connection) -> None:
    results: list[dict[str, str]] = []
    for _ in range(2):
        with generated.transaction(force_rollback=True):
            application = Application(generated, clock=fixed_clock)
            rng = random.Random(5)
            for _ in range(200):
                application.random_transaction(rng)
            results.append(checksums(generated))
    assert results[0] == results[1]


def test_several_writers_do_not_break_each_others_constraints(database: str) -> None:
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            with connect(database) as connection:
                application = Application(connection)
                rng = random.Random(seed)
                for _ in range(600):
                    try:
                        application.random_transaction(rng)
                    except psycopg.errors.DeadlockDetected:
                        continue
        except psycopg.Error as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
