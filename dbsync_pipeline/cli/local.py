"""What `dbsync demo` and `dbsync dev` share: the stack on this machine, from databases to Dagster, and its end."""

import shlex
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dbsync_pipeline.cli.output import console, errors
from dbsync_pipeline.defs.instance import write_dagster_home
from dbsync_pipeline.embedded.dagster import EmbeddedDagster
from dbsync_pipeline.embedded.postgres import binaries
from dbsync_pipeline.embedded.process import locked
from dbsync_pipeline.settings import Settings

DAGSTER_PORT = 3000
"""Where Dagster's UI is usually looked for; another port is taken when something else answers there."""


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that point every tool of the project at these databases."""
    return {
        "DBSYNC_SOURCE_URL": settings.source_url.get_secret_value(),
        "DBSYNC_CLICKHOUSE_URL": settings.clickhouse_url.get_secret_value(),
        "DBSYNC_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "DBSYNC_MAPPINGS": settings.mappings,
        "DBSYNC_EXTERNAL_PRIVATE_ADDRESSES": str(settings.external_private_addresses).lower(),
    }


def write_environment(path: Path, variables: dict[str, str], *, embedded_postgres: bool) -> None:
    """Write a file for a shell to source; it holds passwords, so that only its owner may read it.

    The shell then finds `dbsync` and `dagster` of this installation, and the embedded PostgreSQL's psql if it has none.
    """
    programs = [shlex.quote(str(Path(sys.executable).parent)), '"$PATH"']
    if embedded_postgres:
        programs.append(shlex.quote(str(binaries())))
    path.touch(mode=0o600)
    path.write_text(
        f"export PATH={':'.join(programs)}\n"
        + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    )


@contextmanager
def local_dagster(
    home: Path,
    settings: Settings,
    port: int | None,
    *,
    embedded_postgres: bool,
    others: dict[str, str] | None = None,
) -> Generator[EmbeddedDagster]:
    """Run Dagster under `home` on these databases, and write `home/env` for other terminals.

    Args:
        home: directory to keep things in.
        settings: name the databases.
        port: of Dagster's UI.
        embedded_postgres: whether any of the databases is one that was started here.
        others: variables for other terminals alone.

    Raises:
        EmbeddedServiceError: the directory is unusable or in use, or Dagster did not start.
    """
    dagster_home = home / "dagster"
    variables = environment_of(settings)
    with locked("Dagster", dagster_home):
        write_dagster_home(dagster_home)
    with EmbeddedDagster(dagster_home, variables, port=port) as dagster:
        # Only now: until then, the directory may be another command's, and so may the file be.
        for_others = {**variables, "DAGSTER_HOME": str(dagster_home.absolute()), **(others or {})}
        write_environment(home / "env", for_others, embedded_postgres=embedded_postgres)
        yield dagster


@contextmanager
def ended_by_signal() -> Generator[None]:
    """Let Ctrl-C and SIGTERM end the context quietly; while things are being stopped, further ones are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        console.print("Stopped.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    errors.print("Stopping what was started ...")
    raise KeyboardInterrupt
