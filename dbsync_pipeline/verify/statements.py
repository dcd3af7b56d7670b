"""The SELECTs that verification asks a database, the same questions in Postgres and in ClickHouse.

A row is reduced to one text of all its columns, in which every value stands with its length, and that to 64 bits of
its MD5. The sum of these does not depend on order, and one altered value changes it. `Rows` are the rows of one
mapping on one side; from coarse to fine they are summed up by tenancy, by bucket of keys, and listed one by one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.postgres.tables import SEQUENCE, TENANCY, ExternalTables
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
    column,
    expression,
    join_clause,
    joined,
    ours,
    row_filter,
    table_name,
    tenancy_value,
)
from dbsync_pipeline.mappings.spec import Column, DestinationKind, SyncMapping
from dbsync_pipeline.mappings.types import data_type

MOST_BUCKETS = 1 << 16


@dataclass(frozen=True)
class Buckets:
    """Some of the buckets into which keys are divided; `count` is a power of two."""

    count: int = 1
    chosen: tuple[int, ...] | None = None


class Rows(ABC):
    """The questions about one mapping on one side; tenancies and keys come and go as text."""

    @abstractmethod
    def sums(self) -> sql.Composed | str:
        """Return the SELECT of (tenancy, rows, sum of hashes)."""

    @abstractmethod
    def buckets(self, count: int) -> sql.Composed | str:
        """Return the SELECT of (bucket, rows, sum of hashes), over all tenancies."""

    @abstractmethod
    def hashes(self, buckets: Buckets) -> sql.Composed | str:
        """Return the SELECT of (tenancy, key, hash), a line a row."""


def column_names(catalog: Catalog, mapping: SyncMapping, kind: DestinationKind) -> list[str]:
    """Return the names of the columns that are compared, in the order of their texts."""
    tenancy = [entry.name for entry in catalog.tenancy.columns] if kind == "clickhouse" else []
    return [*tenancy, *(entry.name for entry in mapping.columns_for(kind))]


def source_texts(catalog: Catalog, mapping: SyncMapping, kind: DestinationKind) -> list[str]:
    """Return the text of every column that is compared, over the mapping's source and `tenancy`."""
    texts = [_postgres_text(entry, entry.converted) for entry in mapping.columns_for(kind)]
    if kind == "clickhouse":
        texts = [*(f"(tenancy.columns->>'{entry.name}')" for entry in catalog.tenancy.columns), *texts]
    return texts


def source_key(mapping: SyncMapping) -> list[str]:
    """Return the text of every key column, over the mapping's source."""
    return [entry.data_type.checksum(entry.converted) for entry in mapping.key_columns]


class PostgresRows(Rows):
    """Rows of a mapping in Postgres.

    Args:
        owner: SQL of the tenancy.
        key: SQL of the text of each key column.
        texts: SQL of the text of each column.
        rows: what follows `from`.
    """

    def __init__(self, owner: sql.Composable, key: Sequence[str], texts: Sequence[str], rows: sql.Composable) -> None:
        self._owner = owner
        self._key = key
        self._texts = texts
        self._rows = rows
        self._hash = _postgres_hash(expression(_postgres_canonical(texts)), 16, 64)

    def sums(self) -> sql.Composed:
        """Return the SELECT of (tenancy, rows, sum of hashes)."""
        return sql.SQL(
            "select tenancy_id::text, count(*), sum(hash) from (select {owner} as tenancy_id, {hash} as hash "
            "from {rows}) as hashed group by tenancy_id"
        ).format(owner=self._owner, hash=self._hash, rows=self._rows)

    def buckets(self, count: int) -> sql.Composed:
        """Return the SELECT of (bucket, rows, sum of hashes)."""
        return sql.SQL(
            "select bucket, count(*), sum(hash) from (select {bucket} as bucket, {hash} as hash from {rows}) as hashed "
            "group by bucket"
        ).format(bucket=self._bucket(count), hash=self._hash, rows=self._rows)

    def hashes(self, buckets: Buckets) -> sql.Composed:
        """Return the SELECT of (tenancy, key, hash)."""
        which = sql.SQL("")
        if buckets.chosen is not None:
            which = sql.SQL("where bucket = any({})").format(sql.Literal(list(buckets.chosen)))
        return sql.SQL(
            "select tenancy_id::text, key, hash from (select {owner} as tenancy_id, {key} as key, {hash} as hash, "
            "{bucket} as bucket from {rows}) as hashed {which}"
        ).format(
            owner=self._owner,
            key=text_array(self._key),
            hash=self._hash,
            bucket=self._bucket(buckets.count),
            rows=self._rows,
            which=which,
        )

    def _bucket(self, count: int) -> sql.Composed:
        return sql.SQL("{} & {}").format(
            _postgres_hash(expression(_postgres_canonical(self._key)), 4, 16), sql.Literal(count - 1)
        )


def source_rows(
    catalog: Catalog,
    mapping: SyncMapping,
    kind: DestinationKind,
    columns: SyncColumns,
    *,
    destination_id: str,
    tenancies: Sequence[str] | None,
) -> PostgresRows:
    """Return the rows that the source has for a destination: those it has been given, and those without a number."""
    owner = tenancy_value(mapping) if mapping.tenancy.column is None else column(mapping.tenancy.column)
    whose = sql.SQL("")
    if tenancies is not None:
        whose = sql.SQL(" and tenancy.tenancy_id = any({}::{}[])").format(
            sql.Literal(list(tenancies)), expression(data_type(catalog.tenancy.type).postgres)
        )
    rows = sql.SQL(
        "{table} as source {joins} join {tenancies} as tenancy on tenancy.tenancy_id = {owner} "
        "left join {pending} as pair on pair.destination_id = {destination} and pair.mapping_id = {mapping} "
        "and pair.tenancy_id = tenancy.tenancy_id "
        "where tenancy.deleted_at is null{whose} and {filter} "
        "and ({sequence} is null or {sequence} <= coalesce(pair.reached, 0))"
    ).format(
        table=table_name(mapping.source),
        joins=joined((join_clause(join) for join in mapping.joins), " "),
        tenancies=ours("tenancy"),
        owner=owner,
        pending=ours("pending"),
        destination=sql.Literal(destination_id),
        mapping=sql.Literal(mapping.mapping_id),
        whose=whose,
        filter=row_filter(mapping),
        sequence=column(columns.sequence),
    )
    return PostgresRows(sql.SQL("tenancy.tenancy_id"), source_key(mapping), source_texts(catalog, mapping, kind), rows)


class ExternalRows(PostgresRows):
    """Rows of a mapping in an external database, of one tenancy."""

    def __init__(self, mapping: SyncMapping, external: ExternalTables, tenancy_id: str) -> None:
        self._mapping = mapping
        self._tenancy_id = tenancy_id
        self._table = external.table(mapping)
        self._checkpoint = external.checkpoint
        self._owned = sql.SQL("{} = {}::{}").format(
            column(TENANCY, "target"), sql.Literal(tenancy_id), expression(external.tenancy_type)
        )
        super().__init__(
            column(TENANCY, "target"),
            [entry.data_type.checksum(f'target."{entry.name}"') for entry in mapping.key_columns],
            [_postgres_text(entry, f'target."{entry.name}"') for entry in mapping.columns_for("postgres")],
            sql.SQL("{} as target where {}").format(self._table, self._owned),
        )

    def texts(self, keys: Iterable[Sequence[str]]) -> sql.Composed:
        """Return the SELECT of (tenancy, key, sequence id, texts) of rows with some keys."""
        return sql.SQL("select {owner}::text, {key}, {sequence}, {texts} from {rows} and {key} in ({keys})").format(
            owner=self._owner,
            key=text_array(self._key),
            sequence=column(SEQUENCE, "target"),
            texts=text_array(self._texts),
            rows=self._rows,
            keys=joined(sql.Literal(list(key)) for key in keys),
        )

    def newest(self) -> sql.Composed:
        """Return the SELECT of (tenancy, sequence id) of the highest one there is, of rows and the checkpoint."""
        return sql.SQL(
            "select {tenancy}, greatest((select max({sequence}) from {rows}), "
            "(select sequence_id from {checkpoint} as target where {owned} and mapping_id = {mapping}))"
        ).format(
            tenancy=sql.Literal(self._tenancy_id),
            sequence=column(SEQUENCE, "target"),
            rows=self._rows,
            checkpoint=self._checkpoint,
            owned=self._owned,
            mapping=sql.Literal(self._mapping.mapping_id),
        )

    def strangers(self, limit: int) -> sql.Composed:
        """Return the SELECT of (tenancy, key) of rows that nobody delivers there."""
        return sql.SQL(
            "select {owner}::text, {key} from {table} as target "
            "where not exists (select from {checkpoint} as known where known.tenancy_id = {owner}) limit {limit}"
        ).format(
            owner=self._owner,
            key=text_array(self._key),
            table=self._table,
            checkpoint=self._checkpoint,
            limit=sql.Literal(limit),
        )


class ClickHouseRows(Rows):
    """Rows of a mapping in ClickHouse, as its view shows them.

    Args:
        catalog: the mappings in use.
        mapping: the one in question.
        names: where things are.
        condition: SQL over the tenancy.
    """

    _TENANCY_TEXT = f"toString({tables.TENANCY})"

    def __init__(
        self, catalog: Catalog, mapping: SyncMapping, names: tables.ClickHouseNames, condition: str = "true"
    ) -> None:
        self._texts = [tables.name(entry.name) for entry in catalog.tenancy.columns]
        self._texts += [_clickhouse_text(entry) for entry in mapping.columns_for("clickhouse")]
        self._key = [entry.data_type.clickhouse_checksum(tables.name(entry.name)) for entry in mapping.key_columns]
        # Aliases of ours begin as no column of a mapping may.
        self._hash = f"reinterpretAsInt64({_clickhouse_hash(self._texts, 8)}) as sync_hash"
        # All versions of a row have its tenancy, so the others are neither read nor merged; with FINAL, ClickHouse does
        # that only where it is asked to.
        self._rows = f"{names.table(mapping)} final prewhere {condition} where {tables.DELETED} = 0"
        self._numbers = (
            f"(select {self._TENANCY_TEXT} as sync_tenancy, {tables.SEQUENCE} as sync_number "  # noqa: S608 -- our own names
            f"from {names.table(mapping)} where {condition} union all "
            f"select {self._TENANCY_TEXT}, sequence_id from {names.checkpoint} "
            f"where mapping_id = {tables.literal(mapping.mapping_id)} and {condition})"
        )
        self._array = f"[{', '.join(self._key)}]"

    def sums(self) -> str:
        """Return the SELECT of (tenancy, rows, sum of hashes)."""
        return (
            f"select {self._TENANCY_TEXT}, count(), sum(toInt256(sync_hash)) from ("  # noqa: S608 -- our own names
            f"select {tables.TENANCY}, {self._hash} from {self._rows}) group by {tables.TENANCY}"
        )

    def buckets(self, count: int) -> str:
        """Return the SELECT of (bucket, rows, sum of hashes)."""
        return (
            f"select sync_bucket, count(), sum(toInt256(sync_hash)) from ("  # noqa: S608 -- our own names
            f"select {self._bucket(count)}, {self._hash} from {self._rows}) group by sync_bucket"
        )

    def hashes(self, buckets: Buckets) -> str:
        """Return the SELECT of (tenancy, key, hash)."""
        which = "" if buckets.chosen is None else f" and sync_bucket in ({', '.join(map(str, buckets.chosen))})"
        return (
            f"select {self._TENANCY_TEXT} as sync_tenancy, {self._array} as sync_key, {self._hash} "  # noqa: S608 -- our own names
            f"from (select *, {self._bucket(buckets.count)} from {self._rows}{which})"
        )

    def texts(self, keys: Iterable[Sequence[str]]) -> str:
        """Return the SELECT of (tenancy, key, sequence id, texts) of rows with some keys, whosever they are."""
        wanted = ", ".join(f"[{', '.join(map(tables.literal, key))}]" for key in keys)
        texts = ", ".join(f"cast({text}, 'Nullable(String)')" for text in self._texts)
        return (
            f"select {self._TENANCY_TEXT} as sync_tenancy, {self._array} as sync_key, {tables.SEQUENCE}, "  # noqa: S608 -- our own names
            f"[{texts}] as sync_texts from {self._rows} and {self._array} in ({wanted})"
        )

    def newest(self) -> str:
        """Return the SELECT of (tenancy, sequence id) of the highest one there is, of rows and checkpoints."""
        return (
            f"select sync_tenancy, sync_number from {self._numbers} "  # noqa: S608 -- our own names
            f"order by sync_number desc limit 1 {tables.EVERY_VERSION}"
        )

    def _bucket(self, count: int) -> str:
        return f"bitAnd(reinterpretAsUInt16({_clickhouse_hash(self._key, 2)}), {count - 1}) as sync_bucket"


def text_array(texts: Iterable[str]) -> sql.Composable:
    """Return the SQL of an array of texts."""
    return expression(f"array[{', '.join(texts)}]::text[]")


def _postgres_canonical(texts: Iterable[str]) -> str:
    return " || ".join(f"coalesce(octet_length({text})::text || ':' || {text}, '-')" for text in texts)


def _postgres_hash(canonical: sql.Composable, digits: int, bits: int) -> sql.Composed:
    # Sixteen bits are read as a number without sign, as ClickHouse does; 64 have one on both sides.
    return sql.SQL("('x' || left(md5({}), {}))::bit({})::{}").format(
        canonical,
        sql.Literal(digits),
        sql.Literal(bits),
        sql.SQL("bigint" if bits == 64 else "integer"),  # noqa: PLR2004 -- bits
    )


def _clickhouse_hash(texts: Iterable[str], size: int) -> str:
    canonical = ", ".join(f"ifNull(concat(toString(length({text})), ':', {text}), '-')" for text in texts)
    return f"reverse(substring(MD5(concat('', {canonical})), 1, {size}))"


def _postgres_text(entry: Column, value: str) -> str:
    text = entry.data_type.checksum(value)
    for key in entry.unverified_json_keys:
        text = f"regexp_replace({text}, '{_json_member(key)}', '')"
    return text


def _clickhouse_text(entry: Column) -> str:
    text = entry.data_type.clickhouse_checksum(tables.name(entry.name))
    for key in entry.unverified_json_keys:
        text = f"replaceRegexpOne({text}, {tables.literal(_json_member(key))}, '')"
    return text


def _json_member(key: str) -> str:
    """A pattern, the same for both databases, of a member of an object as jsonb prints it."""
    return f'"{key}": [^,}}]*'
