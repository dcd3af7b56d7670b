"""A whole pipeline on databases of its own, and the independent view of what its copies should hold.

The application's sessions run in another zone and another date style than the pipeline's, under a role without any
right on the pipeline's own schema, so that nothing can come to depend on either. What a copy should hold is written
down here by hand, query by query, and shares no code with what generates the pipeline's own queries.
"""

import json
import uuid
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import SecretStr

from dbsync_pipeline import source
from dbsync_pipeline.capture import install
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.engine.cycle import Selection, SyncCycle, SyncResult
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE, Catalog, load_catalog
from dbsync_pipeline.pending.due import destinations_due
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline.settings import BUILTIN_MAPPINGS, Settings
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.expected import DOCUMENTS, EXPECTED, EXPECTED_EXTERNALLY, NOWHERE_ELSE, comparable

APPLICATION_ROLE = "dbsync_test_application"
"""What the application logs in as: owns nothing, and has no right on schema dbsync."""

_PASSWORD = "application"
# Of every session that does not say otherwise; whatever text passes through one would come out wrong.
_TRAPS = {
    "timezone": "America/New_York",
    "datestyle": "SQL, MDY",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-10",
    "bytea_output": "escape",
}
_MOST_DIFFERENCES_SHOWN = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Server:
    """The services of a test session, a database to copy for each test, and tables to empty for each test."""

    postgres: EmbeddedPostgres
    clickhouse: EmbeddedClickHouse
    template: str
    clickhouse_database: str


def build_template(postgres: EmbeddedPostgres, name: str) -> None:
    """Create the database that every test's source is a copy of: the application's schema after `dbsync init`."""
    url = postgres.create_database(name)
    with source.connect(url) as connection:
        create_schema(connection)
        create_application_role(connection)
        settings = Settings(source_url=SecretStr(url), clickhouse_url=SecretStr("http://unused/"))
        init_source(Pipeline(settings), connection)


def create_application_role(connection: psycopg.Connection) -> None:
    """Give the application's role its rights on the application's tables of this database, and no other."""
    role = sql.Identifier(APPLICATION_ROLE)
    if connection.execute("select from pg_roles where rolname = %s", [APPLICATION_ROLE]).fetchone() is None:
        connection.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(_PASSWORD)))
    connection.execute(
        sql.SQL("grant select, insert, update, delete, truncate on all tables in schema public to {}").format(role)
    )


def init_source(pipeline: Pipeline, connection: psycopg.Connection) -> list[str]:
    """Do what `dbsync init` does to a source; return the titles of its steps."""
    steps = install.plan(connection, pipeline.catalog, pipeline.columns)
    install.apply(connection, steps, lambda step: None)
    return [step.title for step in steps]


def init_clickhouse(clickhouse: ClickHouse, catalog: Catalog, names: tables.ClickHouseNames) -> list[str]:
    """Do what `dbsync init` does to ClickHouse; return the titles of its steps."""
    steps = tables.plan(clickhouse, catalog, names)
    for step in steps:
        clickhouse.execute(step.statement)
    return [step.title for step in steps]


@dataclass
class External:
    """A database of a tenancy's owner, as its owner sees it."""

    pipeline: "Harness"
    tenancy: uuid.UUID
    name: str
    url: str
    _session: psycopg.Connection | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def destination_id(self) -> str:
        """Its id in the pipeline."""
        return f"postgres:{self.tenancy}:{self.name}"

    @contextmanager
    def session(self) -> Generator[psycopg.Connection]:
        """Open a session in autocommit mode, or use the one that is open already."""
        if self._session is not None:
            yield self._session
            return
        with psycopg.connect(self.url, autocommit=True) as connection:
            self._session = connection
            try:
                yield connection
            finally:
                self._session = None

    def run(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run anything in it, in autocommit mode, and return what comes back."""
        with self.session() as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def view(self, mapping_id: str) -> list[Row]:
        """Return the rows of a mapping's copy."""
        table = sql.Identifier(self.pipeline.pipeline.settings.external_schema, mapping_id)
        with self.session() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql.SQL("select * from {}").format(table)).fetchall()

    def rows(self, mapping_id: str) -> list[Row]:
        """Return what the tenancy has of a mapping, in the form in which ClickHouse shows it: documents as text."""
        return [
            {
                name: json.dumps(value) if name in DOCUMENTS and value is not None else value
                for name, value in row.items()
                if name != "sync_sequence_id"
            }
            for row in self.view(mapping_id)
            if row["tenancy_id"] == self.tenancy
        ]

    def has(self, mapping_id: str) -> bool:
        """Whether the table of a mapping has been made."""
        return self.run("select to_regclass('dbsync.' || %s) is not null", mapping_id) == [(True,)]

    def checkpoint(self, mapping_id: str) -> int | None:
        """Return how far it says that a mapping of the tenancy is durable."""
        found = self.run(
            "select sequence_id from dbsync.sync_checkpoint where tenancy_id = %s and mapping_id = %s",
            *(self.tenancy, mapping_id),
        )
        return found[0][0] if found else None

    def differences(self, mapping_id: str) -> list[str]:
        """Return what tells a mapping's copy from the source, a line for each row that is not the same."""
        with self.pipeline.admin.cursor(row_factory=dict_row) as cursor:
            cursor.execute(EXPECTED_EXTERNALLY[mapping_id])
            expected = [
                {name: value for name, value in row.items() if name not in NOWHERE_ELSE}
                for row in cursor
                if row["tenancy_id"] == self.tenancy
            ]
        key = ("tenancy_id", *self.pipeline.catalog.mapping(mapping_id).key)
        return _differences(mapping_id, key, _parsed(expected), _parsed(self.rows(mapping_id)))

    def assert_equal(self, *mapping_ids: str) -> None:
        """Compare the copies of some mappings, or of all, with the source, row by row."""
        with self.session():
            for mapping_id in mapping_ids or EXPECTED:
                _assert_none(mapping_id, self.differences(mapping_id))


@dataclass
class Harness:
    """A pipeline at rest, and hands to move every part of it, one step at a time."""

    server: Server

    def __post_init__(self) -> None:
        self._configured: dict[str, Any] = {}
        self.database = f"test_{uuid.uuid4().hex[:12]}"
        self._externals: list[str] = []
        self.clickhouse = ClickHouse(self.server.clickhouse.url)
        self._sessions = ExitStack()
        self._start()

    def close(self) -> None:
        """Drop the source database; the ClickHouse tables are emptied by the next harness."""
        self._stop()
        self.clickhouse.__exit__(None, None, None)

    def reset(self) -> None:
        """Start again with an empty source and an empty ClickHouse, as a new harness would."""
        self._stop()
        self._start()

    def configure(self, **settings: Any) -> None:
        """Go on under other settings, with new sessions."""
        self._configured.update(settings)
        self._end_sessions()

    def add_mapping(self, directory: Path, document: dict[str, Any]) -> None:
        """Have one mapping more than the built-in ones, and capture what it needs."""
        (directory / f"{document['mapping']}.yaml").write_text(yaml.safe_dump(document))
        (directory / TENANCY_FILE).write_text((BUILTIN_DIRECTORY / TENANCY_FILE).read_text())
        self.configure(mappings=f"builtin,{directory}")
        init_source(self.pipeline, self.admin)

    def _start(self) -> None:
        name, template = sql.Identifier(self.database), sql.Identifier(self.server.template)
        with psycopg.connect(self.server.postgres.url(), autocommit=True) as connection:
            # Copied as files: a fifth of the time of writing it all to the log, and nobody waits for the disk here.
            connection.execute(sql.SQL("create database {} template {} strategy file_copy").format(name, template))
            for setting, value in _TRAPS.items():
                connection.execute(
                    sql.SQL("alter database {} set {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
                )
        shared = tables.ClickHouseNames(self.server.clickhouse_database)
        self.clickhouse.execute(f"truncate all tables from {tables.name(shared.internal)}")

    def _stop(self) -> None:
        self._end_sessions()
        with psycopg.connect(self.server.postgres.url(), autocommit=True) as connection:
            for name in (self.database, *self._externals):
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        self._externals.clear()

    def _end_sessions(self) -> None:
        self._sessions.close()
        for name in ("pipeline", "admin", "app", "_sequencer", "_worker"):
            self.__dict__.pop(name, None)

    @property
    def url(self) -> str:
        """URL of the source, as the superuser."""
        return self.server.postgres.url(self.database)

    @property
    def names(self) -> tables.ClickHouseNames:
        """Where the copies are in ClickHouse."""
        return self.pipeline.clickhouse_names

    @cached_property
    def pipeline(self) -> Pipeline:
        """The deployment, as `dbsync` would put it together."""
        values: dict[str, Any] = {
            "source_url": SecretStr(self.url),
            "clickhouse_url": SecretStr(self.server.clickhouse.url),
            "clickhouse_database": self.server.clickhouse_database,
            # A failed pair may be tried again at once.
            "external_private_addresses": True,
            "external_connect_seconds": 2,
            "retry_base_seconds": 0.000_001,
            "retry_max_seconds": 0.000_001,
        }
        pipeline = Pipeline(Settings(**{**values, **self._configured}))
        if pipeline.settings.mappings == BUILTIN_MAPPINGS:
            # Reading all of them again for every test would be a fifth of its time.
            pipeline.__dict__["catalog"] = builtin_catalog()
        return pipeline

    @property
    def catalog(self) -> Catalog:
        """The mappings in use."""
        return self.pipeline.catalog

    # --- the application

    def write(self, *, autocommit: bool = False) -> psycopg.Connection:
        """Open a session of the application; `with pipeline.write() as db:` commits at the end."""
        return psycopg.connect(self.url, user=APPLICATION_ROLE, password=_PASSWORD, autocommit=autocommit)

    @cached_property
    def app(self) -> Application:
        """Writers of the application over one session, every statement a transaction of its own."""
        return Application(self._sessions.enter_context(self.write(autocommit=True)))

    @cached_property
    def admin(self) -> psycopg.Connection:
        """A session of the superuser, in autocommit mode, set up as the pipeline's own sessions are."""
        return self._sessions.enter_context(source.connect(self.url, application_name="test admin"))

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return what a query finds in the source."""
        return self.admin.execute(query, parameters).fetchall()

    def value(self, query: str, *parameters: object) -> Any:
        """Return the one value that a query finds in the source."""
        ((value,),) = self.rows(query, *parameters)
        return value

    # --- the pipeline

    def worker(self, selection: Selection | None = None) -> AbstractContextManager[SyncCycle]:
        """Open one more sync worker, on sessions of its own."""
        return self.pipeline.clickhouse_worker(selection)

    def sequencer(self) -> AbstractContextManager[Sequencer]:
        """Open one more sequencer, on a session of its own."""
        return self.pipeline.sequencer()

    @cached_property
    def _sequencer(self) -> Sequencer:
        return self._sessions.enter_context(self.pipeline.sequencer())

    @cached_property
    def _worker(self) -> SyncCycle:
        return self._sessions.enter_context(self.pipeline.clickhouse_worker())

    def sequence(self) -> int:
        """Run passes until one finds nothing more to do; return the rows and tombstones numbered."""
        rows = 0
        while True:
            result = self._sequencer.run_pass()
            assert result.errors == {}
            rows += result.rows
            if not result.handled:
                return rows

    def sync(self) -> list[SyncResult]:
        """Run cycles until one finds nothing more to deliver; every delivery has to succeed."""
        results: list[SyncResult] = []
        while found := self._worker.run_once():
            assert [entry.delivery.error for entry in found if entry.delivery.error] == []
            results += found
        return results

    def drain(self) -> list[SyncResult]:
        """Sequence and deliver until nothing waits anywhere."""
        results: list[SyncResult] = []
        while self.sequence() or self.pending():
            results += self.sync()
            results += self.sync_external()
        return results

    # --- databases of tenancies' owners

    def configure_external(
        self,
        tenancy: uuid.UUID,
        name: str = "main",
        *,
        url: str | None = None,
        connection: str | None = None,
        mappings: list[str] | None = None,
    ) -> External:
        """Configure a database for a tenancy, a new empty one where no URL is given.

        Args:
            tenancy: whose it is.
            name: what its owner calls it.
            url: of the database itself.
            connection: what the pipeline connects to, where that is something in between.
            mappings: what it receives; None is all of them.
        """
        external = External(self, tenancy, name, url or self.new_database())
        self.admin.execute(
            "insert into dbsync.destination (tenancy_id, name, connection, mappings) values (%s, %s, %s, %s)",
            [tenancy, name, connection or external.url, mappings],
        )
        return external

    def new_database(self) -> str:
        """Create an empty database that goes with the pipeline, and return its URL."""
        name = f"{self.database}_{len(self._externals)}"
        self._externals.append(name)
        return self.server.postgres.create_database(name)

    def external_worker(self, destination_id: str) -> AbstractContextManager[SyncCycle]:
        """Open a worker of one external database."""
        return self.pipeline.external_worker(destination_id)

    def sync_external(self, *, errors: bool = False) -> list[SyncResult]:
        """Deliver to every external database that has something due, once round or until nothing is due."""
        results: list[SyncResult] = []
        while due := destinations_due(self.admin, 100):
            for entry in due:
                with self.external_worker(entry.destination_id) as worker:
                    while found := worker.run_once():
                        results += found
                        if errors:
                            break
            if errors:
                break
        failed = [entry.delivery.error for entry in results if entry.delivery.error]
        assert errors or not failed, failed
        return results

    def pending(self) -> list[tuple[uuid.UUID, str]]:
        """Return the (tenancy, mapping) pairs that wait for delivery."""
        return self.rows(
            "select tenancy_id, mapping_id from dbsync.pending where wanted > reached order by tenancy_id, mapping_id"
        )

    # --- what there is, and what there should be

    def view(self, mapping_id: str, tenancy: uuid.UUID | None = None) -> list[Row]:
        """Return the rows of a mapping's view in ClickHouse, or of one tenancy's view."""
        mapping = self.catalog.mapping(mapping_id)
        target = self.names.view(mapping)
        if tenancy is not None:
            target = f"{self.names.tenancy_view(mapping)}(tenancy = '{tenancy}')"
        names, rows = self.clickhouse.read(f"select * from {target}", {})
        return [dict(zip(names, row, strict=True)) for row in rows]

    def versions(self, mapping_id: str) -> list[Row]:
        """Return every version of every row that ClickHouse holds, deleted ones included, oldest first."""
        mapping = self.catalog.mapping(mapping_id)
        names = [column.name for column in tables.columns(self.catalog, mapping)]
        shown = ", ".join(tables.name(name) for name in names)
        found = self.clickhouse.query(f"select {shown} from {self.names.table(mapping)} order by {tables.SEQUENCE}")
        return [dict(zip(names, row, strict=True)) for row in found]

    def checkpoint(self, mapping_id: str, tenancy: uuid.UUID) -> int | None:
        """Return how far ClickHouse says that a pair is durable."""
        ((count, highest),) = self.clickhouse.query(
            f"select count(), max(sequence_id) from {self.names.checkpoint} "
            f"where mapping_id = '{mapping_id}' and tenancy_id = '{tenancy}'"
        )
        return highest if count else None

    def expected(self, mapping_id: str, tenancy: uuid.UUID | None = None) -> list[Row]:
        """Return the rows that the view of a mapping should hold by what is in the source now."""
        with self.admin.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(EXPECTED[mapping_id]).fetchall()
        return [row for row in rows if tenancy is None or row["tenancy_id"] == tenancy]

    def differences(self, mapping_id: str, tenancy: uuid.UUID | None = None) -> list[str]:
        """Return what tells the view of a mapping from the source, a line for each row that is not the same."""
        mapping = self.catalog.mapping(mapping_id)
        key = (*tables.sorting_key(self.catalog, mapping),)
        return _differences(mapping_id, key, self.expected(mapping_id, tenancy), self.view(mapping_id, tenancy))

    def assert_equal(self, *mapping_ids: str) -> None:
        """Compare the views of some mappings, or of all, with the source, row by row."""
        for mapping_id in mapping_ids or EXPECTED:
            _assert_none(mapping_id, self.differences(mapping_id))

    def assert_synced(self, *mapping_ids: str) -> None:
        """Drain, then compare some mappings, or all."""
        self.drain()
        self.assert_equal(*mapping_ids)


def _differences(mapping_id: str, key: tuple[str, ...], source: list[Row], copy: list[Row]) -> list[str]:
    expected, found = _by_key(source, key, mapping_id), _by_key(copy, key, mapping_id)
    lines: list[str] = []
    for identity in sorted({*expected, *found}, key=repr):
        wanted, present = expected.get(identity, []), found.get(identity, [])
        place = f"{mapping_id} {dict(zip(key, identity, strict=True))}"
        if len(wanted) == len(present) == 1:
            lines += [
                f"{place}: {name} is {present[0].get(name)!r}, should be {wanted[0].get(name)!r}"
                for name in {**wanted[0], **present[0]}
                if present[0].get(name) != wanted[0].get(name) or (name in wanted[0]) != (name in present[0])
            ]
        elif wanted != present:
            lines.append(f"{place}: {len(present)} rows, should be {len(wanted)}: {present or wanted}")
    return lines


def _assert_none(mapping_id: str, lines: list[str]) -> None:
    shown = "\n".join(lines[:_MOST_DIFFERENCES_SHOWN])
    assert not lines, f"{len(lines)} differences in {mapping_id}:\n{shown}"


def _parsed(rows: list[Row]) -> list[Row]:
    """Write documents as one text, however the server that printed them writes it."""
    return [
        {
            name: json.dumps(json.loads(value), sort_keys=True) if name in DOCUMENTS and value is not None else value
            for name, value in row.items()
        }
        for row in rows
    ]


@cache
def builtin_catalog() -> Catalog:
    """Return the built-in mappings, read once for all pipelines of this process."""
    return load_catalog()


def _by_key(rows: list[Row], key: tuple[str, ...], mapping_id: str) -> dict[tuple[object, ...], list[Row]]:
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        clean = {name: comparable(mapping_id, name, value) for name, value in row.items()}
        found.setdefault(tuple(row[name] for name in key), []).append(clean)
    return found
