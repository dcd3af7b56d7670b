-- Projects and their tenancies. "BooleanTrue" columns hold TRUE or NULL, so that a unique key limits TRUE rows only.

create type "BooleanTrue" as enum ('TRUE');

create table "Project" (
    "id" text not null,
    "displayName" text not null,
    "isProductionMode" boolean not null,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "Project_pkey" primary key ("id")
);

create table "Tenancy" (
    "id" uuid not null,
    "projectId" text not null,
    "branchId" text not null,
    "organizationId" uuid,
    "hasNoOrganization" "BooleanTrue",
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "Tenancy_pkey" primary key ("id"),
    constraint "Tenancy_projectId_fkey" foreign key ("projectId")
        references "Project" ("id") on delete cascade on update cascade
);

create unique index "Tenancy_projectId_branchId_organizationId_key"
    on "Tenancy" ("projectId", "branchId", "organizationId");
create unique index "Tenancy_projectId_branchId_hasNoOrganization_key"
    on "Tenancy" ("projectId", "branchId", "hasNoOrganization");
