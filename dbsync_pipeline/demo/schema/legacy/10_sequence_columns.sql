-- The sequence and the two columns that an application which marks its own changes carries on every synced table.

create sequence "global_seq_id" as bigint increment by 11 cache 1 no cycle;

alter table "ProjectUser"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "ProjectUser_sequenceId_key" on "ProjectUser" ("sequenceId");
create index "ProjectUser_shouldUpdateSequenceId_tenancyId_idx"
    on "ProjectUser" ("shouldUpdateSequenceId", "tenancyId");
create index "ProjectUser_tenancyId_sequenceId_idx" on "ProjectUser" ("tenancyId", "sequenceId");

alter table "ContactChannel"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "ContactChannel_sequenceId_key" on "ContactChannel" ("sequenceId");
create index "ContactChannel_shouldUpdateSequenceId_tenancyId_idx"
    on "ContactChannel" ("shouldUpdateSequenceId", "tenancyId");
create index "ContactChannel_tenancyId_sequenceId_idx" on "ContactChannel" ("tenancyId", "sequenceId");

alter table "Team"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "Team_sequenceId_key" on "Team" ("sequenceId");
create index "Team_shouldUpdateSequenceId_tenancyId_idx"
    on "Team" ("shouldUpdateSequenceId", "tenancyId");
create index "Team_tenancyId_sequenceId_idx" on "Team" ("tenancyId", "sequenceId");

alter table "TeamMember"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "TeamMember_sequenceId_key" on "TeamMember" ("sequenceId");
create index "TeamMember_shouldUpdateSequenceId_tenancyId_idx"
    on "TeamMember" ("shouldUpdateSequenceId", "tenancyId");
create index "TeamMember_tenancyId_sequenceId_idx" on "TeamMember" ("tenancyId", "sequenceId");

alter table "TeamMemberDirectPermission"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "TeamMemberDirectPermission_sequenceId_key"
    on "TeamMemberDirectPermission" ("sequenceId");
create index "TeamMemberDirectPermission_shouldUpdateSequenceId_tenancyId_idx"
    on "TeamMemberDirectPermission" ("shouldUpdateSequenceId", "tenancyId");
create index "TeamMemberDirectPermission_tenancyId_sequenceId_idx"
    on "TeamMemberDirectPermission" ("tenancyId", "sequenceId");

alter table "ProjectUserDirectPermission"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "ProjectUserDirectPermission_sequenceId_key"
    on "ProjectUserDirectPermission" ("sequenceId");
create index "ProjectUserDirectPermission_shouldUpdateSequenceId_tenancyI_idx"
    on "ProjectUserDirectPermission" ("shouldUpdateSequenceId", "tenancyId");
create index "ProjectUserDirectPermission_tenancyId_sequenceId_idx"
    on "ProjectUserDirectPermission" ("tenancyId", "sequenceId");

alter table "UserNotificationPreference"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "UserNotificationPreference_sequenceId_key"
    on "UserNotificationPreference" ("sequenceId");
create index "UserNotificationPreference_shouldUpdateSequenceId_tenancyId_idx"
    on "UserNotificationPreference" ("shouldUpdateSequenceId", "tenancyId");
create index "UserNotificationPreference_tenancyId_sequenceId_idx"
    on "UserNotificationPreference" ("tenancyId", "sequenceId");

alter table "VerificationCode"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "VerificationCode_sequenceId_key" on "VerificationCode" ("sequenceId");
create index "VerificationCode_shouldUpdateSequenceId_type_idx"
    on "VerificationCode" ("shouldUpdateSequenceId", "type");

alter table "EmailOutbox"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "EmailOutbox_sequenceId_key" on "EmailOutbox" ("sequenceId");
create index "EmailOutbox_shouldUpdateSequenceId_tenancyId_idx"
    on "EmailOutbox" ("shouldUpdateSequenceId", "tenancyId");
create index "EmailOutbox_tenancyId_sequenceId_idx" on "EmailOutbox" ("tenancyId", "sequenceId");

alter table "ProjectUserRefreshToken"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "ProjectUserRefreshToken_sequenceId_key" on "ProjectUserRefreshToken" ("sequenceId");
create index "ProjectUserRefreshToken_shouldUpdateSequenceId_tenancyId_idx"
    on "ProjectUserRefreshToken" ("shouldUpdateSequenceId", "tenancyId");
create index "ProjectUserRefreshToken_tenancyId_sequenceId_idx"
    on "ProjectUserRefreshToken" ("tenancyId", "sequenceId");

alter table "ProjectUserOAuthAccount"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "ProjectUserOAuthAccount_sequenceId_key" on "ProjectUserOAuthAccount" ("sequenceId");
create index "ProjectUserOAuthAccount_shouldUpdateSequenceId_tenancyId_idx"
    on "ProjectUserOAuthAccount" ("shouldUpdateSequenceId", "tenancyId");
create index "ProjectUserOAuthAccount_tenancyId_sequenceId_idx"
    on "ProjectUserOAuthAccount" ("tenancyId", "sequenceId");

alter table "SessionReplay"
    add column "sequenceId" bigint,
    add column "shouldUpdateSequenceId" boolean not null default true;
create unique index "SessionReplay_sequenceId_key" on "SessionReplay" ("sequenceId");
create index "SessionReplay_shouldUpdateSequenceId_tenancyId_idx"
    on "SessionReplay" ("shouldUpdateSequenceId", "tenancyId");
create index "SessionReplay_tenancyId_sequenceId_idx" on "SessionReplay" ("tenancyId", "sequenceId");
