"""One step of what `dbsync init` does to the source."""

from dataclasses import dataclass

from psycopg import sql


@dataclass(frozen=True)
class Step:
    """One change of the source database: its statements are one transaction, unless `concurrently`."""

    title: str
    statements: tuple[sql.SQL | sql.Composed, ...]
    concurrently: bool = False
