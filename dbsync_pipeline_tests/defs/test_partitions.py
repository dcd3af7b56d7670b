"""Partition keys follow the tenancies, page by page, whatever either side holds."""

from uuid import UUID, uuid4

import pytest

from dbsync_pipeline.defs.partitions import Round, compare, living
from dbsync_pipeline.mappings.spec import Table, TenancySpec
from dbsync_pipeline_tests.harness import Harness


def after_turns(pipeline: Harness, keys: set[str], page: int, turns: int) -> set[str]:
    """Return the keys after some turns of the sensor."""
    position = Round()
    for _ in range(turns):
        turn = compare(pipeline.admin, pipeline.catalog.tenancy, keys, position, page)
        keys = (keys | set(turn.come)) - set(turn.gone)
        position = turn.next
    return keys


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_both_sides_are_compared_page_by_page(pipeline: Harness, page: int) -> None:
    tenancies = {str(pipeline.app.tenancy()) for _ in range(3)}
    made_up = {str(uuid4()), "not an id", next(iter(tenancies)).upper()}
    # Enough for each side to come round twice, however short a page is.
    assert after_turns(pipeline, made_up, page, turns=16) == tenancies


def test_a_turn_reads_no_more_than_a_page(pipeline: Harness) -> None:
    for _ in range(5):
        pipeline.app.tenancy()
    assert [len(after_turns(pipeline, set(), 2, turns)) for turns in (1, 2, 3)] == [2, 4, 5]
    gone = {str(uuid4()) for _ in range(5)}
    turn = compare(pipeline.admin, pipeline.catalog.tenancy, gone, Round(), page=2)
    assert turn.gone == sorted(gone)[:2]


def test_a_deleted_tenancy_is_gone_and_one_that_returns_is_back(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.delete("Tenancy", id=tenancy)
    assert compare(pipeline.admin, pipeline.catalog.tenancy, {str(tenancy)}, Round()).gone == [str(tenancy)]
    assert compare(pipeline.admin, pipeline.catalog.tenancy, set(), Round()).come == []
    pipeline.app.tenancy(tenancy_id=tenancy)
    turn = compare(pipeline.admin, pipeline.catalog.tenancy, set(), Round())
    assert (turn.come, turn.gone) == ([str(tenancy)], [])


@pytest.mark.parametrize(
    ("type_name", "ids", "key", "made_up"),
    [
        ("bigint", "(2), (10), (-3)", "10", "010"),
        ("text", "('b'), ('a''a'), ('B')", "a'a", "c"),
        ("uuid", f"('{UUID(int=5)}')", str(UUID(int=5)), str(UUID(int=5)).replace("-", "")),
    ],
)
def test_ids_of_any_type_come_back_from_text(
    pipeline: Harness, type_name: str, ids: str, key: str, made_up: str
) -> None:
    spec = TenancySpec(table=Table(schema_name="public", name="T"), id="id", type=type_name)
    pipeline.admin.execute("drop table dbsync.tenancy")
    pipeline.admin.execute(f"create table dbsync.tenancy (tenancy_id {type_name} primary key, deleted_at timestamptz)")
    pipeline.admin.execute(f"insert into dbsync.tenancy values {ids}")
    assert living(pipeline.admin, spec, [key, made_up]) == {key}
    first = compare(pipeline.admin, spec, set(), Round(), page=1)
    second = compare(pipeline.admin, spec, set(), first.next, page=100)
    assert len({*first.come, *second.come}) == ids.count("(")
