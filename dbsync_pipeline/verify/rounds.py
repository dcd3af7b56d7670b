"""Goes round the copies of a deployment and compares each mapping in each of them.

An external database that does not answer is one line of the result, and no reason not to look at the others; so is a
mapping whose table is not what it was, or has a row that its types cannot hold. What was compared is recorded, tenancy
by tenancy; where nothing could be, what was found the last time stands, with its time.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg

from dbsync_pipeline.destinations.configured import ExternalDatabase, databases_of, require_database
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.errors import DbsyncError, DestinationError, UnreachableError
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.verify.copies import ClickHouseCopy, Copy, ExternalCopy
from dbsync_pipeline.verify.differences import Verified
from dbsync_pipeline.verify.record import record
from dbsync_pipeline.verify.repair import Repair
from dbsync_pipeline.verify.scope import Scope
from dbsync_pipeline.verify.verification import PATIENCE_SECONDS, Verification

_QUOTED = re.compile('".*"', re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """What to verify; None means all there is.

    Attributes:
        scope: the tenancies.
        mappings: ids of mappings.
        destinations: ids of destinations.
    """

    scope: Scope = field(default_factory=Scope)
    mappings: Collection[str] | None = None
    destinations: Collection[str] | None = None

    def has(self, destination_id: str) -> bool:
        """Whether a destination is to be looked at."""
        return self.destinations is None or destination_id in self.destinations


def verify(
    pipeline: Pipeline,
    choice: Choice,
    *,
    repair: bool = False,
    patience_seconds: float = PATIENCE_SECONDS,
    expect: Callable[[int], None] = lambda count: None,  # noqa: ARG005 -- nobody needs to know
) -> Iterator[Verified]:
    """Compare, and yield a line for each mapping in each destination as soon as it is known.

    Args:
        pipeline: the deployment.
        choice: what to look at.
        repair: whether to have delivered again what differs.
        patience_seconds: how long what waits for the sequencer may go on doing so.
        expect: is told how many lines there will be.

    Raises:
        MappingError: there is no such mapping.
        DestinationError: there is no such destination.
        UnreachableError: source or ClickHouse does not answer.
        NotInstalledError: they lack what `dbsync init` makes.
    """
    mappings = [*pipeline.catalog.select(choice.mappings or ()).mappings]
    with ExitStack() as stack:
        connection = stack.enter_context(pipeline.source("verify"))
        require_installed(connection, pipeline.catalog)
        tenancies = choice.scope.ids(connection)
        databases = _databases(connection, choice, tenancies)
        clickhouse_mappings = mappings if choice.has(CLICKHOUSE) else []
        expect(len(clickhouse_mappings) + sum(entry.receives(m.mapping_id) for entry in databases for m in mappings))

        def compare(mapping: SyncMapping, copy: Copy, whose: list[str] | None) -> Verified:
            parts = (connection, pipeline.catalog, pipeline.columns, mapping, copy)
            verification = Verification(
                *parts,
                tenancies=whose,
                repair=Repair(*parts) if repair else None,
                patience_seconds=patience_seconds,
            )
            try:
                found = verification.run()
                record(connection, pipeline.catalog, mapping, copy.destination_id, verification.outcomes())
            except psycopg.Error as error:
                if connection.broken:
                    raise
                # The mapping's own SQL fails: a table or column of the source is gone, or a value does not fit.
                what = f"mapping {mapping.mapping_id}: {_words(error)}"
                return Verified(copy.destination_id, mapping.mapping_id, error=what)
            return found

        if clickhouse_mappings:
            clickhouse = stack.enter_context(pipeline.clickhouse())
            for mapping in clickhouse_mappings:
                names = pipeline.clickhouse_names
                yield compare(
                    mapping, ClickHouseCopy(clickhouse, pipeline.catalog, mapping, names, choice.scope), tenancies
                )
        for database in databases:
            received = [mapping for mapping in mappings if database.receives(mapping.mapping_id)]
            yield from _verify_database(pipeline, database, received, compare)


def _words(error: psycopg.Error) -> str:
    """The server's own message, without the value that does not fit."""
    text = error.diag.message_primary or str(error)
    return _QUOTED.sub('"…"', text) if isinstance(error, psycopg.DataError) else text


def _databases(connection: psycopg.Connection, choice: Choice, tenancies: list[str] | None) -> list[ExternalDatabase]:
    named = [entry for entry in choice.destinations or () if entry != CLICKHOUSE]
    disabled = [entry for entry in named if not require_database(connection, entry).enabled]
    if disabled:
        raise DestinationError(f"{disabled[0]} is disabled", f"dbsync destination enable {disabled[0]}")
    return [
        entry for entry in databases_of(connection, tenancies) if entry.enabled and choice.has(entry.destination_id)
    ]


def _verify_database(
    pipeline: Pipeline,
    database: ExternalDatabase,
    mappings: list[SyncMapping],
    compare: Callable[[SyncMapping, Copy, list[str] | None], Verified],
) -> Iterator[Verified]:
    tenancy = str(database.tenancy_id)
    session: ExternalSession | None = None
    unreachable: str | None = None
    try:
        for mapping in mappings:
            if unreachable is not None:
                # To find that out takes until a time limit; once is enough.
                yield Verified(database.destination_id, mapping.mapping_id, error=unreachable)
                continue
            try:
                session = session or pipeline.external_session(database.connection)
                copy = ExternalCopy(session, mapping, pipeline.external_tables, database.destination_id, tenancy)
                yield compare(mapping, copy, [tenancy])
            except DbsyncError as error:
                unreachable = str(error) if isinstance(error, UnreachableError) else None
                yield Verified(database.destination_id, mapping.mapping_id, error=str(error))
    finally:
        if session is not None:
            session.close()
