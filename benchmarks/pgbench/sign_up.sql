-- A new user with a primary channel.
\set t random(0, :tenancies - 1)
begin;
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "clientMetadata", "updatedAt"
)
values (
    md5('passing tenancy' || :t)::uuid, gen_random_uuid(), 'bench', 'passing' || :t,
    'New user', '{"plan": "plan 1"}', now()
)
returning "projectUserId" as user_id
\gset
insert into "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "value", "isPrimary", "isVerified", "usedForAuth", "updatedAt"
)
values (
    md5('passing tenancy' || :t)::uuid, :user_id::uuid, gen_random_uuid(),
    'EMAIL', :user_id || '@example.com', 'TRUE', false, 'TRUE', now()
);
commit;
