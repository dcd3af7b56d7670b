"""One step of what `dbsync init` does to the source."""

from dataclasses import dataclass

from psycopg import sql


@dataclass(frozen=True)
class Step:
    """One change of the source database: its statements are one transaction, unless `concurrently`.

    Attributes:
        follows: what the person who runs it has to know or do afterwards.
    """

    title: str
    statements: tuple[sql.SQL | sql.Composed, ...]
    concurrently: bool = False
    follows: str = ""
