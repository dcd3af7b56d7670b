"""What capture may not do to the application: wait, deadlock, fail, or keep its secrets."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness

Change = Callable[[Application, UUID, UUID, UUID], object]

# Each feeds, or is fed by, what the other session changes.
CHANGES: dict[str, Change] = {
    "user": lambda app, tenancy, user, team: app.update("ProjectUser", {"projectUserId": user}, displayName="x"),
    "channel": lambda app, tenancy, user, team: app.update(
        "ContactChannel", {"projectUserId": user}, value=f"{uuid4()}@example.com"
    ),
    "team": lambda app, tenancy, user, team: app.update("Team", {"teamId": team}, displayName="x"),
    "invitation": lambda app, tenancy, user, team: app.update(
        "VerificationCode", {"type": "TEAM_INVITATION"}, usedAt="2024-01-01"
    ),
    "member": lambda app, tenancy, user, team: app.update("TeamMember", {"teamId": team}, displayName="x"),
    "tenancy": lambda app, tenancy, user, team: app.update("Tenancy", {"id": tenancy}, branchId=str(uuid4())),
    "sessions": lambda app, tenancy, user, team: app.delete("ProjectUserRefreshToken", projectUserId=user),
}


@pytest.mark.parametrize("first", CHANGES)
def test_a_change_waits_for_no_change_of_another_row(pipeline: Harness, first: str) -> None:
    """No trigger locks a row that its statement did not: not one that it feeds, nor one of the pipeline's."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    pipeline.app.invitation(tenancy, team)
    pipeline.app.session(tenancy, user)
    pipeline.drain()
    for second, change in CHANGES.items():
        if second == first:
            continue
        with pipeline.write() as one, pipeline.write() as two:
            two.execute("set lock_timeout = '1ms'")
            CHANGES[first](Application(one), tenancy, user, team)
            change(Application(two), tenancy, user, team)
            one.rollback()
            two.rollback()


def test_two_transactions_that_touch_each_others_rows_do_not_deadlock(pipeline: Harness) -> None:
    """Each changes what feeds the other's row, after having changed its own."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="a@example.com")
    channel = pipeline.value('select "id" from "ContactChannel"')
    other = pipeline.app.user(tenancy, email="b@example.com")
    other_channel = pipeline.value('select "id" from "ContactChannel" where "id" <> %s', channel)
    pipeline.drain()
    with pipeline.write() as one, pipeline.write() as two:
        for session in (one, two):
            session.execute("set lock_timeout = '1ms'")
        Application(one).update("ProjectUser", {"projectUserId": user}, displayName="one")
        Application(two).update("ProjectUser", {"projectUserId": other}, displayName="two")
        Application(one).update("ContactChannel", {"id": other_channel}, isVerified=True)
        Application(two).update("ContactChannel", {"id": channel}, isVerified=True)
    pipeline.assert_synced()


@pytest.mark.parametrize("change", CHANGES)
def test_the_application_does_not_wait_for_a_pass_over_other_rows(pipeline: Harness, change: str) -> None:
    """What the sequencer holds to its commit are rows that it numbers, and tables of its own."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    pipeline.app.invitation(tenancy, team)
    pipeline.app.session(tenancy, user)
    pipeline.drain()
    pipeline.app.session(other, pipeline.app.user(other, email="b@example.com"))
    with pipeline.pipeline.source("test") as connection, connection.transaction(force_rollback=True):
        Sequencer(connection, pipeline.catalog, pipeline.pipeline.columns, batch_size=100).run_pass()
        with pipeline.write() as db:
            db.execute("set lock_timeout = '1ms'")
            CHANGES[change](Application(db), tenancy, user, team)
    pipeline.assert_synced()


def test_tombstones_and_touches_hold_keys_only(pipeline: Harness) -> None:
    """D36, I10: nothing that the application keeps secret is kept here, nor any value of a deleted row."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="secret@example.com", displayName="secret", serverMetadata='"secret"')
    team = pipeline.app.team(tenancy, displayName="secret")
    pipeline.app.member(tenancy, team, user, displayName="secret")
    pipeline.app.session(tenancy, user)
    pipeline.app.account(tenancy, user, email="secret@example.com", providerAccountId="secret")
    pipeline.app.invitation(tenancy, team, "secret@example.com")
    pipeline.app.mail(tenancy)
    pipeline.app.chunk(tenancy, pipeline.app.replay(tenancy, user))
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="secret too")
    pipeline.app.update("ContactChannel", {"projectUserId": user}, value="secret2@example.com")
    for table in ("VerificationCode", "EmailOutbox", "ProjectUserRefreshToken", "ProjectUser", "Team", "Tenancy"):
        pipeline.app.run(f'delete from "{table}"')
    for table in pipeline.rows("select tablename from pg_tables where schemaname = 'dbsync'"):
        kept = json.dumps([row[0] for row in pipeline.rows(f"select to_jsonb(t)::text from dbsync.{table[0]} t")])
        assert "secret" not in kept, table
    keys = pipeline.rows("select distinct jsonb_object_keys(identity) from dbsync.tombstone")
    assert {key for (key,) in keys} == {"tenancyId", "projectUserId", "id", "teamId", "projectId", "branchId"}
    pipeline.assert_synced()


def test_a_key_looks_the_same_whoever_writes_it(pipeline: Harness, tmp_path: Path) -> None:
    """Its JSON is compared as text with what other sessions wrote; theirs print numbers and bytes differently."""
    pipeline.admin.execute(
        'create table "Odd" ("tenancyId" uuid not null, "f" double precision not null, "b" bytea not null, '
        '"t" timestamptz not null, "d" interval not null, primary key ("tenancyId", "f", "b", "t", "d"))'
    )
    create = {
        "mapping": "odd",
        "description": "Keys of odd types.",
        "source": "Odd",
        "tenancy": {"column": "tenancyId"},
        "key": ["f", "b", "t", "d"],
        "columns": [
            {"name": "f", "source": "f", "type": "double"},
            *({"name": name, "source": name, "type": "text"} for name in "btd"),
        ],
    }
    pipeline.add_mapping(tmp_path, create)
    row = "values (gen_random_uuid(), 0.1::float8 + 0.2::float8, '\\x00ff', '2024-07-01 12:00+02', '1 day 02:03:04')"
    pipeline.admin.execute(f'insert into "Odd" {row}')
    pipeline.admin.execute('grant delete, select on "Odd" to public')
    pipeline.app.run('delete from "Odd"')
    (identity,) = pipeline.rows("select identity - 'tenancyId' from dbsync.tombstone where mapping_id = 'odd'")
    assert identity[0] == {
        "f": 0.30000000000000004,
        "b": "\\x00ff",
        "t": "2024-07-01T10:00:00+00:00",
        "d": "P1DT2H3M4S",
    }


def test_a_join_by_a_generated_column_feeds_all_the_same(pipeline: Harness, tmp_path: Path) -> None:
    """Its value is computed after every before trigger has run, and is NULL there."""
    pipeline.admin.execute(
        'create table "Label" ("tenancyId" uuid not null, "name" text not null, '
        '"slug" text not null generated always as (lower("name")) stored, "color" text, unique ("tenancyId", "slug"))'
    )
    pipeline.admin.execute(
        'create table "Thing" ("tenancyId" uuid, "id" uuid, "slug" text not null, primary key ("tenancyId", "id"))'
    )
    create = {
        "mapping": "things",
        "description": "Things with the color of their label.",
        "source": "Thing",
        "tenancy": {"column": "tenancyId"},
        "key": ["id"],
        "joins": [{"alias": "label", "table": "Label", "on": {"tenancyId": "tenancyId", "slug": "slug"}}],
        "columns": [
            {"name": "id", "source": "id", "type": "uuid"},
            {"name": "color", "value": 'label."color"', "type": "text", "nullable": True},
        ],
    }
    pipeline.add_mapping(tmp_path, create)

    def touched(change: str) -> set[str]:
        pipeline.admin.execute("delete from dbsync.touch")
        pipeline.admin.execute(change)
        return {slug for (slug,) in pipeline.rows("select match ->> 'slug' from dbsync.touch")}

    assert touched("insert into \"Label\" values (gen_random_uuid(), 'Red', default, '#f00')") == {"red"}
    assert touched('update "Label" set "color" = \'#e00\'') == {"red"}
    assert touched('update "Label" set "name" = \'Blue\'') == {"red", "blue"}
    assert touched('delete from "Label"') == {"blue"}
