-- Users of all tenancies come mixed, as they do over the years of an application.
create temporary table demo_user on commit drop as
select
    i,
    demo_tenancy.ordinal,
    demo_tenancy.tenancy_id,
    demo_tenancy.project_id,
    demo_tenancy.branch_id,
    pg_temp.key('user', i) as user_id,
    i % 9 = 4 as is_anonymous
from demo_tenancy
cross join lateral generate_series(first_user, first_user + user_count - 1) as i
order by pg_temp.roll('order', i), i;

insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "projectId",
    "displayName", "profileImageUrl", "clientMetadata", "clientReadOnlyMetadata", "serverMetadata",
    "isAnonymous", "restrictedByAdmin", "restrictedByAdminReason", "restrictedByAdminPrivateDetails",
    "signUpRiskScoreBot", "signUpRiskScoreFreeTrialAbuse", "signedUpAt", "lastActiveAt", "createdAt", "updatedAt"
)
select
    tenancy_id,
    user_id,
    project_id,
    branch_id,
    case when i % 3 = 0 then project_id end,
    case
        when is_anonymous then null
        when i % 1009 = 500 then pg_temp.long_text()
        else pg_temp.text('user.displayName', i, pg_temp.person(i))
    end,
    case when i % 3 = 1 then pg_temp.text('user.image', i, 'https://images.example.com/' || i || '.png?s=128&v=%C3%BC') end,
    pg_temp.document('user.client', i),
    pg_temp.document('user.clientReadOnly', i),
    case
        when i % 1013 = 600 then jsonb_build_object('notes', pg_temp.long_text())
        else pg_temp.document('user.server', i)
    end,
    is_anonymous,
    i % 40 < 3,
    case when i % 40 < 2 then pg_temp.text('user.reason', i / 40, 'Unpaid invoice ' || i) end,
    case when i % 40 < 1 then pg_temp.text('user.details', i / 40, 'Spoke to support about ' || i) end,
    i % 101,
    i % 51,
    pg_temp.time('user.signedUpAt', i),
    pg_temp.time('user.lastActiveAt', i),
    pg_temp.time('user.createdAt', i),
    pg_temp.usual_time('user.updatedAt', i)
from demo_user;

-- The first address of a user is the primary one, but some users have only others, and anonymous ones have none.
insert into "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "value", "isPrimary", "isVerified", "usedForAuth",
    "createdAt", "updatedAt"
)
select
    tenancy_id,
    user_id,
    pg_temp.key('channel', i * 3 + n),
    'EMAIL',
    pg_temp.text('channel.value', i * 3 + n, 'user' || case when n = 0 then '' else '+' || n end)
    || i || '@example.com',
    case when n = 0 and i % 13 <> 7 then 'TRUE'::"BooleanTrue" end,
    pg_temp.roll('channel.isVerified', i * 3 + n) < 0.7,
    case when n = 0 and i % 4 < 3 then 'TRUE'::"BooleanTrue" end,
    pg_temp.time('channel.createdAt', i * 3 + n),
    pg_temp.usual_time('channel.updatedAt', i * 3 + n)
from demo_user
cross join lateral generate_series(0, case when is_anonymous then -1 when i % 5 = 0 then 2 else i % 2 end) as n;
