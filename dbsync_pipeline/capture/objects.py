"""The tables of schema `dbsync` in the source database: all the state there is outside the destinations.

Read together they are the pipeline's data model; the triggers, the sequencer and the pending queue only move rows
between them. No table holds a value of the application's other than identifying columns (invariant I10).
"""

import psycopg
from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.types import data_type

_TABLES = """
create schema if not exists dbsync;
revoke all on schema dbsync from public;

-- Every id a row or a tombstone gets, over all tables: one total order (invariant I1).
create sequence if not exists dbsync.sequence_id as bigint;

-- How far the order is complete: readers of a snapshot may go up to here and no further.
create table if not exists dbsync.sequencer (
    singleton boolean primary key default true check (singleton),
    last_sequence_id bigint not null default 0,
    paused boolean not null default false
);
insert into dbsync.sequencer default values on conflict do nothing;

-- The tenancies there are, and those whose rows still have to leave the destinations. `former` holds every other value
-- `columns` ever had: what a destination may still keep under it is gone.
create table if not exists dbsync.tenancy (
    tenancy_id {tenancy_type} primary key,
    columns jsonb not null,
    former jsonb not null default '[]',
    created_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz
);

-- A row that is gone, or left its mapping or tenancy. Every index here and on `touch` is paid for by the application.
create table if not exists dbsync.tombstone (
    tombstone_id bigint generated always as identity,
    mapping_id text not null,
    tenancy_id {tenancy_type},
    identity jsonb not null,
    sequence_id bigint,
    created_at timestamptz not null default clock_timestamp()
);

-- A change of a table that feeds a mapping: `match` says which of the mapping's rows to send again, `upto` which of
-- them have not been: those with no higher id. The sequencer sets it when it has to come back for more of them.
create table if not exists dbsync.touch (
    touch_id bigint generated always as identity,
    dependant_id text not null,
    match jsonb not null,
    upto bigint
);

-- What of a mapping no trigger could capture, as the application has changed a column under it: that rows are gone, or
-- that rows are to be sent again; which ones is not known. The sequencer makes up for it once the mapping fits again.
create table if not exists dbsync.missed (
    mapping_id text not null,
    what text not null check (what in ('deletion', 'change')),
    transaction_id xid8 not null default pg_current_xact_id(),
    reason text not null,
    missed_at timestamptz not null default clock_timestamp(),
    primary key (mapping_id, what, transaction_id)
);

-- Where a row was last delivered to, for mappings whose rows come and go with another table.
create table if not exists dbsync.placement (
    mapping_id text not null,
    identity jsonb not null,
    tenancy_id {tenancy_type} not null,
    sequence_id bigint not null,
    primary key (mapping_id, identity)
);

-- Where copies are kept: all tenancies in ClickHouse, and one tenancy each in the databases that its owner configured,
-- of some mappings or of all. `connection` is a libpq connection string or `env:NAME` or `file:NAME`, where one is.
-- What is not announced yet, or not as it is now, the sequencer makes pending.
create table if not exists dbsync.destination (
    destination_id text collate "C" primary key,
    kind text not null default 'postgres' check (kind in ('clickhouse', 'postgres')),
    tenancy_id {tenancy_type},
    name text not null default 'main',
    connection text,
    mappings text[],
    enabled boolean not null default true,
    announced boolean not null default false,
    unique (tenancy_id, name),
    check (kind <> 'postgres' or tenancy_id is not null and connection is not null)
);

-- What has to be delivered: everything with wanted > reached. A claim is a lease; `claims` counts all there ever were.
-- `epoch` grows when a resync is asked, which also ends the lease.
create table if not exists dbsync.pending (
    tenancy_id {tenancy_type} not null,
    mapping_id text not null,
    destination_id text collate "C" not null,
    wanted bigint not null,
    reached bigint not null default 0,
    epoch integer not null default 0,
    pending_since timestamptz not null default clock_timestamp(),
    lease_worker integer,
    lease_until timestamptz,
    attempts integer not null default 0,
    claims bigint not null default 0,
    next_attempt_at timestamptz not null default '-infinity',
    last_error text,
    paused boolean not null default false,
    primary key (destination_id, tenancy_id, mapping_id)
) with (fillfactor = 70);

-- How much has been delivered, and how often that failed, since ever. Each worker adds to one of a few places, so that
-- they do not wait for each other.
create table if not exists dbsync.delivered (
    kind text not null,
    mapping_id text not null,
    place integer not null,
    upserted bigint not null,
    deleted bigint not null,
    failed bigint not null,
    last_at timestamptz,
    primary key (kind, mapping_id, place)
) with (fillfactor = 50);

-- What is not to be delivered while its row is here: NULL means any. It holds for pairs that become pending later, too.
create table if not exists dbsync.pause (
    destination_id text collate "C" references dbsync.destination on delete cascade,
    tenancy_id {tenancy_type},
    mapping_id text,
    paused_at timestamptz not null default clock_timestamp()
);

-- Up to where tombstones may be gone. Who has not come so far cannot learn from those that are left what was deleted.
create table if not exists dbsync.purged (
    tenancy_id {tenancy_type} not null,
    mapping_id text not null,
    sequence_id bigint not null,
    primary key (tenancy_id, mapping_id)
);

-- What the last comparison of a tenancy's rows in one copy came to: up to which sequence id, and how many rows. There
-- is no foreign key to `tenancy`: whoever adds one waits for the application. Who writes here sees to it instead.
create table if not exists dbsync.verified (
    destination_id text collate "C" not null references dbsync.destination on delete cascade,
    tenancy_id {tenancy_type} not null,
    mapping_id text not null,
    verified_at timestamptz not null,
    sequence_id bigint not null,
    source_rows bigint not null,
    destination_rows bigint not null,
    differing bigint not null,
    waiting bigint not null,
    primary key (destination_id, tenancy_id, mapping_id)
) with (fillfactor = 70);

-- What `dbsync init` installed for each table and mapping, so that the next one changes only what differs.
create table if not exists dbsync.installed (
    object_id text primary key,
    fingerprint text not null,
    installed_at timestamptz not null default clock_timestamp()
);

-- `create index if not exists` would wait for the table's writers, and hold up all that come after it, before it looks.
do $dbsync$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('tombstone_unnumbered', 'tombstone (mapping_id, tombstone_id) where sequence_id is null'),
            ('tombstone_numbered', 'tombstone (tenancy_id, mapping_id, sequence_id) where sequence_id is not null'),
            ('touch_waiting', 'touch (dependant_id, touch_id)'),
            ('placement_delivery', 'placement (tenancy_id, mapping_id, sequence_id)'),
            ('pending_due', 'pending (destination_id, pending_since) where wanted > reached and not paused'),
            ('destination_unannounced', 'destination (destination_id) where not announced')
        ) as list (name, definition)
    loop
        if to_regclass('dbsync.' || wanted.name) is null then
            execute format('create index %I on dbsync.%s', wanted.name, wanted.definition);
        end if;
    end loop;
    if not exists (select from pg_trigger where tgrelid = 'dbsync.destination'::regclass and not tgisinternal) then
        create function dbsync.destination_changed() returns trigger language plpgsql
        set search_path = pg_catalog, pg_temp as $body$
        begin
            if tg_op = 'INSERT' and new.kind = 'postgres' then
                new.destination_id := format('postgres:%s:%s', new.tenancy_id, new.name);
            elsif tg_op = 'UPDATE' then
                new.announced := false;
            end if;
            return new;
        end $body$;
        create trigger changed
            before insert or update of tenancy_id, connection, mappings, enabled on dbsync.destination
            for each row execute function dbsync.destination_changed();
    end if;
end
$dbsync$;

-- Text that may or may not be a UUID, for mappings that join by one.
create or replace function dbsync.uuid_or_null(value text) returns uuid
language sql immutable strict parallel safe as
$$ select case when value ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' then value::uuid end $$;
"""


def tables(catalog: Catalog) -> sql.Composed:
    """Return the statements that create whatever of the schema is missing."""
    return sql.SQL(_TABLES).format(tenancy_type=sql.SQL(data_type(catalog.tenancy.type).postgres))  # pyright: ignore[reportArgumentType] -- from the type table


# No foreign key: whoever makes a row pending would wait for a transaction that removes a destination, and with it
# everybody for the sequencer. What waits for one that is gone goes when that transaction ends, in the order of everyone
# else who changes several of these rows.
_REMOVAL = """
create or replace function dbsync.destination_removed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $body$
begin
    delete from dbsync.pending where (destination_id, tenancy_id, mapping_id) in (
        select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
        where p.destination_id = old.destination_id
            and not exists (select from dbsync.destination d where d.destination_id = old.destination_id)
        order by p.tenancy_id, p.mapping_id for update
    );
    return null;
end $body$;
create constraint trigger removed after delete on dbsync.destination
    deferrable initially deferred for each row execute function dbsync.destination_removed();
alter table dbsync.pending drop constraint if exists pending_destination_id_fkey;
"""


def removal(connection: psycopg.Connection) -> sql.SQL | None:
    """Return the statements that have pending rows go with their destination, where that is not so yet."""
    present = "select from pg_trigger where tgrelid = to_regclass('dbsync.destination') and tgname = 'removed'"
    return None if connection.execute(present).fetchone() is not None else sql.SQL(_REMOVAL)


def sync_columns(table: sql.Composable, sequence_column: str, dirty_column: str) -> sql.Composed:
    """Return the statement that gives a table of the application its two sync columns, where it lacks them."""
    return sql.SQL(
        "alter table {table} add column if not exists {sequence} bigint, "
        "add column if not exists {dirty} boolean not null default true"
    ).format(table=table, sequence=sql.Identifier(sequence_column), dirty=sql.Identifier(dirty_column))
