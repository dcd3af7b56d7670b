-- Users with one primary channel each. The keys of those in the staying tenancies follow from a number, so that a script
-- can name a row without looking for it; a quarter as many come and go in tenancies of their own.

create temporary table population on commit drop as
select kind, n, n % {tenancies} as t
from (values ('staying', {users}), ('passing', {users} / 4)) as kinds (kind, users),
    generate_series(0, users - 1) as n;

insert into "Project" ("id", "displayName", "isProductionMode", "updatedAt") values ('bench', 'Bench', true, now());

insert into "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
select md5(kind || ' tenancy' || t)::uuid, 'bench', kind || t, 'TRUE', now()
from population
group by kind, t;

insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId",
    "displayName", "profileImageUrl", "clientMetadata", "updatedAt"
)
select
    md5(kind || ' tenancy' || t)::uuid, md5(kind || ' user' || n)::uuid, 'bench', kind || t,
    'User ' || n, 'https://images.example.com/' || n || '.png',
    jsonb_build_object('plan', 'plan ' || n % 5, 'seats', n % 100), now()
from population;

insert into "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "value", "isPrimary", "isVerified", "usedForAuth", "updatedAt"
)
select
    md5(kind || ' tenancy' || t)::uuid, md5(kind || ' user' || n)::uuid, md5(kind || ' channel' || n)::uuid,
    'EMAIL', 'user' || n || '@example.com', 'TRUE', true, 'TRUE', now()
from population;
