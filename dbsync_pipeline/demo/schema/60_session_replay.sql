-- Recorded sessions, uploaded in chunks. "refreshTokenId" has no foreign key: a replay outlives its session.

create table "SessionReplay" (
    "tenancyId" uuid not null,
    "id" uuid not null,
    "projectUserId" uuid not null,
    "refreshTokenId" uuid not null,
    "startedAt" timestamp(3) not null,
    "lastEventAt" timestamp(3) not null,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "SessionReplay_pkey" primary key ("tenancyId", "id"),
    constraint "SessionReplay_tenancyId_fkey" foreign key ("tenancyId")
        references "Tenancy" ("id") on delete cascade on update cascade,
    constraint "SessionReplay_tenancyId_projectUserId_fkey" foreign key ("tenancyId", "projectUserId")
        references "ProjectUser" ("tenancyId", "projectUserId") on delete cascade on update cascade
);

create index "SessionReplay_tenancyId_projectUserId_startedAt_idx"
    on "SessionReplay" ("tenancyId", "projectUserId", "startedAt");
create index "SessionReplay_tenancyId_lastEventAt_idx" on "SessionReplay" ("tenancyId", "lastEventAt");
create index "SessionReplay_tenancyId_refreshTokenId_updatedAt_idx"
    on "SessionReplay" ("tenancyId", "refreshTokenId", "updatedAt");

create table "SessionReplayChunk" (
    "id" uuid not null,
    "tenancyId" uuid not null,
    "sessionReplayId" uuid not null,
    "batchId" uuid not null,
    "sessionReplaySegmentId" text not null,
    "browserSessionId" text not null,
    "s3Key" text not null,
    "eventCount" integer not null,
    "byteLength" integer not null,
    "firstEventAt" timestamp(3) not null,
    "lastEventAt" timestamp(3) not null,
    "createdAt" timestamp(3) not null default current_timestamp,
    constraint "SessionReplayChunk_pkey" primary key ("id"),
    constraint "SessionReplayChunk_tenancyId_fkey" foreign key ("tenancyId")
        references "Tenancy" ("id") on delete cascade on update cascade,
    constraint "SessionReplayChunk_tenancyId_sessionReplayId_fkey" foreign key ("tenancyId", "sessionReplayId")
        references "SessionReplay" ("tenancyId", "id") on delete cascade on update cascade
);

create unique index "SessionReplayChunk_tenancyId_sessionReplayId_batchId_key"
    on "SessionReplayChunk" ("tenancyId", "sessionReplayId", "batchId");
create index "SessionReplayChunk_tenancyId_sessionReplayId_createdAt_idx"
    on "SessionReplayChunk" ("tenancyId", "sessionReplayId", "createdAt");
