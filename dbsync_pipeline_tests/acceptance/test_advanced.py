"""The advanced, racing and large acceptance cases."""

from uuid import UUID, uuid4

import pytest

from dbsync_pipeline.demo import samples
from dbsync_pipeline_tests.acceptance.both import EverywhereHarness
from dbsync_pipeline_tests.application import NOW, Application

EMAIL = "ada@example.com"


@pytest.fixture
def tenancy(pipeline: EverywhereHarness) -> UUID:
    return pipeline.add_tenancy()


def names(pipeline: EverywhereHarness, tenancy: UUID) -> list[str]:
    """Deliver everything, compare it, and return the display names of the tenancy's users in order."""
    pipeline.assert_synced("users", "contact_channels")
    return sorted(row["display_name"] for row in pipeline.shown("users", tenancy))


def import_users(app: Application, tenancy: UUID, count: int, prefix: str = "user") -> None:
    """Insert users and their primary addresses, a statement each, setting no flag."""
    app.run(
        'insert into "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", '
        '"displayName", "updatedAt") '
        "select %s, md5(%s || i)::uuid, 'p', %s, %s || i, %s from generate_series(1, %s) as i",
        *(tenancy, f"{tenancy}{prefix}", f"{tenancy}", f"{prefix} ", NOW, count),
    )
    app.run(
        'insert into "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "value", "isPrimary", '
        '"isVerified", "updatedAt") '
        "select %s, md5(%s || i)::uuid, gen_random_uuid(), 'EMAIL', %s || i || '@example.com', 'TRUE', false, %s "
        "from generate_series(1, %s) as i",
        *(tenancy, f"{tenancy}{prefix}", prefix, NOW, count),
    )


def test_a1_tenancies_are_kept_apart(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A1, I7: the view of one tenancy shows its rows and no others, whatever they have in common."""
    other = pipeline.add_tenancy(project=f"project-{tenancy}")
    user = uuid4()
    pipeline.app.user(tenancy, projectUserId=user, displayName="a")
    pipeline.app.user(other, projectUserId=user, displayName="b", mirroredBranchId="b")
    assert (names(pipeline, tenancy), names(pipeline, other)) == (["a"], ["b"])
    assert pipeline.shown("users", uuid4()) == []


def test_a2_the_checkpoint_follows(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A2: three rows, then a fourth, and the checkpoint behind each."""
    for name in "abc":
        pipeline.app.user(tenancy, displayName=name)
    assert names(pipeline, tenancy) == ["a", "b", "c"]
    before = pipeline.checkpoint("users", tenancy)
    assert before == pipeline.value('select max("sequenceId") from "ProjectUser"')
    pipeline.app.user(tenancy, displayName="d")
    assert names(pipeline, tenancy) == ["a", "b", "c", "d"]
    assert before < pipeline.checkpoint("users", tenancy)
    # Other mappings keep theirs: none, or in a database that was new, what the order had come to by then.
    assert pipeline.checkpoint("teams", tenancy) in {None, before}


def test_a3_what_is_delivered_is_not_sent_again(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A3: the second cycle sends the second user only."""
    first = pipeline.app.user(tenancy, displayName="first")
    names(pipeline, tenancy)
    pipeline.app.user(tenancy, displayName="second")
    assert names(pipeline, tenancy) == ["first", "second"]
    assert [row["display_name"] for row in pipeline.versions("users")] == ["first", "second"]
    assert first in {row["id"] for row in pipeline.shown("users")}
    assert pipeline.sync() == []


def test_a4_every_text_and_document_arrives_as_it_is(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A4, D21, D44: of every script, with everything that a line of text can be torn apart by."""
    texts = (*samples.TEXTS, samples.LONG_TEXT, 'O\'Brien "Zoë" 🎉 张伟')
    for number, text in enumerate(texts):
        document = samples.DOCUMENTS[number % len(samples.DOCUMENTS)]
        pipeline.app.user(tenancy, displayName=text, clientMetadata=document, profileImageUrl=text)
    assert names(pipeline, tenancy) == sorted(texts)


def test_d43_every_time_arrives_as_it_is(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """D43: in UTC, whatever the zone of who writes; before 1970 as after; out of range as the rule says."""
    for time in samples.TIMES:
        pipeline.app.user(tenancy, displayName=time, signedUpAt=time)
    assert len(names(pipeline, tenancy)) == len(samples.TIMES)
    shown = {row["display_name"]: str(row["signed_up_at"]) for row in pipeline.shown("users")}
    assert shown["1969-12-31 23:59:59.999"] == "1969-12-31 23:59:59.999000"
    assert shown["2024-03-31 02:30:00"] == "2024-03-31 02:30:00"
    assert shown["infinity"] == shown["9999-12-31 23:59:59.999"] == "2299-12-31 23:59:59.999000"
    assert shown["-infinity"] == shown["0001-01-01 00:00:00"] == "1900-01-01 00:00:00"


def test_d44_json_null_is_null(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """D21, D44: where NULL may not be it is the default, and nowhere the text `null`."""
    pipeline.app.user(tenancy, clientMetadata="null", serverMetadata=None, clientReadOnlyMetadata='"null"')
    pipeline.app.mail(tenancy, skippedReason="MANUALLY_CANCELLED", skippedDetails="null")
    pipeline.assert_synced()
    (user,) = pipeline.shown("users")
    assert (user["client_metadata"], user["server_metadata"]) == ("{}", "{}")
    assert user["client_read_only_metadata"] == '"null"'
    (mail,) = pipeline.shown("email_outboxes")
    assert (mail["skipped_details"], mail["skipped_reason"]) == (None, pipeline.label("manually-cancelled"))


def test_a5_a12_users_come_and_go_in_bulk(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A5, A12: inserted by one statement, ten deleted, ten replaced."""
    import_users(pipeline.app, tenancy, 200)
    assert len(names(pipeline, tenancy)) == 200
    doomed = [f"user {number}" for number in range(1, 11)]
    pipeline.app.run('delete from "ProjectUser" where "displayName" = any(%s)', doomed)
    assert len(names(pipeline, tenancy)) == 190
    import_users(pipeline.app, tenancy, 10, "replacement")
    found = names(pipeline, tenancy)
    assert len(found) == 200
    assert set(found).isdisjoint(doomed)
    assert {row["primary_email"] for row in pipeline.shown("users")} >= {
        f"replacement{n}@example.com" for n in range(1, 11)
    }


def test_a6_mixed_changes(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A6: one changed, one deleted, one new, one left alone."""
    users = [pipeline.app.user(tenancy, displayName=str(number)) for number in (1, 2, 3)]
    assert names(pipeline, tenancy) == ["1", "2", "3"]
    pipeline.app.update("ProjectUser", {"projectUserId": users[1]}, displayName="2b")
    pipeline.app.delete("ProjectUser", projectUserId=users[0])
    pipeline.app.user(tenancy, displayName="4")
    assert names(pipeline, tenancy) == ["2b", "3", "4"]


def test_a8_r1_the_last_update_wins(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A8, R1: three updates before the next delivery, and two around one that has already begun."""
    user = pipeline.app.user(tenancy, displayName="1")
    for name in ("2", "3"):
        pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName=name)
    assert names(pipeline, tenancy) == ["3"]
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="4")
    pipeline.sequence()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="5")
    assert names(pipeline, tenancy) == ["5"]


@pytest.mark.parametrize("sequenced", [False, True])
def test_a9_r2_deleted_before_it_was_ever_sent(pipeline: EverywhereHarness, tenancy: UUID, *, sequenced: bool) -> None:
    """A9, R2: proved by a marker that arrives after it would have."""
    user = pipeline.app.user(tenancy, displayName="1", email=EMAIL)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="2")
    if sequenced:
        pipeline.sequence()
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.app.user(tenancy, displayName="marker", email=EMAIL)
    assert names(pipeline, tenancy) == ["marker"]


def test_a10_a11_an_address_returns_with_another_user(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """A10, A11: the long life of an address, of two users."""
    for name in ("first", "second"):
        user = pipeline.app.user(tenancy, email=EMAIL, displayName=name)
        for change in ("", " renamed", " again"):
            pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName=name + change)
            assert names(pipeline, tenancy) == [name + change]
            assert [(row["id"], row["primary_email"]) for row in pipeline.shown("users")] == [(user, EMAIL)]
        if name == "first":
            pipeline.app.delete("ProjectUser", projectUserId=user)
            assert names(pipeline, tenancy) == []
    pipeline.drain()
    assert names(pipeline, tenancy) == ["second again"]


def test_r3_h1_more_rows_than_one_page(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """R3, H1: batches and chunks smaller than the load, and an early row of it that is deleted."""
    pipeline.configure(sequencer_batch_size=400, chunk_rows=350, external_chunk_rows=350)
    for part in ("a", "b", "c"):
        import_users(pipeline.app, tenancy, 500, part)
    results = pipeline.drain()
    results = [result for result in results if (result.destination_id == "clickhouse") is not pipeline.external]
    users = [result.delivery for result in results if result.delivery.pair.mapping_id == "users"]
    assert [delivery.complete for delivery in users] == [False] * (len(users) - 1) + [True]
    assert len(users) >= 1500 // 350
    assert max(delivery.upserted for delivery in users) <= 350
    assert sum(delivery.upserted for delivery in users) == 1500
    assert len(names(pipeline, tenancy)) == 1500
    pipeline.app.run('delete from "ProjectUser" where "displayName" = %s', "a 2")
    found = names(pipeline, tenancy)
    assert len(found) == 1499
    assert "a 2" not in found


def test_r4_what_is_not_committed_is_not_sent(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """R4: neither the row, nor an obstacle to those that come after it."""
    baseline = pipeline.app.user(tenancy, displayName="baseline")
    pipeline.drain()
    before = pipeline.checkpoint("users", tenancy)
    with pipeline.write() as db:
        Application(db).update("ProjectUser", {"projectUserId": baseline}, displayName="uncommitted")
        Application(db).user(tenancy, displayName="uncommitted too")
        pipeline.app.user(tenancy, displayName="marker")
        pipeline.drain()
        assert sorted(row["display_name"] for row in pipeline.shown("users")) == ["baseline", "marker"]
        assert pipeline.checkpoint("users", tenancy) > before
        db.rollback()
    assert names(pipeline, tenancy) == ["baseline", "marker"]
    with pipeline.write() as db:
        Application(db).update("ProjectUser", {"projectUserId": baseline}, displayName="committed")
        pipeline.app.user(tenancy, displayName="second marker")
        pipeline.drain()
    assert names(pipeline, tenancy) == ["committed", "marker", "second marker"]
