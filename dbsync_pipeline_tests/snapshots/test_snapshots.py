"""The SQL that is generated from the built-in mappings, compared with the files beside this one.

`make snapshots` rewrites the files; what changed is then to be read in the diff.
"""

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from dbsync_pipeline.capture import triggers
from dbsync_pipeline.destinations.base import Pair, Slice
from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.cleaning import ClickHouseCleaning
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.extraction import Extraction
from dbsync_pipeline.mappings.schema import read_schema
from dbsync_pipeline.sequencer.statements import generate
from dbsync_pipeline.verify.statements import Buckets, ClickHouseRows, ExternalRows, Rows, source_rows
from dbsync_pipeline.verify.states import Key, States
from dbsync_pipeline_tests.harness import Harness

DIRECTORY = Path(__file__).parent
NAMES = tables.ClickHouseNames("analytics")
_BREAKS = re.compile(
    r" (?<!cross )(?<!left )(?<!inner )(?="
    r"(?:from|left join|inner join|cross join|join|where|union all|returning|on conflict|order by|for no key|"
    r"referencing|for each|when \(|security definer|execute function|engine =)\b)"
)


def readable(*statements: sql.Composable | str) -> str:
    """One statement after the other, a clause a line."""
    texts = (part if isinstance(part, str) else part.as_string(None) for part in statements)
    return "".join(_BREAKS.sub("\n  ", text.replace("; ", ";\n")).strip() + ";\n\n" for text in texts)


def capture(pipeline: Harness) -> Iterator[tuple[str, str]]:
    schema = read_schema(pipeline.admin, pipeline.catalog)
    columns = pipeline.pipeline.columns
    for table in pipeline.catalog.captured_tables:
        generated = triggers.generate(
            pipeline.catalog, schema.table(table), sequence_column=columns.sequence, dirty_column=columns.dirty
        )
        yield (
            f"capture_{table}",
            readable(*(part for one in generated.triggers for part in (one.function, one.trigger))),
        )


def sequencer(pipeline: Harness) -> Iterator[tuple[str, str]]:
    for table in pipeline.catalog.source_tables:
        made = generate(pipeline.catalog, table, pipeline.pipeline.columns, 5_000)
        yield (
            f"sequencer_{table}",
            readable(
                made.waiting,
                *(made.tombstones(mapping, 0) for mapping in made.mappings),
                *(made.touches(feed, 0) for feed in made.feeds),
                made.number(["(0,1)"], None),
            ),
        )


def extraction(pipeline: Harness) -> Iterator[tuple[str, str]]:
    destination = ClickHouseDestination(pipeline.clickhouse, pipeline.catalog, NAMES)
    for mapping in pipeline.catalog.mappings:
        made = Extraction(pipeline.catalog, mapping, pipeline.pipeline.columns)
        one, two = (
            Slice(Pair(uuid.UUID(int=n), mapping.mapping_id), 0, n, 100, first=n == 1, complete_up_to=100)
            for n in (1, 2)
        )
        yield (
            f"extraction_{mapping.mapping_id}",
            readable(
                made.extent([one, two], 1_000),
                made.extents.decode(),
                made.copy(destination.projection(mapping), [[one, two]], destination),
            ),
        )


def external(pipeline: Harness) -> Iterator[tuple[str, str]]:
    merges = pipeline.pipeline.external_merges
    yield "external", readable(merges.move.decode(), merges.tables.intact(pipeline.catalog.mappings[:2]).decode())
    for mapping in pipeline.catalog.mappings:
        merge = merges.of(mapping)
        made = pipeline.pipeline.extractions.of(mapping)
        yield (
            f"external_{mapping.mapping_id}",
            readable(
                made.select(merge.projection, renamed=False).decode(),
                merge.remove_given.decode(),
                merge.write_given.decode(),
                merge.make_stage,
                merge.empty_stage,
                merge.copy,
                merge.contents,
                merge.remove,
                merge.write,
            ),
        )


def clickhouse(pipeline: Harness) -> Iterator[tuple[str, str]]:
    steps = tables.plan(pipeline.clickhouse, pipeline.catalog, tables.ClickHouseNames("nothing_there_yet"))
    yield "clickhouse", readable(*(step.statement for step in steps))


def clickhouse_cluster(pipeline: Harness) -> Iterator[tuple[str, str]]:
    yield "clickhouse_cluster", readable(*(step.statement for step in _cluster_steps(pipeline)))


def _cluster_steps(pipeline: Harness) -> list[tables.ClickHouseStep]:
    return tables.plan(pipeline.clickhouse, pipeline.catalog, tables.ClickHouseNames("nothing_there_yet", "all-of-it"))


def test_what_a_cluster_gets_is_clickhouses_sql(pipeline: Harness) -> None:
    """The embedded engine is no cluster; it parses the statements all the same."""
    for step in _cluster_steps(pipeline):
        parsed = pipeline.clickhouse.query(f"explain ast {step.statement}")
        assert parsed[0][0].startswith("Create"), step.title
        assert "on cluster `all-of-it`" in step.statement


def clickhouse_cleanup(pipeline: Harness) -> Iterator[tuple[str, str]]:
    made = ClickHouseCleaning(pipeline.clickhouse, pipeline.catalog, NAMES, seconds=60)
    statements = [made.inserting()]
    for mapping in pipeline.catalog.mappings:
        statements += [made.superseded(mapping), made.removal(mapping)]
    moment = "toDateTime64('2026-01-01 00:00:00.000'"
    yield "clickhouse_cleanup", re.sub(r"toDateTime64\('[^']+'", moment, readable(*statements))


def test_who_inserts_is_asked_of_every_replica(pipeline: Harness) -> None:
    names = tables.ClickHouseNames("analytics", "all-of-it")
    statement = ClickHouseCleaning(pipeline.clickhouse, pipeline.catalog, names, seconds=60).inserting()
    assert pipeline.clickhouse.query(f"explain ast {statement}")
    assert "from clusterAllReplicas('all-of-it', system.processes) where" in statement


def verification(pipeline: Harness) -> Iterator[tuple[str, str]]:
    def questions(rows: Rows) -> list[sql.Composable | str]:
        return [rows.sums(), rows.buckets(256), rows.hashes(Buckets(256, (1, 2)))]

    tenancy = str(uuid.UUID(int=1))
    external_tables = pipeline.pipeline.external_tables
    for mapping in pipeline.catalog.mappings:
        keys = [Key(tenancy, tuple(str(uuid.UUID(int=n)) for n, _ in enumerate(mapping.key)))]
        for kind, destination, name in (
            ("clickhouse", "clickhouse", "verify"),
            ("postgres", f"postgres:{tenancy}:main", "verify_external"),
        ):
            columns = pipeline.pipeline.columns
            here = source_rows(
                pipeline.catalog, mapping, kind, columns, destination_id=destination, tenancies=[tenancy]
            )
            clickhouse = ClickHouseRows(pipeline.catalog, mapping, NAMES)
            there = clickhouse if kind == "clickhouse" else ExternalRows(mapping, external_tables, tenancy)
            values = [key.values for key in keys]
            states = States(pipeline.catalog, mapping, columns, kind, destination)
            yield (
                f"{name}_{mapping.mapping_id}",
                readable(
                    *questions(here),
                    *questions(there),
                    there.texts(values),
                    there.newest(),
                    states.rows(keys),
                    states.tombstones(keys),
                ),
            )


@pytest.mark.parametrize(
    "stage",
    [capture, sequencer, extraction, external, clickhouse, clickhouse_cluster, clickhouse_cleanup, verification],
)
def test_generated_sql_is_as_in_its_snapshot(pipeline: Harness, stage: object) -> None:
    assert callable(stage)
    made: dict[str, str] = dict(stage(pipeline))
    if "DBSYNC_WRITE_SNAPSHOTS" in os.environ:
        for name, text in made.items():
            (DIRECTORY / f"{name}.sql").write_text(text, encoding="utf-8")
    kept = {name: (DIRECTORY / f"{name}.sql").read_text(encoding="utf-8") for name in made}
    assert made == kept
