"""Inserts wait for merges, so that ClickHouse never refuses one for too many parts."""

from collections.abc import Generator
from dataclasses import dataclass

import pytest

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.part_budget import PartBudget
from dbsync_pipeline.errors import RefusedForNowError
from dbsync_pipeline_tests.harness import Harness

LIMIT = 10


@dataclass
class Table:
    """A table whose parts are merged only when a test says so."""

    clickhouse: ClickHouse
    database: str
    budget: PartBudget
    now: float = 0.0
    merges: bool = True

    def insert(self, times: int = 1, *, within_budget: bool = True) -> None:
        for _ in range(times):
            if within_budget:
                self.budget.spend("t")
            self.clickhouse.execute(f"insert into {self.database}.t values (1)")

    @property
    def parts(self) -> int:
        ((count,),) = self.clickhouse.query(
            f"select count() from system.parts where active and database = '{self.database}' and table = 't'"
        )
        return count

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.merges:
            self.clickhouse.execute(f"system start merges {self.database}.t")
            self.clickhouse.execute(f"optimize table {self.database}.t final")
            self.clickhouse.execute(f"system stop merges {self.database}.t")


@pytest.fixture
def table(pipeline: Harness, clickhouse_database_prefix: str) -> Generator[Table]:
    database = clickhouse_database_prefix
    clickhouse = pipeline.clickhouse
    clickhouse.execute(f"create database {database}")
    clickhouse.execute(
        f"create table {database}.t (a UInt8) engine = MergeTree order by a "
        f"settings parts_to_delay_insert = {LIMIT}, parts_to_throw_insert = {LIMIT + 2}"
    )
    clickhouse.execute(f"system stop merges {database}.t")
    table = Table(clickhouse, database, PartBudget(clickhouse, database))
    table.budget = PartBudget(clickhouse, database, clock=lambda: table.now, sleep=table.sleep)
    yield table
    clickhouse.execute(f"system start merges {database}.t")


def test_without_a_budget_clickhouse_refuses(table: Table) -> None:
    """And that is no row's fault, nor another table's."""
    with pytest.raises(RefusedForNowError, match=r"(?i)too many parts"):
        table.insert(2 * LIMIT, within_budget=False)


def test_inserts_wait_for_merges(table: Table) -> None:
    highest = 0
    for _ in range(5 * LIMIT):
        table.insert()
        highest = max(highest, table.parts)
    assert highest < LIMIT
    assert table.now > 0


def test_two_workers_stay_below_the_limit_together(table: Table) -> None:
    other = PartBudget(table.clickhouse, table.database, clock=lambda: table.now, sleep=table.sleep)
    for _ in range(2 * LIMIT):
        table.insert()
        other.spend("t")
        table.insert(within_budget=False)
        assert table.parts <= LIMIT


def test_merges_that_do_not_come_are_waited_for_once(table: Table) -> None:
    """I8: what else the worker delivers waits for that long, too."""
    table.merges = False
    for _ in range(3):
        with pytest.raises(RefusedForNowError, match=r"\.t in ClickHouse has as many parts as it should have"):
            table.insert(LIMIT)
        assert table.parts < LIMIT
        assert 20 <= table.now < 22
    table.merges = True
    table.sleep(0)
    table.insert(3 * LIMIT)


def test_a_table_far_from_its_limit_is_hardly_looked_at(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    query = ClickHouse.query

    def counted(self: ClickHouse, statement: str, parameters: dict[str, object] | None = None) -> object:
        asked.append(statement)
        return query(self, statement, parameters)

    monkeypatch.setattr(ClickHouse, "query", counted)
    budget = PartBudget(pipeline.clickhouse, pipeline.names.internal)
    for _ in range(300):
        for mapping in pipeline.catalog.mappings:
            budget.spend(mapping.mapping_id)
    assert len(asked) == 1
