"""The `dbsync` command: its subcommands, and how errors reach a person.

An expected error is one line that says what and where, one that says how to mend it, and an exit code of its kind.
"""

import logging
import sys

import typer

from dbsync_pipeline.cli import logs
from dbsync_pipeline.cli.controls import pause, resume, resync, retry
from dbsync_pipeline.cli.demo import demo
from dbsync_pipeline.cli.destination import destination_commands
from dbsync_pipeline.cli.dev import dev
from dbsync_pipeline.cli.initialise import initialise
from dbsync_pipeline.cli.mapping import mapping_commands
from dbsync_pipeline.cli.metrics import metrics
from dbsync_pipeline.cli.output import errors
from dbsync_pipeline.cli.query import query
from dbsync_pipeline.cli.retention import erase, purge
from dbsync_pipeline.cli.status import status
from dbsync_pipeline.cli.sync import sync
from dbsync_pipeline.cli.verify import verify
from dbsync_pipeline.cli.wait import wait
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.settings import LogFormat, load_log_format

logger = logging.getLogger("dbsync")

app = typer.Typer(
    name="dbsync",
    help=(
        "Keeps ClickHouse, and databases of the tenancies' owners, equal to a multi-tenant PostgreSQL.\n\n"
        "Start with `dbsync demo`: the whole product on this machine, with nothing to install. On databases of your "
        "own, set DBSYNC_SOURCE_URL and DBSYNC_CLICKHOUSE_URL, run `dbsync init` once, then `dbsync sync`, or "
        "`dagster dev -w workspace.yaml` to keep them in step for good."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo)
app.command("dev")(dev)
app.command("init")(initialise)
app.command("sync")(sync)
app.command("status")(status)
app.command("metrics")(metrics)
app.command("verify")(verify)
app.command("wait")(wait)
app.command("pause")(pause)
app.command("resume")(resume)
app.command("retry")(retry)
app.command("resync")(resync)
app.command("purge")(purge)
app.command("erase")(erase)
app.command("query")(query)
app.add_typer(destination_commands, name="destination")
app.add_typer(mapping_commands, name="mapping")


def main() -> None:
    """Run the command line and exit."""
    log_format: LogFormat = "text"
    try:
        log_format = load_log_format()
        logs.set_up(log_format)
        app()
    except DbsyncError as error:
        if log_format == "json":
            logger.error(error.what, extra={"mend": error.mend, "exit_code": error.exit_code})  # noqa: TRY400 -- foreseen
        else:
            _print(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _print(error: DbsyncError) -> None:
    errors.print(f"[bold red]error:[/] {_escaped(error.what)}", highlight=False)
    if error.mend:
        errors.print(f"[bold]what to do:[/] {_escaped(error.mend)}", highlight=False)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


if __name__ == "__main__":
    main()
