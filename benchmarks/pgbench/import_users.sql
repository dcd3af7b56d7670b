-- Many users and their primary channels come in two statements.
create temporary table arrival on commit drop as
select n, n % {tenancies} as t, gen_random_uuid() as user_id from generate_series(1, {users}) as n;

insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "clientMetadata", "updatedAt"
)
select
    md5('passing tenancy' || t)::uuid, user_id, 'bench', 'passing' || t, 'User ' || n, '{{"plan": "plan 1"}}', now()
from arrival;

insert into "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "value", "isPrimary", "isVerified", "usedForAuth", "updatedAt"
)
select
    md5('passing tenancy' || t)::uuid, user_id, gen_random_uuid(), 'EMAIL', user_id || '@example.com',
    'TRUE', false, 'TRUE', now()
from arrival;
