-- Users and what hangs on a user. No foreign key leads to "Tenancy": these rows outlive a deleted project.

create type "ContactChannelType" as enum ('EMAIL');

create table "ProjectUser" (
    "tenancyId" uuid not null,
    "projectUserId" uuid not null,
    "mirroredProjectId" text not null,
    "mirroredBranchId" text not null,
    "projectId" text,
    "displayName" text,
    "profileImageUrl" text,
    "clientMetadata" jsonb,
    "clientReadOnlyMetadata" jsonb,
    "serverMetadata" jsonb,
    "isAnonymous" boolean not null default false,
    "restrictedByAdmin" boolean not null default false,
    "restrictedByAdminReason" text,
    "restrictedByAdminPrivateDetails" text,
    "signUpRiskScoreBot" smallint not null default 0,
    "signUpRiskScoreFreeTrialAbuse" smallint not null default 0,
    "signedUpAt" timestamp(3) not null default current_timestamp,
    "lastActiveAt" timestamp(3) not null default now(),
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "ProjectUser_pkey" primary key ("tenancyId", "projectUserId"),
    constraint "ProjectUser_projectId_fkey" foreign key ("projectId")
        references "Project" ("id") on delete set null on update cascade,
    constraint "ProjectUser_restricted_by_admin_check" check (
        "restrictedByAdmin" or ("restrictedByAdminReason" is null and "restrictedByAdminPrivateDetails" is null)
    ),
    constraint "ProjectUser_risk_score_bot_check" check ("signUpRiskScoreBot" between 0 and 100),
    constraint "ProjectUser_risk_score_free_trial_abuse_check" check (
        "signUpRiskScoreFreeTrialAbuse" between 0 and 100
    )
);

create unique index "ProjectUser_mirroredProjectId_mirroredBranchId_projectUserI_key"
    on "ProjectUser" ("mirroredProjectId", "mirroredBranchId", "projectUserId");

create table "ContactChannel" (
    "tenancyId" uuid not null,
    "projectUserId" uuid not null,
    "id" uuid not null,
    "type" "ContactChannelType" not null,
    "value" text not null,
    "isPrimary" "BooleanTrue",
    "isVerified" boolean not null,
    "usedForAuth" "BooleanTrue",
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "ContactChannel_pkey" primary key ("tenancyId", "projectUserId", "id"),
    constraint "ContactChannel_tenancyId_projectUserId_fkey" foreign key ("tenancyId", "projectUserId")
        references "ProjectUser" ("tenancyId", "projectUserId") on delete cascade on update cascade
);

create unique index "ContactChannel_tenancyId_projectUserId_type_isPrimary_key"
    on "ContactChannel" ("tenancyId", "projectUserId", "type", "isPrimary");
create unique index "ContactChannel_tenancyId_projectUserId_type_value_key"
    on "ContactChannel" ("tenancyId", "projectUserId", "type", "value");
create unique index "ContactChannel_tenancyId_type_value_usedForAuth_key"
    on "ContactChannel" ("tenancyId", "type", "value", "usedForAuth");

create table "ProjectUserDirectPermission" (
    "id" uuid not null,
    "tenancyId" uuid not null,
    "projectUserId" uuid not null,
    "permissionId" text not null,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "ProjectUserDirectPermission_pkey" primary key ("id"),
    constraint "ProjectUserDirectPermission_tenancyId_projectUserId_fkey" foreign key ("tenancyId", "projectUserId")
        references "ProjectUser" ("tenancyId", "projectUserId") on delete cascade on update cascade
);

create unique index "ProjectUserDirectPermission_tenancyId_projectUserId_permiss_key"
    on "ProjectUserDirectPermission" ("tenancyId", "projectUserId", "permissionId");

create table "UserNotificationPreference" (
    "id" uuid not null,
    "tenancyId" uuid not null,
    "projectUserId" uuid not null,
    "notificationCategoryId" uuid not null,
    "enabled" boolean not null,
    constraint "UserNotificationPreference_pkey" primary key ("tenancyId", "id"),
    constraint "UserNotificationPreference_tenancyId_projectUserId_fkey" foreign key ("tenancyId", "projectUserId")
        references "ProjectUser" ("tenancyId", "projectUserId") on delete cascade on update cascade
);

create unique index "UserNotificationPreference_tenancyId_projectUserId_notifica_key"
    on "UserNotificationPreference" ("tenancyId", "projectUserId", "notificationCategoryId");

create table "ProjectUserOAuthAccount" (
    "tenancyId" uuid not null,
    "id" uuid not null,
    "projectUserId" uuid,
    "configOAuthProviderId" text not null,
    "providerAccountId" text not null,
    "email" text,
    "allowSignIn" boolean not null default true,
    "allowConnectedAccounts" boolean not null default true,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "ProjectUserOAuthAccount_pkey" primary key ("tenancyId", "id"),
    constraint "ProjectUserOAuthAccount_tenancyId_projectUserId_fkey" foreign key ("tenancyId", "projectUserId")
        references "ProjectUser" ("tenancyId", "projectUserId") on delete cascade on update cascade
);

create unique index "ProjectUserOAuthAccount_tenancyId_configOAuthProviderId_pro_key"
    on "ProjectUserOAuthAccount" ("tenancyId", "configOAuthProviderId", "projectUserId", "providerAccountId");

-- A session. No foreign key at all: who deletes a user deletes its sessions too.
create table "ProjectUserRefreshToken" (
    "tenancyId" uuid not null,
    "id" uuid not null,
    "projectUserId" uuid not null,
    "refreshToken" text not null,
    "isImpersonation" boolean not null default false,
    "expiresAt" timestamp(3),
    "lastActiveAt" timestamp(3) not null default now(),
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "ProjectUserRefreshToken_pkey" primary key ("tenancyId", "id")
);

create unique index "ProjectUserRefreshToken_refreshToken_key" on "ProjectUserRefreshToken" ("refreshToken");
