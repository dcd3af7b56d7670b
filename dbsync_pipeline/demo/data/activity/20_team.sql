create temporary table demo_team on commit drop as
select
    j,
    tenancy_id,
    project_id,
    branch_id,
    pg_temp.key('team', j) as team_id
from demo_tenancy
cross join lateral generate_series(first_team, first_team + team_count - 1) as j;

create unique index on demo_team (j);
analyze demo_team;

insert into "Team" (
    "tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "profileImageUrl",
    "clientMetadata", "clientReadOnlyMetadata", "serverMetadata", "createdAt", "updatedAt"
)
select
    tenancy_id,
    team_id,
    project_id,
    branch_id,
    case when j % 503 = 100 then pg_temp.long_text() else pg_temp.text('team.displayName', j, 'Team ' || j) end,
    case when j % 2 = 1 then pg_temp.text('team.image', j, 'https://images.example.com/team/' || j) end,
    pg_temp.document('team.client', j),
    pg_temp.document('team.clientReadOnly', j),
    pg_temp.document('team.server', j),
    pg_temp.time('team.createdAt', j),
    pg_temp.usual_time('team.updatedAt', j)
from demo_team;

-- Up to three teams for each user, the first ones of a tenancy being the most popular.
create temporary table demo_member on commit drop as
select
    demo_team.tenancy_id,
    demo_user.user_id,
    demo_team.team_id,
    min(demo_user.i * 3 + n) as k
from demo_user
inner join demo_tenancy using (ordinal)
cross join lateral generate_series(0, demo_user.i % 4 - 1) as n
inner join demo_team
    on demo_team.j = first_team + trunc(pg_temp.roll('member', demo_user.i * 3 + n) ^ 2 * team_count)::bigint
group by demo_team.tenancy_id, demo_user.user_id, demo_team.team_id;

insert into "TeamMember" (
    "tenancyId", "projectUserId", "teamId", "displayName", "profileImageUrl", "isSelected", "createdAt", "updatedAt"
)
select
    tenancy_id,
    user_id,
    team_id,
    case when k % 2 = 0 then pg_temp.text('member.displayName', k, 'Nickname ' || k) end,
    case when k % 5 = 0 then pg_temp.text('member.image', k, 'https://images.example.com/member/' || k) end,
    case when k % 3 = 0 then 'TRUE'::"BooleanTrue" end,
    pg_temp.time('member.createdAt', k),
    pg_temp.usual_time('member.updatedAt', k)
from demo_member;

insert into "TeamMemberDirectPermission" (
    "id", "tenancyId", "projectUserId", "teamId", "permissionId", "createdAt", "updatedAt"
)
select
    pg_temp.key('teamPermission', k * 2 + n),
    tenancy_id,
    user_id,
    team_id,
    pg_temp.permission(k + n * 3),
    pg_temp.time('teamPermission.createdAt', k * 2 + n),
    pg_temp.usual_time('teamPermission.updatedAt', k * 2 + n)
from demo_member
cross join lateral generate_series(0, k % 3 - 1) as n;
