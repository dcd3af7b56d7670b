-- The bookkeeping of that earlier sync: tombstones written by the application, its queue, its switches.

create table "DeletedRow" (
    "id" uuid not null,
    "tenancyId" uuid not null,
    "tableName" text not null,
    "primaryKey" jsonb not null,
    "data" jsonb,
    "deletedAt" timestamp(3) not null default current_timestamp,
    "startedFulfillingAt" timestamp(3),
    "sequenceId" bigint,
    "shouldUpdateSequenceId" boolean not null default true,
    constraint "DeletedRow_pkey" primary key ("id")
);

create unique index "DeletedRow_sequenceId_key" on "DeletedRow" ("sequenceId");
create index "DeletedRow_shouldUpdateSequenceId_tenancyId_idx"
    on "DeletedRow" ("shouldUpdateSequenceId", "tenancyId");
create index "DeletedRow_tenancyId_tableName_sequenceId_idx"
    on "DeletedRow" ("tenancyId", "tableName", "sequenceId");

create table "OutgoingRequest" (
    "id" uuid not null,
    "qstashOptions" jsonb not null,
    "startedFulfillingAt" timestamp(3),
    "deduplicationKey" text,
    "createdAt" timestamp(3) not null default current_timestamp,
    constraint "OutgoingRequest_pkey" primary key ("id")
);

create unique index "OutgoingRequest_deduplicationKey_pending_key"
    on "OutgoingRequest" ("deduplicationKey") where "startedFulfillingAt" is null;
create index "OutgoingRequest_startedFulfillingAt_createdAt_idx"
    on "OutgoingRequest" ("startedFulfillingAt", "createdAt");
create index "OutgoingRequest_startedFulfillingAt_deduplicationKey_idx"
    on "OutgoingRequest" ("startedFulfillingAt", "deduplicationKey");

create table "ExternalDbSyncMetadata" (
    "id" text not null default gen_random_uuid(),
    "singleton" "BooleanTrue" not null default 'TRUE',
    "sequencerEnabled" boolean not null default true,
    "pollerEnabled" boolean not null default true,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "ExternalDbSyncMetadata_pkey" primary key ("id")
);

create unique index "ExternalDbSyncMetadata_singleton_key" on "ExternalDbSyncMetadata" ("singleton");
