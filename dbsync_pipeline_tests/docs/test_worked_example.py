"""The worked example of docs/mappings.md, run as it stands: tables and mappings that the project has never seen."""

import re
from collections.abc import Generator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from dbsync_pipeline import source
from dbsync_pipeline.capture.install import check_source
from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.destinations.clickhouse.tenant_query import query_tenancy
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.errors import DbsyncError, IncompatibleTargetError, MappingError, NotInstalledError
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests import harness
from dbsync_pipeline_tests.docs.pages import block, table

CUSTOMERS = {"text": ("acme", "zoë's \t\\N"), "bigint": (2**53 + 1, -1)}


class Shop:
    """The example's application and a pipeline on it; `ids` are the ids of two customers."""

    def __init__(self, directory: Path, url: str, clickhouse_url: str, database: str, id_type: str) -> None:
        self.directory = directory
        self.ids = CUSTOMERS[id_type]
        self.schema = block("mappings.md", "sql", "-- The application's tables.")
        self.files = {
            "_tenancy.yaml": block("mappings.md", "yaml", "# _tenancy.yaml"),
            "invoices.yaml": block("mappings.md", "yaml", "# invoices.yaml"),
        }
        if id_type != "text":
            for declaration in ("id text primary key", "customer_id text not null"):
                assert declaration in self.schema
                self.schema = self.schema.replace(declaration, declaration.replace("text", id_type))
            assert "type: text" in self.files["_tenancy.yaml"]
            self.files["_tenancy.yaml"] = self.files["_tenancy.yaml"].replace("type: text", f"type: {id_type}")
        for name, text in self.files.items():
            (directory / name).write_text(text)
        self.pipeline = Pipeline(
            Settings(
                source_url=SecretStr(url),
                clickhouse_url=SecretStr(clickhouse_url),
                clickhouse_database=database,
                mappings=str(directory),
            )
        )
        self.db = source.connect(url, application_name="test shop")
        self.db.execute(self.schema)

    def init(self) -> None:
        with self.pipeline.source("test init") as connection, self.pipeline.clickhouse() as clickhouse:
            harness.init_clickhouse(clickhouse, self.pipeline.catalog, self.pipeline.clickhouse_names)
            harness.init_source(self.pipeline, connection)

    def sync(self) -> int:
        """Drain, check that ClickHouse equals the source, and return the rows and tombstones delivered."""
        drained = drain(self.pipeline, Selection())
        assert drained.failures == []
        (found,) = verify(self.pipeline, Choice(mappings=["invoices"]), patience_seconds=0)
        assert (found.differing, found.waiting) == (0, 0)
        return drained.rows

    def view(self, columns: str) -> list[tuple[object, ...]]:
        with self.pipeline.clickhouse(default_database=self.pipeline.settings.clickhouse_database) as clickhouse:
            return clickhouse.query(f"select {columns} from invoices order by number")

    def seen_by(self, tenancy: str | int) -> list[tuple[object, ...]]:
        with self.pipeline.clickhouse(default_database=self.pipeline.settings.clickhouse_database) as clickhouse:
            names = self.pipeline.clickhouse_names
            return query_tenancy(clickhouse, self.pipeline.catalog, names, "select number from invoices", str(tenancy))[
                1
            ]


@pytest.fixture(params=["text", "bigint"])
def shop(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    source_url: str,
    clickhouse_server: EmbeddedClickHouse,
    clickhouse_database_prefix: str,
) -> Generator[Shop]:
    shop = Shop(tmp_path, source_url, clickhouse_server.url, clickhouse_database_prefix, request.param)
    yield shop
    shop.db.close()


def insert(shop: Shop) -> None:
    shop.db.execute("insert into billing.customer values (%s, 'Acme', 'eu'), (%s, 'Zoë', 'us')", shop.ids)
    statement = """
        insert into billing.invoice (customer_id, status, amount, tags, details, due_on, sent_at) values
            (%(first)s, 'open', 1234.56, '{a,"b c"}', '{"b": 1, "a": "tab\\t"}', '1969-12-31', '2026-01-01 00:00+02'),
            (%(first)s, 'draft', 1, '{}', null, null, now()),
            (%(second)s, 'paid', -0.05, '{}', 'null', 'infinity', 'infinity')
    """
    shop.db.execute(statement, dict(zip(("first", "second"), shop.ids, strict=True)))
    shop.db.execute("insert into billing.invoice_line values (1, 1, 3, 1.5), (1, 2, 1, 0.25), (2, 1, 1, 7)")


def test_first_load_and_every_kind_of_change(shop):
    shop.init()
    insert(shop)
    assert shop.sync() == 2
    assert shop.view("*") == [
        (
            *("eu", shop.ids[0], 1, "open", Decimal("1234.56"), '["a", "b c"]', '{"a": "tab\\t", "b": 1}'),
            *(date(1969, 12, 31), datetime(2025, 12, 31, 22, tzinfo=UTC).replace(tzinfo=None), 2, Decimal("4.7500")),
        ),
        (
            *("us", shop.ids[1], 3, "paid", Decimal("-0.05"), "[]", None, date(2299, 12, 31)),
            *(datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC).replace(tzinfo=None), 0, Decimal(0)),
        ),
    ]
    assert [shop.seen_by(customer) for customer in shop.ids] == [[(1,)], [(3,)]]

    shop.db.execute("update billing.invoice set internal_notes = 'nobody reads this'")
    assert shop.sync() == 0
    shop.db.execute("update billing.invoice set status = 'draft' where number = 1")
    shop.db.execute("update billing.invoice set status = 'open' where number = 2")
    shop.sync()
    assert shop.view("number, line_count, line_total") == [(2, 1, 7), (3, 0, 0)]
    shop.db.execute("update billing.invoice_line set quantity = 2 where invoice_number = 2")
    shop.db.execute("insert into billing.invoice_line values (3, 1, 1, 0.5)")
    shop.sync()
    assert shop.view("number, line_count, line_total") == [(2, 1, 14), (3, 1, Decimal("0.5"))]
    shop.db.execute("update billing.invoice set number = default where number = 3")
    shop.db.execute("update billing.customer set region = 'ap' where name = 'Acme'")
    shop.sync()
    assert shop.view("region, number") == [("ap", 2), ("us", 4)]
    shop.db.execute("update billing.invoice set customer_id = %s where number = 4", shop.ids[:1])
    shop.sync()
    assert [shop.seen_by(customer) for customer in shop.ids] == [[(2,), (4,)], []]
    shop.db.execute("delete from billing.customer where name = 'Acme'")
    shop.sync()
    assert shop.view("*") == []
    shop.db.execute("insert into billing.customer values (%s, 'Acme', 'eu')", shop.ids[:1])
    shop.sync()
    assert shop.view("number") == [(2,), (4,)]
    shop.db.execute("truncate billing.invoice cascade")
    shop.sync()
    assert shop.view("*") == []


def test_rows_that_were_there_before_init(shop):
    insert(shop)
    shop.init()
    assert shop.sync() == 2


@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_a_value_that_clickhouse_cannot_hold_fails_alone_with_key_and_column(shop):
    shop.init()
    insert(shop)
    shop.db.execute("update billing.invoice set amount = 'NaN' where number = 3")
    drained = drain(shop.pipeline, Selection())
    assert drained.rows == 1
    (failure,) = drained.failures
    assert re.search(r"mapping invoices, tenancy zoë.*, key number=3, column amount: ", failure)
    shop.db.execute("update billing.invoice set amount = 1 where number = 3")
    assert shop.sync() == 1


@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_a_mapping_that_left_and_came_back_is_delivered_anew(shop):
    shop.init()
    insert(shop)
    other = shop.files["invoices.yaml"].replace("mapping: invoices", "mapping: invoices_too")
    (shop.directory / "too.yaml").write_text(other)
    both = Pipeline(shop.pipeline.settings)
    shop.pipeline, alone = both, shop.pipeline
    shop.init()
    shop.db.execute("update billing.invoice set amount = 2")
    drain_numbering_only(shop.pipeline)
    shop.pipeline = alone
    shop.init()
    assert shop.sync() == 2
    assert shop.db.execute("select count(*) from dbsync.pending where wanted > reached").fetchone() == (0,)
    shop.db.execute("update billing.invoice set amount = 3")
    shop.sync()
    shop.pipeline = both
    shop.init()
    shop.sync()
    with both.clickhouse() as clickhouse:
        view = both.clickhouse_names.view(both.catalog.mapping("invoices_too"))
        assert clickhouse.query(f"select number, amount from {view} order by 1") == [(1, 3), (3, 3)]


def drain_numbering_only(pipeline: Pipeline) -> None:
    with pipeline.sequencer() as sequencer:
        while sequencer.run_pass().handled:
            pass


@pytest.mark.parametrize("row", table("mappings.md", "What is refused"), ids=lambda row: row["change"][:40])
@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_refusals_are_those_that_the_page_shows(shop, row):
    before, after = re.fullmatch(r"`(.+)` → `(.+)`", row["change"]).groups()
    assert before in shop.files["invoices.yaml"]
    (shop.directory / "invoices.yaml").write_text(shop.files["invoices.yaml"].replace(before, after))
    with pytest.raises(MappingError) as caught:
        check_source(shop.db, load_catalog(str(shop.directory)))
    assert row["message"].removeprefix("`").removesuffix("`") in caught.value.what
    assert re.match(rf"{re.escape(str(shop.directory))}/invoices\.yaml:\d+: ", caught.value.what)
    assert caught.value.mend
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_a_filter_that_would_fail_inside_the_triggers_is_refused(shop):
    """It would fail in the application's own DELETE, so being refused late is no help."""
    shop.db.execute("set search_path = billing, public")
    good = "source.status <> 'draft'::billing.invoice_status"
    for text, fits in ((good, True), (good.replace("billing.", ""), False)):
        (shop.directory / "invoices.yaml").write_text(
            shop.files["invoices.yaml"].replace("source.status <> 'draft'", text)
        )
        catalog = load_catalog(str(shop.directory))
        if fits:
            check_source(shop.db, catalog)
            continue
        with pytest.raises(MappingError, match=r"invoices.yaml:\d+: type .* does not exist on the triggers' search"):
            check_source(shop.db, catalog)


@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_the_privileges_that_the_page_lists_suffice(shop, postgres_server):
    database = shop.db.info.dbname
    owner, role = f"owner_{database}", f"dbsync_{database}"
    _, *grants = block("operating.md", "sql", "-- As an administrator.").split(";")
    names = {"app_owner": owner, "app": database, "dbsync": role}
    address = postgres_server.url(database).partition("@")[2]
    shop.pipeline = Pipeline(
        shop.pipeline.settings.model_copy(update={"source_url": SecretStr(f"postgresql://{role}:secret@{address}")})
    )
    shop.db.execute(f"create role {owner}; create role {role} login password 'secret'")
    try:
        shop.db.execute(f"alter schema billing owner to {owner}")
        for name in ("customer", "invoice", "invoice_line"):
            shop.db.execute(f"alter table billing.{name} owner to {owner}")
        with pytest.raises(DbsyncError, match="permission denied") as caught:
            shop.init()
        assert caught.value.mend == "Grant the role what docs/operating.md lists."
        for grant in filter(str.strip, grants):
            shop.db.execute(re.sub(r"\b(app_owner|app|dbsync)\b", lambda match: names[match[0]], grant))
        shop.init()
        insert(shop)
        assert shop.sync() == 2
        shop.db.execute("delete from billing.customer")
        shop.sync()
        assert shop.view("*") == []
    finally:
        for name in (role, owner):
            shop.db.execute(f"drop owned by {name} cascade; drop role {name}")


@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_dropping_the_schema_frees_the_application_of_every_trigger(shop):
    shop.init()
    shop.db.execute("drop schema dbsync cascade")
    insert(shop)
    shop.db.execute(
        "update billing.invoice set number = default; delete from billing.customer; truncate billing.invoice cascade"
    )
    assert shop.db.execute("select count(*) from pg_trigger where tgname like '%dbsync%'").fetchone() == (0,)


@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_another_key_is_filled_under_another_name_while_the_old_table_is_read(shop):
    insert(shop)
    shop.init()
    shop.sync()
    text = shop.files["invoices.yaml"].replace("mapping: invoices", "mapping: invoices_2")
    (shop.directory / "invoices_2.yaml").write_text(text.replace("key: [number]", "key: [number, amount]"))
    shop.pipeline = Pipeline(shop.pipeline.settings)
    shop.init()
    old = shop.view("number, amount")
    assert len(old) == 2

    assert drain(shop.pipeline, Selection()).rows == 2

    assert shop.view("number, amount") == old
    (found,) = verify(shop.pipeline, Choice(mappings=["invoices_2"]), patience_seconds=0)
    assert (found.differing, found.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("file", "before", "after", "refused"),
    [
        ("invoices.yaml", "key: [number]", "key: [number, amount]", "is keyed by"),
        ("invoices.yaml", "type: date, nullable: true", "type: date, default: \"'1970-01-01'\"", "column due_on is"),
        ("_tenancy.yaml", "columns:", "columns:\n  - {name: customer, source: name}", "is keyed by"),
        ("invoices.yaml", "  - {name: details, source: details, type: json, nullable: true}\n", "", None),
        ("invoices.yaml", "status <> 'draft'", "status <> 'void'", None),
    ],
)
@pytest.mark.parametrize("shop", ["text"], indirect=True)
def test_changes_that_are_rolled_out_and_those_that_are_refused(shop, file, before, after, refused):
    insert(shop)
    shop.init()
    shop.sync()
    assert before in shop.files[file]
    (shop.directory / file).write_text(shop.files[file].replace(before, after))
    shop.pipeline = Pipeline(shop.pipeline.settings)
    if refused is not None:
        with pytest.raises(IncompatibleTargetError, match=refused):
            shop.init()
        return
    with pytest.raises(NotInstalledError, match="not what is installed"):
        shop.sync()
    shop.init()
    assert shop.sync() >= 2
