"""Attacks I7: a row of one tenancy is never read through another's view, nor through its queries."""

from collections.abc import Generator
from uuid import UUID, uuid4

import pytest

from dbsync_pipeline.destinations.clickhouse import tenant_query
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.tenant_query import query_tenancy
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline_tests.harness import Harness, init_clickhouse

HOSTILE = (
    "select * from users_of(tenancy = '{other}')",
    "select * from pipeline.users_of(tenancy = '{other}')",
    "select * from pipeline_internal.users",
    "select * from `pipeline_internal`.`users` final",
    "select * from pipeline_internal.sync_checkpoint",
    "select * from merge('pipeline_internal', 'users')",
    "select * from merge(REGEXP('pipeline.*'), '.*')",
    "select * from remote('127.0.0.1', pipeline_internal, users)",
    "select * from cluster('default', 'pipeline_internal', 'users')",
    "select * from url('http://127.0.0.1/', 'TSV', 'a String')",
    "select * from file('/etc/passwd', 'TSV', 'a String')",
    "select * from numbers(10)",
    "select * from view(select * from pipeline_internal.users)",
    "select * from system.tables",
    "select * from system.query_log",
    "select * from information_schema.tables",
    "select * from INFORMATION_SCHEMA.columns",
    "select id from users union all select id from pipeline_internal.users",
    "select id from users where id in (select id from pipeline_internal.users)",
    "select id from users where id in pipeline_internal.users",
    "select id from users where id global in pipeline_internal.users",
    "select id from users where in(id, pipeline_internal.users)",
    "select id from users where id in (pipeline_internal.users)",
    "select id from users where id not in ((pipeline_internal.users))",
    "select id from users where globalIn(id, 'pipeline_internal.users')",
    "select (select groupArray(id) from pipeline_internal.users)",
    "with stolen as (select * from pipeline_internal.users) select * from stolen",
    "with users as (select * from pipeline_internal.users) select * from users",
    "with 1 as sync_progress select * from sync_progress",
    "with (select 1) as sync_progress select * from sync_progress",
    "with sync_progress as (select * from sync_progress) select * from sync_progress",
    "select * from sync_progress, (with sync_progress as (select 1 as x) select * from sync_progress) as y",
    "with teams as (select * from pipeline_internal.users) select * from users",
    "select * from users join pipeline_internal.users as stolen using (id)",
    "select * from users, pipeline_internal.users as stolen",
    "select * from users settings additional_table_filters = {{}}",
    "select * from users settings readonly = 0",
    "select * from (select * from users settings additional_table_filters = {{}})",
    "select * from users; select * from pipeline_internal.users",
    "select * from users -- \n; drop database pipeline_internal",
    "insert into users select * from users",
    "drop table pipeline_internal.users",
    "alter table pipeline_internal.users delete where 1",
    "show tables from pipeline_internal",
    "describe table pipeline_internal.users",
    "explain select * from pipeline_internal.users",
    "set readonly = 0",
    "use pipeline_internal",
    "select * from dictionary('pipeline_internal.users')",
    "select dictGet('pipeline_internal.users', 'id', 1)",
    "select joinGet('pipeline_internal.users', 'display_name', '{other}')",
    "select hasColumnInTable('pipeline_internal', 'users', 'id')",
    "select file('/etc/passwd')",
    "select * from executable('cat', 'TSV', 'a String')",
    "table pipeline_internal.users",
    "from pipeline_internal.users select *",
    "select * from users where tenancy_id = '{other}'",
    "select * from users where 1 or tenancy_id = '{other}'",
    "select * from users prewhere tenancy_id = '{other}'",
    "select * from users array join [1] as one where tenancy_id = '{other}' or one",
    "select *, tenancy_id as t from pipeline.users group by all having 1",
    "select * from users as `pipeline_internal` where 1",
    "select count() over (), * from users qualify 1",
)


PROBES = (
    "select notIn(7, {elsewhere}.t)",
    "select `notIn`(7, {elsewhere}.t)",
    'select "in"(7, {elsewhere}.t)',
    "select `in`(7, {elsewhere}.t)",
    "select globalIn(7, {elsewhere}.t)",
    "select globalNotIn(7, {elsewhere}.t)",
    "select nullIn(7, {elsewhere}.t)",
    "select notNullIn(7, {elsewhere}.t)",
    "select globalNullIn(7, {elsewhere}.t)",
    "select globalNotNullIn(7, {elsewhere}.t)",
    "select inIgnoreSet(7, {elsewhere}.t)",
    "select globalNotNullInIgnoreSet(7, {elsewhere}.t)",
    "select 7 in {elsewhere}.t",
    "select 7 in ({elsewhere}.t)",
    "select 7 not in ((`{elsewhere}`.`t`))",
    "select 7 global in {elsewhere}.t",
    "select arrayExists(x -> notIn(x, {elsewhere}.t), [7])",
    "select countIf(notIn(7, {elsewhere}.t)) from users",
    "select notIn/**/(7, {elsewhere}.t)",
    "select 7 in {elsewhere}. /* of another */ t",
    "select ‘, ' ’, notIn(7, {elsewhere}.t), ‘ ', ’",  # noqa: RUF001 -- ClickHouse's
    "select “, ' ” from (select 1 as `, ' `, count() as c from {elsewhere}.t) where c or 1 = length(‘ ', ’)",  # noqa: RUF001 -- ClickHouse's
    "select * from {elsewhere}.t",
    "select * from merge('{elsewhere}', 't')",
    "select joinGet('{elsewhere}.j', 'v', toUInt64(7))",
    "select joinGet({elsewhere}.j, 'v', toUInt64(7))",
    "select joinGetOrNull('{elsewhere}.j', 'v', toUInt64(7))",
    "select dictGet('{elsewhere}.d', 'v', toUInt64(7))",
    "select dictGetString('{elsewhere}.d', 'v', toUInt64(7))",
    "select dictGetOrDefault('{elsewhere}.d', 'v', toUInt64(7), '')",
    "select dictHas('{elsewhere}.d', toUInt64(7))",
    "select hasColumnInTable('{elsewhere}', 't', 'a')",
    "select getMaxTableNameLengthForDatabase('{elsewhere}')",
)
"""Queries that ClickHouse answers from beyond the views."""

REFUSED = (
    "select file('x')",
    "select arrayMap(file, ['x'])",
    "select arrayMap(dictHas, ['a.d'], [7])",
    "select * apply(file) from users",
    "select FILE('x')",
    "select catboostEvaluate('/x.bin', 1)",
    "select dictIsIn('a.d', 1, 2)",
    "select aiGenerate('a', 'b')",
    "select AIGenerate('a', 'b')",
    *(
        f"select * from {function}('a', 'b', 'c')"
        for function in (
            *("azureBlobStorage", "bigquery", "cluster", "clusterAllReplicas", "deltaLake", "dictionary", "eval"),
            *("executable", "file", "fileCluster", "filesystem", "gcs", "hdfs", "iceberg", "jdbc", "loop", "merge"),
            *("mergeTreeIndex", "mongodb", "mysql", "odbc", "postgresql", "python", "redis", "remote", "remoteSecure"),
            *("s3", "s3Cluster", "sqlite", "url", "urlCluster", "view", "viewIfPermitted", "viewExplain"),
        )
    ),
)
"""Queries that reach, or could reach, beyond ClickHouse."""


@pytest.fixture
def reader(pipeline: Harness) -> Generator[ClickHouse]:
    """A connection as `dbsync query` opens it: names without a database are the views."""
    with pipeline.pipeline.clickhouse(default_database=pipeline.names.database) as clickhouse:
        yield clickhouse


def two_siblings(pipeline: Harness) -> tuple[UUID, UUID]:
    """Return two tenancies of one project and branch, each with a user that the other must not see."""
    mine, other = (pipeline.app.tenancy(project="shared") for _ in range(2))
    for tenancy, name in ((mine, "mine"), (other, "stolen")):
        user = pipeline.app.user(tenancy, displayName=name, email=f"{name}@example.com")
        team = pipeline.app.team(tenancy, displayName=name)
        pipeline.app.member(tenancy, team, user, displayName=name)
        pipeline.app.invitation(tenancy, team, f"{name}@example.com")
        pipeline.app.session(tenancy, user)
        pipeline.app.mail(tenancy, renderedSubject=None)
    pipeline.drain()
    return mine, other


def test_hostile_queries_of_one_tenancy(pipeline: Harness, reader: ClickHouse) -> None:
    """Each is refused, or answers with nothing of the other tenancy."""
    mine, other = two_siblings(pipeline)
    answered: list[str] = []
    for text in HOSTILE:
        statement = text.format(other=other)
        try:
            _, rows = query_tenancy(reader, pipeline.catalog, pipeline.names, statement, str(mine))
        except DbsyncError:
            continue
        answered.append(statement)
        assert "stolen" not in str(rows), statement
        assert str(other) not in str(rows), statement
        assert len(rows) <= 1, statement
    # The first lock lets these through; the second has nothing to show for them.
    assert len(answered) == 7, answered
    pipeline.assert_equal()


def test_honest_queries_see_their_own_rows(pipeline: Harness, reader: ClickHouse) -> None:
    mine, _ = two_siblings(pipeline)
    for statement in (
        "select display_name from users",
        "select display_name from pipeline.users as u",
        "with mine as (select * from users) select display_name from mine",
        "select display_name from users where id in (select user_id from team_member_profiles)",
        "select u.display_name from users u join contact_channels c on c.user_id = u.id",
        "select display_name from users union distinct select display_name from teams",
        "with a as (select * from users), b as (select display_name as n from a) select n from b",
        "select max(display_name) from users where display_name in ('mine') and 1 in (1, 2) having count() in (1)",
        "select arrayStringConcat(arrayMap(x -> lower(x), ['MINE'])) from users where sin(0) = 0",
        "select `display_name` as \"in it’s name\" from users where 'notIn(7, file)' != '-- “no comment”'",  # noqa: RUF001 -- ClickHouse's
    ):
        _, rows = query_tenancy(reader, pipeline.catalog, pipeline.names, statement, str(mine))
        assert rows == [("mine",)], statement


@pytest.fixture
def elsewhere(pipeline: Harness, clickhouse_database_prefix: str) -> str:
    """A database that has nothing to do with the mappings: a table, one to join with, and a dictionary."""
    database = clickhouse_database_prefix
    for statement in (
        "create database {}",
        "create table {}.t (a UInt64) engine = MergeTree order by a",
        "insert into {}.t values (7)",
        "create table {}.j (a UInt64, v String) engine = Join(any, left, a)",
        "insert into {}.j values (7, 'stolen')",
        "create dictionary {}.d (a UInt64, v String) primary key a source(null()) layout(flat()) lifetime(0)",
    ):
        pipeline.clickhouse.execute(statement.format(database))
    return database


def test_nothing_beyond_the_views_can_be_probed(pipeline: Harness, reader: ClickHouse, elsewhere: str) -> None:
    """Whether a row or a column is there would be known by a yes or no already."""
    for text in PROBES:
        statement = text.format(elsewhere=elsewhere)
        assert reader.query(statement), statement
        with pytest.raises(DbsyncError, match="As a tenancy"):
            query_tenancy(reader, pipeline.catalog, pipeline.names, statement, str(uuid4()))


@pytest.mark.parametrize("statement", REFUSED)
def test_nothing_beyond_clickhouse_can_be_read(pipeline: Harness, statement: str) -> None:
    with pytest.raises(DbsyncError, match="As a tenancy"):
        tenant_query.check(statement, pipeline.catalog, pipeline.names)


def test_tables_of_removed_mappings_are_filtered_as_well(
    pipeline: Harness, reader: ClickHouse, clickhouse_database_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second lock holds where the first is open."""
    pipeline.configure(clickhouse_database=clickhouse_database_prefix)
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
    mine, other = uuid4(), uuid4()
    place = f"{pipeline.names.internal}.removed"
    pipeline.clickhouse.execute(f"create table {place} (tenancy_id UUID) engine = MergeTree order by tenancy_id")
    pipeline.clickhouse.execute(f"insert into {place} values ('{mine}'), ('{other}')")
    monkeypatch.setattr(tenant_query, "check", lambda *_: None)
    statement = f"select tenancy_id, tenancy_id in {place}, '{other}' in {place} from {place}"
    _, rows = query_tenancy(reader, pipeline.catalog, pipeline.names, statement, str(mine))
    assert rows == [(mine, 1, 0)]


@pytest.mark.parametrize(
    "tenancy",
    ["' or 1 = 1 --", "\\' or 1 --", "x') or ('1' = '1", "", "'}', 'x': '1", "00000000-0000-0000-0000-000000000000\\"],
)
def test_hostile_tenancy_ids_read_nothing(pipeline: Harness, reader: ClickHouse, tenancy: str) -> None:
    two_siblings(pipeline)
    statement = "select * from users"
    _, rows = query_tenancy(reader, pipeline.catalog, pipeline.names, statement, tenancy)
    assert rows == []
    with pytest.raises(DbsyncError):
        pipeline.clickhouse.query(
            "select * from {v:Identifier}(tenancy = {t:String})", {"v": "pipeline.users_of", "t": tenancy}
        )


def test_views_of_siblings_hold_their_own_rows_only(pipeline: Harness) -> None:
    """Also of rows that name a sibling's team or project, and after they have moved from one to the other."""
    mine, other = two_siblings(pipeline)
    ((team,),) = pipeline.rows('select "teamId" from "Team" where "tenancyId" = %s', other)
    pipeline.app.invitation(mine, team, "crossed@example.com")
    pipeline.app.run('update "ProjectUserRefreshToken" set "tenancyId" = %s where "tenancyId" = %s', other, mine)
    pipeline.assert_synced()
    for mapping in pipeline.catalog.mappings:
        for tenancy in (mine, other, uuid4()):
            rows = pipeline.view(mapping.mapping_id, tenancy)
            assert {row["tenancy_id"] for row in rows} <= {tenancy}
            assert pipeline.differences(mapping.mapping_id, tenancy) == []
    assert len(pipeline.view("refresh_tokens", other)) == 2
    assert [row["recipient_email"] for row in pipeline.view("team_invitations", mine)] == ["mine@example.com"]


def test_a_row_whose_owner_has_changed_since_it_was_numbered(pipeline: Harness) -> None:
    """Its slice is still its former tenancy's, but what it would show there is the new one's by now."""
    mine, other = two_siblings(pipeline)
    pipeline.app.run('update "VerificationCode" set "createdAt" = clock_timestamp()')
    pipeline.sequence()
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('team_invitations'))}")
    pipeline.app.run('delete from "TeamMember"')
    pipeline.app.run('update "Team" set "tenancyId" = %s, "displayName" = %s where "tenancyId" = %s', other, "x", mine)
    pipeline.sync()
    assert pipeline.view("team_invitations", mine) == []
    pipeline.drain()
    assert {row["team_display_name"] for row in pipeline.view("team_invitations", other)} == {"x", "stolen"}
    pipeline.assert_equal()


def test_text_that_looks_like_a_row_end_stays_in_its_column(pipeline: Harness) -> None:
    """COPY's text becomes ClickHouse's: a value that is not escaped could end the row and begin another's."""
    mine, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    forged = f"x\t\\N\n{other}\tmain\t{other}\t{uuid4()}\r\n\\.\n\\\\N\\t\x01\x7f"
    pipeline.app.user(mine, displayName=forged, clientMetadata='{"\\n\\t": "\\\\.\\n"}')
    pipeline.assert_synced()
    assert pipeline.view("users", other) == []
    assert [row["display_name"] for row in pipeline.view("users", mine)] == [forged]
