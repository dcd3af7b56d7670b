"""The live source is read as it is, and a mapping that does not fit it is refused with file, line and reason."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.catalog import Catalog, load_catalog
from dbsync_pipeline.mappings.explain import explain_mapping
from dbsync_pipeline.mappings.schema import check_catalog, read_schema
from dbsync_pipeline.mappings.spec import Table
from dbsync_pipeline.source import connect

SHOP = """
    create table "Shop" ("id" uuid primary key, "name" text not null, "note" text);
    create table "Customer" ("shopId" uuid not null, "id" uuid not null, primary key ("shopId", "id"));
    create type "Yes" as enum ('TRUE');
    create table "Order" (
        "shopId" uuid not null,
        "id" bigint not null,
        "customerId" uuid,
        "code" text not null,
        "nickname" text,
        "details" jsonb not null,
        "price" numeric not null,
        "tax" numeric,
        "total" numeric generated always as ("price" + "tax") stored,
        "first" "Yes",
        constraint "Order_id" unique ("shopId", "id")
    );
    create unique index "Order_first" on "Order" ("shopId", "customerId", "first");
    create unique index "Order_nickname" on "Order" ("shopId", "nickname");
    create unique index "Order_partial" on "Order" ("code") where "price" > 0;
    create unique index "Order_expression" on "Order" ("shopId", lower("code"));
    create unique index "Order_including" on "Order" ("id", "code") include ("tax");
    create index "Order_details" on "Order" using gin ("details");
    alter table "Order" add constraint "Order_deferred" unique ("shopId", "code") deferrable;
    create table "Line" ("orderId" bigint not null, "shopId" uuid not null, "amount" integer not null);
    create view "Seen" as select * from "Order";
    create schema sales;
    create table sales."Order" ("id" bigint primary key);
"""
TENANCY = """\
table: Shop
id: id
columns:
  - {name: shop_name, source: name}
"""
ORDERS = """\
mapping: orders
description: Orders.
source: Order
tenancy: {column: shopId}
key: [id]
columns:
  - {name: id, source: id, type: bigint}
"""

JOIN = """
joins:
  - alias: customer
    table: Customer
    on: {shopId: shopId, id: customerId}
"""


@pytest.fixture
def source(source_url: str) -> Iterator[psycopg.Connection]:
    with connect(source_url) as connection:
        yield connection


@pytest.fixture
def shop(source: psycopg.Connection) -> psycopg.Connection:
    source.execute(SHOP)
    return source


def _catalog(directory: Path, orders: str = ORDERS, tenancy: str = TENANCY) -> Catalog:
    (directory / "_tenancy.yaml").write_text(tenancy)
    (directory / "orders.yaml").write_text(orders)
    return load_catalog(str(directory))


def _check(source: psycopg.Connection, catalog: Catalog) -> None:
    check_catalog(catalog, read_schema(source, catalog))


def test_the_built_in_mappings_fit_the_application(source):
    create_schema(source)
    _check(source, load_catalog())


def test_the_built_in_mappings_fit_an_application_that_marks_its_own_rows(source):
    create_schema(source, legacy=True)
    _check(source, load_catalog())


def test_every_built_in_expression_has_its_type(source):
    create_schema(source)
    source.execute("create schema dbsync")
    source.execute("create function dbsync.uuid_or_null(text) returns uuid language sql return $1::uuid")
    catalog = load_catalog()
    for mapping in catalog.mappings:
        explain_mapping(source, catalog, mapping)


def test_what_is_read(shop, tmp_path):
    catalog = _catalog(tmp_path)
    order = read_schema(shop, catalog).table(catalog.mapping("orders").source)
    assert order.columns["id"].type == "bigint"
    assert order.columns["first"].type == '"Yes"'
    assert [name for name, column in order.columns.items() if not column.nullable] == [
        *("shopId", "id", "code", "details", "price"),
    ]
    assert order.columns["total"].generated_from == ("price", "tax")
    assert order.columns["price"].generated_from == ()
    assert order.primary_key == ()
    assert set(order.unique_keys) == {
        frozenset({"shopId", "id"}),
        frozenset({"shopId", "customerId", "first"}),
        frozenset({"shopId", "nickname"}),
        frozenset({"id", "code"}),
    }
    assert set(order.indexes) == {
        *(("shopId", "id"), ("shopId", "customerId", "first"), ("shopId", "nickname"), ("id", "code")),
        *(("shopId",), ("shopId", "code")),
    }


def test_an_interrupted_index_does_not_count(shop, tmp_path):
    shop.execute("insert into \"Shop\" values (gen_random_uuid(), 'a'), (gen_random_uuid(), 'a')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop.execute('create unique index concurrently "Shop_name" on "Shop" ("name")')
    table = read_schema(shop, _catalog(tmp_path)).tables[Table.model_validate("Shop")]
    assert (table.primary_key, table.unique_keys, table.indexes) == (("id",), (frozenset({"id"}),), (("id",),))


def test_a_table_that_is_not_there(shop, tmp_path):
    with pytest.raises(MappingError, match="the source has no table Nowhere"):
        read_schema(shop, _catalog(tmp_path)).table(Table.model_validate("Nowhere"))


FIRST = """
joins:
  - alias: first
    table: Order
    on: {shopId: shopId, customerId: customerId}
    match: {first: 'TRUE'}
"""
TYPES = """
    create schema fold;
    create type fold.word;
    create function fold.word_in(cstring) returns fold.word language internal immutable strict as 'textin';
    create function fold.word_out(fold.word) returns cstring language internal immutable strict as 'textout';
    create type fold.word (input = fold.word_in, output = fold.word_out, like = text);
    create cast (fold.word as text) without function as implicit;
    create function fold.same(fold.word, fold.word) returns boolean language sql immutable
        return lower($1::text) = lower($2::text);
    create operator fold.= (leftarg = fold.word, rightarg = fold.word, function = fold.same);
    create type fold.pair as (a integer, b integer);
    create function fold.odd(fold.pair, integer) returns boolean language sql immutable return ($1).a = $2;
    create operator fold.= (leftarg = fold.pair, rightarg = integer, function = fold.odd);
    alter table "Order" add "kind" fold.word, add "pair" fold.pair;
    alter table "Customer" add "kind" fold.word;
    set search_path = public, fold;
"""


@pytest.mark.parametrize(
    ("addition", "line", "reason"),
    [
        ("filter: source.kind = 'gold'", 8, "it means something else on the triggers' search path"),
        ("filter: source.pair = 1", 8, "operator does not exist: fold.pair = integer on the triggers' search path"),
        (JOIN + "    match: {kind: gold}", 13, "it means something else on the triggers' search path"),
        ("filter: source.kind operator(fold.=) 'gold'", 0, ""),
        ("filter: source.kind::text = 'gold'", 0, ""),
        (FIRST, 0, ""),
    ],
)
def test_what_means_something_else_to_the_triggers(shop, tmp_path, addition, line, reason):
    """Such are the types of extensions: citext, hstore, vector."""
    shop.execute(TYPES)
    catalog = _catalog(tmp_path, ORDERS + addition)
    if not reason:
        explain_mapping(shop, catalog, catalog.mapping("orders"))
        return
    with pytest.raises(MappingError) as caught:
        explain_mapping(shop, catalog, catalog.mapping("orders"))
    assert caught.value.what == f"{tmp_path / 'orders.yaml'}:{line}: {reason}"
    assert "operator(public.=)" in caught.value.mend


VIRTUAL = """
    alter table "Order" add "gross" numeric not null generated always as ("price" * 2) virtual;
    alter table "Customer" add "tier" text generated always as ("id"::text) virtual;
"""


@pytest.mark.parametrize(
    ("mapping", "line", "name"),
    [
        (ORDERS + "filter: source.gross > 1", 8, "gross"),
        (ORDERS.replace("source: id", "source: gross"), 5, "gross"),
        (ORDERS.replace("column: shopId", "column: gross"), 4, "gross"),
        (ORDERS + JOIN.replace("customerId", "gross"), 12, "gross"),
        (ORDERS + JOIN.replace("id: customerId", "tier: customerId"), 12, "tier"),
        (ORDERS + JOIN + "    match: {tier: gold}", 13, "tier"),
    ],
    ids=["filter", "key", "tenancy", "on, of the source", "on", "match"],
)
def test_a_virtual_column_that_triggers_would_read(shop, tmp_path, mapping, line, name):
    shop.execute(VIRTUAL)
    with pytest.raises(MappingError) as caught:
        _check(shop, _catalog(tmp_path, mapping))
    assert caught.value.what.startswith(f"{tmp_path / 'orders.yaml'}:{line}: column {name!r} of table ")
    assert "triggers cannot see it" in caught.value.what
    assert "STORED" in caught.value.mend


PARTITION = """
    drop table "Customer";
    create table "All" ("shopId" uuid not null, "id" uuid not null) partition by list ("shopId");
    create table "Customer" partition of "All" (primary key ("shopId", "id")) default;
"""
TRIGGER = """
    create trigger {} {} insert or update on "{}" for each row execute function suppress_redundant_updates_trigger()
"""


@pytest.mark.parametrize(
    ("altered", "line", "reason", "mend"),
    [
        ('create table "Older" () inherits ("Order")', 3, "table Order is a partition, or inherits", "ordinary"),
        ('create table "All" (); alter table "Order" inherit "All"', 3, "table Order is a partition", "ordinary"),
        (PARTITION, 11, "table Customer is a partition", "ordinary"),
        ('create table "Mall" () inherits ("Shop")', 1, "table Shop is a partition", "ordinary"),
        (TRIGGER.format("zz_dbsync_stamp", "before", "Order"), 0, "", ""),
        (TRIGGER.format("zzz", "before", "Order"), 3, "trigger 'zzz' of table Order fires after", "below 'zz_dbsync_'"),
        (TRIGGER.format("zzz", "before", "Customer"), 11, "trigger 'zzz' of table Customer fires", "alter trigger"),
        (TRIGGER.format("zzz", "before", "Order") + '; alter table "Order" disable trigger zzz', 0, "", ""),
        (TRIGGER.format("zzz", "after", "Customer"), 0, "", ""),
        (TRIGGER.format("sets", "before", "Order"), 0, "", ""),
    ],
    ids=["parent", "child", "partition", "tenancies", "ours", "late", "late in a join", "off", "after", "early"],
)
def test_a_table_whose_changes_can_pass_unseen(shop, tmp_path, altered, *, line, reason, mend):
    shop.execute(altered)
    catalog = _catalog(tmp_path, ORDERS + JOIN)
    if not reason:
        _check(shop, catalog)
        return
    with pytest.raises(MappingError) as caught:
        _check(shop, catalog)
    file = "_tenancy.yaml" if "Shop" in reason else "orders.yaml"
    assert caught.value.what.startswith(f"{tmp_path / file}:{line}: {reason}")
    assert mend in caught.value.mend


LINES = """
joins:
  - alias: lines
    table: Line
    on: {orderId: id, shopId: shopId}
    aggregate: {amount: sum(lines."amount"), lines: count(*)}
"""


@pytest.mark.parametrize(
    "addition",
    [
        "  - {name: code, source: code, type: text}",
        "  - {name: nickname, source: nickname, type: text, nullable: true}",
        "  - {name: nickname, source: nickname, type: text, default: \"''\"}",
        "  - {name: details, source: details, type: json, default: \"'[]'\"}",
        "  - {name: built, value: \"jsonb_build_object('a', source.nickname)\", type: json}",
        "  - {name: nickname, source: nickname, type: text}\nfilter: source.nickname is not null",
        "  - {name: customer_id, value: customer.id, type: uuid}" + JOIN + "    required: true",
        "  - {name: customer_id, value: customer.id, type: uuid, nullable: true}" + JOIN,
        "  - {name: lines, value: lines.lines, type: count}" + LINES,
        "  - {name: amount, value: lines.amount, type: count, default: '0'}" + LINES,
        FIRST,
        JOIN.replace("Customer", "Order").replace("id: customerId", "id: id"),
    ],
)
def test_a_mapping_that_fits(shop, tmp_path, addition):
    catalog = _catalog(tmp_path, ORDERS + addition)
    _check(shop, catalog)
    explain_mapping(shop, catalog, catalog.mapping("orders"))


@pytest.mark.parametrize(
    ("change", "line", "reason", "mend"),
    [
        (("source: Order", "source: Orders"), 3, "the source has no table 'Orders'", "Did you mean 'Order'?"),
        (("source: Order", "source: shop.Order"), 3, "the source has no table 'shop.Order'", "'sales.Order'"),
        (("source: Order", "source: Seen"), 3, "the source has no table 'Seen'", "Only ordinary tables"),
        (("source: id", "source: shopid"), 7, "table Order has no column 'shopid'", "Did you mean 'shopId'?"),
        (("column: shopId", "column: shop"), 4, "table Order has no column 'shop'", "Did you mean 'shopId'?"),
        (("source: id", "source: customerId"), 5, "column 'customerId' of table Order can be NULL", "NOT NULL"),
        (("column: shopId", "column: customerId"), 4, "column 'customerId' of table Order can be NULL", "NOT NULL"),
        (
            ("source: id, type: bigint", "source: code, type: text"),
            5,
            "the key does not tell the rows of Order apart: no unique index lies within (shopId, code)",
            "unique there: (code, id), (customerId, first, shopId), (id, shopId), (nickname, shopId).",
        ),
        (
            ("column: shopId}", 'value: customer."shopId", scope: [customerId]}' + JOIN + "    required: true"),
            4,
            "column 'customerId' of table Order can be NULL",
            "NOT NULL",
        ),
    ],
)
def test_a_source_that_does_not_fit(shop, tmp_path, change, *, line, reason, mend):
    assert change[0] in ORDERS
    with pytest.raises(MappingError) as caught:
        _check(shop, _catalog(tmp_path, ORDERS.replace(*change)))
    assert caught.value.what.startswith(f"{tmp_path / 'orders.yaml'}:{line}: {reason}")
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    ("addition", "line", "reason", "mend"),
    [
        (
            "  - {name: price, value: source.prices + 1, type: numeric}",
            8,
            "table Order has no column 'prices'",
            "Did you mean 'price'?",
        ),
        ("filter: source.closed", 8, "table Order has no column 'closed'", "It has shopId, id,"),
        (JOIN.replace("Customer", "Customers"), 11, "the source has no table 'Customers'", "Did you mean 'Customer'?"),
        (JOIN.replace("id: customerId", "uid: customerId"), 12, "table Customer has no column 'uid'", "'id'"),
        (JOIN.replace("customerId", "customer"), 12, "table Order has no column 'customer'", "'customerId'"),
        (JOIN + "    match: {kind: A}", 13, "table Customer has no column 'kind'", "It has shopId, id."),
        (JOIN + "    quiet: [id, seenAt]", 13, "table Customer has no column 'seenAt'", "It has shopId, id."),
        (
            "  - {name: name, value: customer.name, type: text, nullable: true}" + JOIN,
            8,
            "table Customer has no column 'name'",
            "It has shopId, id.",
        ),
        (
            "  - {name: lines, value: lines.line, type: count}" + LINES,
            8,
            "join 'lines' has no aggregate 'line'",
            "Did you mean 'lines'?",
        ),
        (LINES.replace('lines."amount"', "lines.total"), 13, "table Line has no column 'total'", "It has orderId"),
        (
            JOIN.replace(", id: customerId", ""),
            10,
            "join 'customer' can find several rows of Customer for one of Order: no unique index lies within (shopId)",
            "declare an `aggregate`; unique there: (id, shopId).",
        ),
        (FIRST.replace("    match: {first: 'TRUE'}\n", ""), 10, "join 'first' can find several rows of Order", "(code"),
        (
            LINES.replace('    aggregate: {amount: sum(lines."amount"), lines: count(*)}\n', ""),
            10,
            "join 'lines' can find several rows of Line for one of Order",
            "unique there: nothing.",
        ),
        (
            "  - {name: nickname, source: nickname, type: text}",
            8,
            "column 'nickname' has to hold a value in every row, but can get NULL",
            "Add `nullable: true`, or a `default` that is not NULL.",
        ),
        (
            "  - {name: nickname, source: nickname, type: text}\nfilter: source.nickname is not null or source.id > 1",
            8,
            "column 'nickname' has to hold a value in every row, but can get NULL",
            "Add `nullable: true`",
        ),
        (
            "  - {name: nickname, source: nickname, type: text, default: 'null'}",
            8,
            "column 'nickname' has to hold a value in every row, but can get NULL",
            "that is not NULL",
        ),
        (
            "  - {name: details, source: details, type: json}",
            8,
            "column 'details' has to hold a value in every row, but can get NULL, or JSON null, which counts as NULL",
            "Add `nullable: true`",
        ),
        (
            "  - {name: customer_id, value: customer.id, type: uuid}" + JOIN,
            8,
            "column 'customer_id' has to hold a value in every row, but can get NULL",
            "Add `nullable: true`",
        ),
        (
            "  - {name: amount, value: lines.amount, type: count}" + LINES,
            8,
            "column 'amount' has to hold a value in every row, but can get NULL",
            "Add `nullable: true`",
        ),
    ],
)
def test_a_part_that_does_not_fit(shop, tmp_path, addition, *, line, reason, mend):
    with pytest.raises(MappingError) as caught:
        _check(shop, _catalog(tmp_path, ORDERS + addition))
    assert caught.value.what.startswith(f"{tmp_path / 'orders.yaml'}:{line}: {reason}")
    assert mend in caught.value.mend


def test_a_tenancy_that_can_be_null(shop, tmp_path):
    shop.execute('alter table "Customer" add "ownerId" uuid')
    owner = 'value: customer."ownerId", scope: [shopId]}' + JOIN + "    required: true"
    with pytest.raises(MappingError) as caught:
        _check(shop, _catalog(tmp_path, ORDERS.replace("column: shopId}", owner)))
    assert caught.value.what == f"{tmp_path / 'orders.yaml'}:4: the tenancy can be NULL"


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (("table: Shop", "table: Shops"), 1, "the source has no table 'Shops'"),
        (("id: id", "id: uid"), 2, "table Shop has no column 'uid'"),
        (("id: id", "id: name"), 2, "column 'name' does not tell the rows of Shop apart"),
        (("source: name", "source: label"), 4, "table Shop has no column 'label'"),
        (("source: name", "source: note"), 4, "column 'note' of table Shop can be NULL"),
    ],
)
def test_a_tenancy_table_that_does_not_fit(shop, tmp_path, change, line, reason):
    with pytest.raises(MappingError) as caught:
        _check(shop, _catalog(tmp_path, tenancy=TENANCY.replace(*change)))
    assert caught.value.what.startswith(f"{tmp_path / '_tenancy.yaml'}:{line}: {reason}")


@pytest.mark.parametrize(
    ("addition", "line", "reason"),
    [
        ("  - {name: code, value: source.code + 1, type: text}", 8, "operator does not exist: text + integer"),
        ("  - {name: code, source: details, type: uuid}", 8, "cannot cast type jsonb to uuid"),
        ("  - {name: tax, source: tax, type: numeric, default: \"'low'\"}", 8, "invalid input syntax for type numeric"),
        ("  - {name: code, value: no_such(source.code), type: text, nullable: true}", 8, "function no_such(text) does"),
        ("  - {name: code, value: max(source.code), type: text, nullable: true}", 8, 'column "source.shopId" must'),
        ("filter: source.code", 8, "argument of WHERE must be type boolean"),
        (JOIN.replace("customerId", "code"), 10, "operator does not exist: uuid = text"),
        (FIRST.replace("TRUE", "NO"), 10, "invalid input value for enum"),
    ],
)
def test_what_only_the_database_knows(shop, tmp_path, addition, line, reason):
    catalog = _catalog(tmp_path, ORDERS + addition)
    _check(shop, catalog)
    with pytest.raises(MappingError) as caught:
        explain_mapping(shop, catalog, catalog.mapping("orders"))
    assert caught.value.what.startswith(f"{tmp_path / 'orders.yaml'}:{line}: {reason}")


@pytest.mark.parametrize(
    ("table", "line", "domain", "reason"),
    [
        ("Order", 3, "not null", "domain word does not allow null values"),
        ("Customer", 11, "check (value is not null)", "value for domain word violates check constraint"),
        ("Order", 0, "check (value <> '')", ""),
    ],
)
def test_a_domain_without_null_cannot_be_rebuilt_from_a_tombstone(shop, tmp_path, table, *, line, domain, reason):
    """With the first deletion, nothing of the table would be numbered any more."""
    shop.execute(f'create domain word as text {domain}; alter table "{table}" add "word" word not null default \'x\'')
    catalog = _catalog(tmp_path, ORDERS + JOIN)
    _check(shop, catalog)
    if not reason:
        explain_mapping(shop, catalog, catalog.mapping("orders"))
        return
    with pytest.raises(MappingError) as caught:
        explain_mapping(shop, catalog, catalog.mapping("orders"))
    assert caught.value.what.startswith(f"{tmp_path / 'orders.yaml'}:{line}: table {table}: {reason}")


def test_a_tenancy_of_another_type(shop, tmp_path):
    catalog = _catalog(tmp_path, ORDERS.replace("column: shopId", "column: id"))
    with pytest.raises(MappingError, match=r"orders.yaml:4: cannot cast type bigint to uuid"):
        explain_mapping(shop, catalog, catalog.mapping("orders"))
