-- Teams, memberships and the permissions granted to a member directly.

create table "Team" (
    "tenancyId" uuid not null,
    "teamId" uuid not null,
    "mirroredProjectId" text not null,
    "mirroredBranchId" text not null,
    "displayName" text not null,
    "profileImageUrl" text,
    "clientMetadata" jsonb,
    "clientReadOnlyMetadata" jsonb,
    "serverMetadata" jsonb,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "Team_pkey" primary key ("tenancyId", "teamId")
);

create unique index "Team_mirroredProjectId_mirroredBranchId_teamId_key"
    on "Team" ("mirroredProjectId", "mirroredBranchId", "teamId");

create table "TeamMember" (
    "tenancyId" uuid not null,
    "projectUserId" uuid not null,
    "teamId" uuid not null,
    "displayName" text,
    "profileImageUrl" text,
    "isSelected" "BooleanTrue",
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "TeamMember_pkey" primary key ("tenancyId", "projectUserId", "teamId"),
    constraint "TeamMember_tenancyId_projectUserId_fkey" foreign key ("tenancyId", "projectUserId")
        references "ProjectUser" ("tenancyId", "projectUserId") on delete cascade on update cascade,
    constraint "TeamMember_tenancyId_teamId_fkey" foreign key ("tenancyId", "teamId")
        references "Team" ("tenancyId", "teamId") on delete cascade on update cascade
);

create unique index "TeamMember_tenancyId_projectUserId_isSelected_key"
    on "TeamMember" ("tenancyId", "projectUserId", "isSelected");

create table "TeamMemberDirectPermission" (
    "id" uuid not null,
    "tenancyId" uuid not null,
    "projectUserId" uuid not null,
    "teamId" uuid not null,
    "permissionId" text not null,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "TeamMemberDirectPermission_pkey" primary key ("id"),
    constraint "TeamMemberDirectPermission_tenancyId_projectUserId_teamId_fkey"
        foreign key ("tenancyId", "projectUserId", "teamId")
        references "TeamMember" ("tenancyId", "projectUserId", "teamId") on delete cascade on update cascade
);

create unique index "TeamMemberDirectPermission_tenancyId_projectUserId_teamId_p_key"
    on "TeamMemberDirectPermission" ("tenancyId", "projectUserId", "teamId", "permissionId");
