"""Every `DBSYNC_*` variable, once.

Nothing else in the project reads the environment. Connection strings are secrets (`SecretStr`), so that printing a
settings object never prints a password (invariant I10).
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dbsync_pipeline.errors import SettingsError

BUILTIN_MAPPINGS = "builtin"

LogFormat = Literal["text", "json"]


class _SettingsOfEveryCommand(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DBSYNC_", extra="ignore", frozen=True)

    mappings: Annotated[
        str,
        Field(description="Comma-separated directories of mapping files; `builtin` is the twelve that come along."),
    ] = BUILTIN_MAPPINGS
    log_format: Annotated[
        LogFormat,
        Field(
            description="`text`: `dbsync` logs warnings to standard error; `json`: all that it does, an object a line."
        ),
    ] = "text"


class Settings(_SettingsOfEveryCommand):
    """What a deployment decides; the defaults are right for most."""

    source_url: Annotated[SecretStr, Field(description="The application's Postgres, as a URL or libpq string.")]
    clickhouse_url: Annotated[
        SecretStr, Field(description="ClickHouse's HTTP interface: http(s)://user:password@host:port/.")
    ]
    clickhouse_database: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            description="Database of the views people read; the tables live in the same name plus `_internal`.",
        ),
    ] = "analytics"
    sequence_column: Annotated[str, Field(description="Sync column of the application's tables: the sequence id.")] = (
        "sequenceId"
    )
    dirty_column: Annotated[str, Field(description="Sync column of the application's tables: waits for an id.")] = (
        "shouldUpdateSequenceId"
    )
    sequencer_batch_size: Annotated[
        int, Field(ge=1, description="Rows of one table that one sequencer transaction numbers at most.")
    ] = 5_000
    sync_batch_tenancies: Annotated[
        int, Field(ge=1, description="Pending (tenancy, mapping) pairs that a worker claims at once, at most.")
    ] = 2_000
    chunk_rows: Annotated[
        int,
        Field(
            ge=1,
            description="Rows of one (tenancy, mapping) delivered to ClickHouse between two checkpoints, at most.",
        ),
    ] = 250_000
    worker_rows_per_second: Annotated[
        int | None,
        Field(ge=1, description="Rows that one worker's process delivers in a second, at most; none: no bound."),
    ] = None
    destination_rows_per_second: Annotated[
        int | None,
        Field(ge=1, description="Rows that one destination gets in a second, at most; its workers have equal shares."),
    ] = None
    lease_seconds: Annotated[
        float, Field(gt=0, description="How long a claim keeps others away when its worker stops answering.")
    ] = 60.0
    retry_base_seconds: Annotated[
        float, Field(gt=0, description="Pause after the first failure of a pending pair; doubles each time.")
    ] = 1.0
    retry_max_seconds: Annotated[float, Field(gt=0, description="The longest such pause.")] = 300.0
    external_schema: Annotated[
        str,
        Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$", description="Schema of the copies in external databases."),
    ] = "dbsync"
    external_readers: Annotated[
        str, Field(min_length=1, description="Role that may read the copies in external databases, or PUBLIC.")
    ] = "PUBLIC"
    external_private_addresses: Annotated[
        bool, Field(description="Whether external databases may be at private, loopback or link-local addresses.")
    ] = False
    external_require_tls: Annotated[
        bool, Field(description="Whether connections to external databases have to be encrypted.")
    ] = False
    external_secrets: Annotated[
        Path | None, Field(description="Directory of the files that `file:NAME` refers to; without it there are none.")
    ] = None
    external_workers: Annotated[
        int, Field(ge=2, description="External databases that one sync run writes to at the same time.")
    ] = 16
    external_chunk_rows: Annotated[
        int,
        Field(
            ge=1,
            description="Rows of one mapping delivered to an external database between two checkpoints, at most; "
            "no other tenancy waits meanwhile.",
        ),
    ] = 1_000_000
    external_connect_seconds: Annotated[
        float, Field(ge=2, description="How long connecting to an external database may take.")
    ] = 5.0
    external_statement_seconds: Annotated[
        float, Field(gt=0, description="How long a statement in an external database may take.")
    ] = 60.0
    external_lock_seconds: Annotated[
        float, Field(gt=0, description="How long a statement there may wait for somebody else's lock.")
    ] = 10.0
    external_idle_seconds: Annotated[
        float, Field(ge=0, description="How long a run keeps a session there that has nothing to do.")
    ] = 60.0
    run_seconds: Annotated[
        float, Field(gt=0, description="How long one sequencer or sync run of Dagster stays, at most.")
    ] = 900.0
    idle_seconds: Annotated[float, Field(ge=0, description="A run with nothing to do for this long ends early.")] = 10.0
    report_seconds: Annotated[
        float, Field(gt=0, description="A partition's materialization is reported at most this often within a run.")
    ] = 10.0
    late_seconds: Annotated[
        float, Field(gt=0, description="How old a change may get before its copy counts as late, in checks and alerts.")
    ] = 300.0
    traces: Annotated[
        bool,
        Field(description="Send OpenTelemetry spans, as the standard OTEL_* variables say; needs the extra `tracing`."),
    ] = False
    alert_webhook_url: Annotated[
        SecretStr | None,
        Field(description='Where the alert sensors of Dagster post {"text": …}, as Slack takes it; none: no sensors.'),
    ] = None
    sync_workers: Annotated[
        int, Field(ge=1, description="Runs of `sync_job` that are kept up while something is due.")
    ] = 1
    external_sync_workers: Annotated[
        int, Field(ge=1, description="Runs of `external_sync_job` that are kept up while something is due.")
    ] = 1
    tombstone_retention_days: Annotated[
        float,
        Field(
            ge=0,
            description="How old tombstones that every copy has got, and ClickHouse's deleted rows, are when a purge "
            "removes them.",
        ),
    ] = 30.0
    erase_after_days: Annotated[
        float, Field(ge=0, description="How long ago a tenancy was deleted when the schedule erases it.")
    ] = 7.0
    erase_external: Annotated[
        Literal["keep", "rows", "tables"],
        Field(description="What erasing does in the tenancy's own databases: nothing, its rows, or empty tables, too."),
    ] = "keep"
    replica_url: Annotated[
        SecretStr | None,
        Field(description="A hot standby of the source that rows are read from; none: the source itself."),
    ] = None
    clickhouse_cluster: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z_][A-Za-z0-9_-]*)?$",
            description="Cluster of one shard whose replicas all hold the copy; empty: a single server, or a cloud's.",
        ),
    ] = ""

    @field_validator("alert_webhook_url")
    @classmethod
    def _not_in_clear(cls, webhook: SecretStr | None) -> SecretStr | None:
        if webhook is not None:
            parts = urlsplit(webhook.get_secret_value())
            if not (
                parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname)))
            ):
                raise ValueError("is not an https URL; http is for this machine only")
        return webhook


def load_settings(**given: str) -> Settings:
    """Read the settings from the environment; what is given by name counts before it.

    Raises:
        SettingsError: a variable is missing or unusable; the message names it and never shows its value.
    """
    try:
        return Settings(**given)  # pyright: ignore[reportArgumentType, reportCallIssue] -- pydantic validates both
    except ValidationError as error:
        raise _refused(error) from None


def load_log_format() -> LogFormat:
    """Read DBSYNC_LOG_FORMAT alone, before anything else.

    Raises:
        SettingsError: it is neither of the two.
    """
    try:
        return _SettingsOfEveryCommand().log_format
    except ValidationError as error:
        raise _refused(error) from None


def load_mapping_directories() -> str:
    """Read DBSYNC_MAPPINGS alone, for what needs no database."""
    return _SettingsOfEveryCommand().mappings


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(error: ValidationError) -> SettingsError:
    problems = "; ".join(
        f"{_variable(problem['loc'])} {'is not set' if problem['type'] == 'missing' else problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    )
    return SettingsError(
        problems, "Set it in the environment, or run `dbsync dev` or `dbsync demo`, which bring databases of their own."
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return "DBSYNC_" + "_".join(str(part) for part in location).upper()
