"""The documentation says what the code does: names, defaults, options, codes, types, links."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dbsync_pipeline import errors
from dbsync_pipeline.capture import objects
from dbsync_pipeline.cli.main import app
from dbsync_pipeline.destinations.postgres import address
from dbsync_pipeline.destinations.postgres import tables as external_tables
from dbsync_pipeline.mappings import spec, types
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline.settings import Settings
from dbsync_pipeline.status import DestinationStatus, MappingStatus
from dbsync_pipeline.verify.differences import MEANINGS
from dbsync_pipeline_tests.docs.pages import ROOT, code, page, section, table, tables, without_code

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
OF_POSTGRES = {'record "old" has no field', "does not exist", "column source."}
MODELS: list[tuple[str, int, type[BaseModel]]] = [
    ("The tenancy file", 0, spec.TenancySpec),
    ("The tenancy file", 1, spec.TenancyColumn),
    ("The mapping file", 0, spec.SyncMapping),
    ("The mapping file", 1, spec.MappingTenancy),
    ("The mapping file", 2, spec.Join),
    ("The mapping file", 3, spec.Column),
]


def commands(name: str, command: Any) -> list[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        return [(name, command)]
    return [found for part, inner in command.commands.items() for found in commands(f"{name} {part}", inner)]


COMMANDS = commands("dbsync", typer.main.get_command(app))


def default_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return {PydanticUndefined: "required", None: "none", "": "empty"}.get(value, str(value)) if value != () else "none"


def test_every_setting_with_its_default_and_meaning():
    documented = [
        (code(row["variable"]), code(row["default"]), row["meaning"]) for row in table("operating.md", "Settings")
    ]
    assert documented == [
        (f"DBSYNC_{name.upper()}", default_text(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]


def test_no_page_names_a_variable_that_does_not_exist():
    known = {f"DBSYNC_{name.upper()}" for name in Settings.model_fields}
    # Connection strings may stand in variables of any name that begins so.
    known |= {address._VARIABLE_PREFIX.removesuffix("_")}
    named = {name for path in PAGES for name in re.findall(r"\bDBSYNC_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))}
    # The instance's own, and the tests' own.
    others = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("dagster.yaml", "Makefile"))
    assert {name for name in named - known if not name.startswith("DBSYNC_TEST_")} <= set(
        re.findall(r"\bDBSYNC_[A-Z_]+", others)
    )


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_with_its_options_and_defaults(name, command):
    text = section("operating.md", f"`{name}`")
    documented = {code(row["option"]): code(row["default"]) for rows in tables(text) for row in rows}
    options = {
        param.opts[0]: "required" if param.required else param.default
        for param in command.params
        if param.param_type_name == "option"
    }
    options.pop("--help", None)
    assert set(documented) == set(options)
    for option, default in options.items():
        assert documented[option] in ({"off"} if default is False else {str(default)} if default else {"all", "none"})


def test_no_page_names_a_command_that_does_not_exist():
    groups = {*(name for name, _ in COMMANDS), "dbsync mapping", "dbsync destination"}
    for path in PAGES:
        for found in re.findall(
            r"`(dbsync [a-z]+(?: (?:list|show|validate|[a-z]+))?)", path.read_text(encoding="utf-8")
        ):
            first = " ".join(found.split()[:2])
            assert found in groups or first in groups, f"{path.name}: {found}"


def test_exit_codes():
    documented = {(code(row["error"]), int(row["code"])) for row in table("operating.md", "Exit codes") if row["error"]}
    kinds = [errors.DbsyncError, *errors.DbsyncError.__subclasses__()]
    assert documented == {(kind.__name__, kind.exit_code) for kind in kinds}


@pytest.mark.parametrize(("heading", "position", "model"), MODELS, ids=lambda value: getattr(value, "__name__", None))
def test_every_field_of_a_mapping_file(heading, position, model):
    rows = [
        rows for rows in tables(section("mappings.md", heading)) if set(rows[0]) == {"field", "default", "meaning"}
    ][position]
    assert {code(row["field"]): code(row["default"]) for row in rows} == {
        field.alias or name: "none" if field.default_factory else default_text(field.default)
        for name, field in model.model_fields.items()
    }


def test_every_type():
    rows = {
        code(row["type"]): (code(row["ClickHouse"]), code(row["Postgres"])) for row in table("mappings.md", "Types")
    }
    assert {name.partition("(")[0] for name in rows} == set(types._TYPES)
    for name, (clickhouse, postgres) in rows.items():
        found = types.data_type(name)
        assert (found.clickhouse, found.postgres) == (clickhouse, postgres)


def test_every_kind_of_difference():
    documented = {code(row["what"]): row["meaning"] for row in table("verify.md", "What it finds")}
    assert documented == {kind.value: meaning for kind, meaning in MEANINGS.items()}


def test_messages_are_those_that_the_code_says():
    said = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "dbsync_pipeline").rglob("*.py"))
    for row in table("operating.md", "What is seen, and what to do"):
        for message in re.findall(r"`([^`]*)`", row["what is seen"]):
            for part in (part.strip(" :,") for part in message.split("…")):
                assert part in said or part in OF_POSTGRES, part


def test_every_field_of_the_status():
    mappings, failing = ([code(row["field"]) for row in rows] for rows in tables(section("operating.md", "Monitoring")))
    assert mappings == list(MappingStatus.__dataclass_fields__)
    assert failing == list(DestinationStatus.__dataclass_fields__)


def test_every_system_table_of_clickhouse_that_is_read():
    granted = re.findall(r"^grant select on system\.(\w+) to", page("operating.md"), re.MULTILINE)
    said = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "dbsync_pipeline/destinations").rglob("*.py"))
    assert sorted(granted) == sorted(set(re.findall(r"(?:from |= \")system\.(\w+)", said)))


def test_every_object_in_an_external_database():
    documented = {code(row["object"]) for row in table("external.md", "What its owner sees")}
    assert documented == {"<mapping>", external_tables.CHECKPOINT, external_tables._INSTALLED}


def test_every_column_of_the_configuration():
    sql = objects.tables(load_catalog()).as_string(None)
    (created,) = re.findall(r"create table if not exists dbsync\.destination \((.*?)^\)", sql, re.DOTALL | re.MULTILINE)
    documented = {code(row["column"]) for row in table("external.md", "Configuring one")}
    assert documented == set(re.findall(r"^    (\w+) (?!\()", created, re.MULTILINE)) - {"kind"}


def test_every_keyword_of_a_connection_string():
    (accepted,) = re.findall(r"only these are accepted: (.*?)\. None", page("external.md"), re.DOTALL)
    assert {name.partition("=")[0] for name in re.findall(r"`([a-z_=]+)`", accepted)} == address._KEYWORDS


def test_every_table_of_the_schema():
    sql = objects.tables(load_catalog()).as_string(None)
    documented = {}
    for row in table("how-it-works.md", "The data model"):
        documented[code(row["table"])] = set(re.findall(r"`([a-z_]+)`", row["columns worth knowing"]))
    created = dict(re.findall(r"create table if not exists dbsync\.(\w+) \((.*?)^\)", sql, re.DOTALL | re.MULTILINE))
    assert set(documented) == set(created)
    for name, columns in documented.items():
        assert columns <= set(re.findall(r"^    (\w+) ", created[name], re.MULTILINE)), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_paths_resolve(path):
    text = without_code(path.read_text(encoding="utf-8"))
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text)):
        if target.startswith(("http://", "https://")):
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"
    for named in re.findall(r"`(dbsync_pipeline(?:_tests)?/[\w./]+)`", text):
        assert (ROOT / named).exists() or "NAME" in named, named


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("number", range(1, 11))
def test_every_invariant_has_a_place_and_tests(number):
    row = next(row for row in table("how-it-works.md", "Invariants") if row[""] == f"I{number}")
    assert "(../dbsync_pipeline/" in row["kept in"]
    tests = re.findall(r"\]\(\.\./(dbsync_pipeline_tests/[\w/]+\.py)\)", row["guarded by"])
    attacks = [
        str(path.relative_to(ROOT)) for path in ROOT.glob(f"dbsync_pipeline_tests/invariants/test_i{number}_*.py")
    ]
    assert tests[: len(attacks)] == attacks
    assert tests
    assert all((ROOT / path).exists() for path in tests)


def test_every_failure_mode_names_what_shows_it_or_was_not_tried():
    rows = [row for rows in tables(page("failure-modes.md")) for row in rows]
    assert rows
    for row in rows:
        assert "(../dbsync_pipeline_tests/" in row["shown by"] or "not tried" in row["shown by"], row


def test_every_decision_says_what_why_and_cost():
    decisions = re.split(r"^## ", page("decisions.md"), flags=re.MULTILINE)[1:]
    for number, text in enumerate(decisions, start=1):
        assert text.startswith(f"{number}. ")
        assert re.findall(r"^\*\*(\w+)\b", text, re.MULTILINE) == ["Decided", "Instead", "Why", "Cost"]
