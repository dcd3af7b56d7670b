"""A drafted mapping file fits its table as it stands, and is refused where the table does not say enough."""

from pathlib import Path

import psycopg
import pytest

from dbsync_pipeline.capture.install import check_source
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE, load_catalog
from dbsync_pipeline.mappings.document import read_file
from dbsync_pipeline.mappings.relation import SyncColumns
from dbsync_pipeline.mappings.scaffold import draft, snake_case
from dbsync_pipeline.mappings.spec import Table, TenancySpec
from dbsync_pipeline.source import connect

COLUMNS = SyncColumns("sequenceId", "shouldUpdateSequenceId")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / TENANCY_FILE).write_text((BUILTIN_DIRECTORY / TENANCY_FILE).read_text())
    return tmp_path


def write(connection: psycopg.Connection, directory: Path, table: str, tenancy_column: str | None = None) -> str:
    tenancy = read_file(directory / TENANCY_FILE, TenancySpec)
    text = draft(
        *(connection, Table.model_validate(table), tenancy, COLUMNS), mapping_id="new", tenancy_column=tenancy_column
    )
    (directory / "new.yaml").write_text(text)
    return text


def test_every_kind_of_column(source_url: str, directory: Path) -> None:
    """As it is written, it fits; the columns of ours and the tenancy's own are no columns of the copy."""
    with connect(source_url) as connection:
        create_schema(connection)
        connection.execute(
            """
            create type mood as enum ('good', 'bad');
            create schema shop;
            create table shop."OrderLine" (
                "Kunde" uuid not null references "Tenancy" (id), "lineNo" bigint not null, "HTTPCode" smallint,
                price numeric(12, 2) not null, amount numeric, weight real, "at" timestamptz not null,
                seen timestamp(3), day date, mood mood not null default 'good', tags text[], raw bytea, "on" boolean,
                data jsonb not null, note varchar(20), took interval,
                "sequenceId" bigint, "shouldUpdateSequenceId" boolean, primary key ("Kunde", "lineNo")
            )
            """
        )
        text = write(connection, directory, "shop.OrderLine")
        catalog = load_catalog(str(directory))
        check_source(connection, catalog)
    (mapping,) = catalog.mappings
    assert (mapping.tenancy.column, mapping.key) == ("Kunde", ("line_no",))
    assert {column.name: (column.type, column.nullable) for column in mapping.columns} == {
        "line_no": ("bigint", False),
        "http_code": ("integer", True),
        "price": ("numeric(12, 2)", False),
        "amount": ("numeric", True),
        "weight": ("double", True),
        "at": ("timestamp(6)", False),
        "seen": ("timestamp(3)", True),
        "day": ("date", True),
        "mood": ("text", False),
        "tags": ("text", True),
        "raw": ("text", True),
        "on": ("boolean", True),
        "data": ("json", True),
        "note": ("text", True),
        "took": ("text", True),
    }
    assert "# The text of interval." in text


def test_what_cannot_be_told_is_refused(source_url: str, directory: Path) -> None:
    with connect(source_url) as connection:
        create_schema(connection)
        connection.execute(
            'create table alone (id int primary key); create table vague ("tenancyId" uuid not null, x int)'
        )
        for table, column, said in (
            ("alone", None, "no column of alone references Tenancy"),
            ("vague", None, "no column of vague references Tenancy"),
            ("vague", "tenancy", "table vague has no column 'tenancy'"),
            ("vague", "tenancyId", "no unique index of vague"),
            ("nothing", None, "no table nothing"),
        ):
            with pytest.raises(MappingError, match=said):
                write(connection, directory, table, column)
    assert [path.name for path in directory.iterdir()] == [TENANCY_FILE]


def test_names_become_those_of_destinations() -> None:
    names = {
        "ProjectUser": "project_user",
        "HTTPCode": "http_code",
        "größe": "gr_e",
        "2fa": "c_2fa",
        "sync_x": "c_sync_x",
    }
    assert {name: snake_case(name) for name in names} == names
