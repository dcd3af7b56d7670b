"""Both embedded services at once: what a command that has no databases of its own runs on."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres


@dataclass(frozen=True)
class Services:
    """Where the started services answer; a service that was not asked for has an empty URL."""

    source_url: str
    clickhouse_url: str


@contextmanager
def embedded_services(
    home: Path, *, durable: bool = True, postgres: bool = True, clickhouse: bool = True
) -> Generator[Services]:
    """Start the services under `home`, both at the same time, and stop them on exit whatever happens.

    Args:
        home: directory that keeps their data, logs and passwords; made when missing.
        durable: as for `EmbeddedPostgres`.
        postgres: whether to start Postgres.
        clickhouse: whether to start ClickHouse.

    Raises:
        EmbeddedServiceError: one of them did not start; the other one has been stopped again.
    """
    source = EmbeddedPostgres(home / "postgres", durable=durable)
    analytics = EmbeddedClickHouse(home / "clickhouse")
    starts: list[Callable[[], None]] = []
    with ExitStack() as stack:
        if clickhouse:
            stack.callback(analytics.stop)
            starts.append(analytics.start)
        if postgres:
            stack.callback(source.stop)
            starts.append(source.start)
        with ThreadPoolExecutor(max_workers=2) as threads:
            for started in [threads.submit(start) for start in starts]:
                started.result()
        yield Services(source_url=source.url() if postgres else "", clickhouse_url=analytics.url if clickhouse else "")
