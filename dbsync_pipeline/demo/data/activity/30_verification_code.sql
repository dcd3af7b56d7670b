-- Invitations. Of every twenty, nine point at no team of their tenancy or carry no address, each in another way.
insert into "VerificationCode" (
    "projectId", "branchId", "id", "type", "code", "data", "method", "attemptCount", "expiresAt", "usedAt",
    "createdAt", "updatedAt"
)
select
    demo_user.project_id,
    demo_user.branch_id,
    pg_temp.key('invitation', i),
    'TEAM_INVITATION',
    pg_temp.secret('invitation', i),
    case i / 2 % 20
        when 0 then jsonb_build_object('team_id', pg_temp.key('goneTeam', i))
        when 1 then jsonb_build_object('team_id', foreign_team.team_id)
        when 2 then jsonb_build_object('team_id', pg_temp.text('invitation.team', i, 'not a uuid'))
        when 3 then jsonb_build_object('team_id', null)
        when 4 then jsonb_build_object('team_id', i)
        when 5 then (array['{}', '[]', 'null', '"team_id"', '7'])[1 + i / 40 % 5]::jsonb
        when 6 then jsonb_build_object('team_id', upper(team.team_id::text))
        when 7 then jsonb_build_object('team_id', '{' || team.team_id || '}')
        else jsonb_build_object('team_id', team.team_id, 'invited_by', demo_user.user_id)
    end,
    case i / 2 % 20
        when 8 then 'null'::jsonb
        when 9 then '{}'::jsonb
        when 10 then jsonb_build_object('email', null)
        when 11 then jsonb_build_object('email', i)
        when 12 then '["email"]'::jsonb
        else jsonb_build_object('email', pg_temp.text('invitation.email', i, 'guest' || i || '@example.com'))
    end,
    i % 3,
    pg_temp.time('invitation.expiresAt', i),
    case when i % 5 = 0 then pg_temp.time('invitation.usedAt', i) end,
    pg_temp.time('invitation.createdAt', i),
    pg_temp.usual_time('invitation.updatedAt', i)
from demo_user
inner join demo_tenancy using (ordinal)
inner join demo_team as team
    on team.j = first_team + trunc(pg_temp.roll('invitation', i) ^ 2 * team_count)::bigint
cross join (select team_id from demo_team where j = 0) as foreign_team
where i % 2 = 0;

insert into "VerificationCode" (
    "projectId", "branchId", "id", "type", "code", "data", "method", "attemptCount", "expiresAt", "usedAt",
    "createdAt", "updatedAt"
)
select
    project_id,
    branch_id,
    pg_temp.key('code', i),
    other_types[1 + i / 4 % cardinality(other_types)],
    pg_temp.secret('code', i),
    jsonb_build_object('user_id', user_id),
    coalesce(pg_temp.document('code.method', i), 'null'),
    i % 5,
    pg_temp.time('code.expiresAt', i),
    case when i % 3 = 0 then pg_temp.time('code.usedAt', i) end,
    pg_temp.time('code.createdAt', i),
    pg_temp.usual_time('code.updatedAt', i)
from demo_user
cross join (
    select array_remove(enum_range(null::"VerificationCodeType"), 'TEAM_INVITATION') as other_types
) as types
where i % 4 = 1;
