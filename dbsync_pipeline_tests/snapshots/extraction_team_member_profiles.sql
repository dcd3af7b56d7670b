select slice.position, extent.*
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  cross join lateral (select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, max(sequence_id) as highest
  from ((select numbered.sequence_id, false as gone
  from (select "source"."sequenceId" as sequence_id
  from "public"."TeamMember" as source
  where "source"."tenancyId" = slice.tenancy_id and true and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto
  order by 1 limit 1000) as numbered)
  union all (select t.sequence_id, true
  from "dbsync"."tombstone" as t
  where t.mapping_id = 'team_member_profiles' and not slice.first and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto
  order by 1 limit 1000)
  order by 1 limit 1000) as chunk) as extent;

select slice.position, extent.*
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  cross join lateral (select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, max(sequence_id) as highest
  from ((select numbered.sequence_id, false as gone
  from (select "source"."sequenceId" as sequence_id
  from "public"."TeamMember" as source
  where "source"."tenancyId" = slice.tenancy_id and true and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto
  order by 1 limit $5) as numbered)
  union all (select t.sequence_id, true
  from "dbsync"."tombstone" as t
  where t.mapping_id = 'team_member_profiles' and not slice.first and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto
  order by 1 limit $5)
  order by 1 limit $5) as chunk) as extent;

copy (select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."teamId")::uuid, (source."projectUserId")::uuid, (source."displayName")::text, (source."profileImageUrl")::text, nullif((case when member."projectUserId" is not null then jsonb_build_object(
  'id', member."projectUserId",
  'display_name', member."displayName",
  'primary_email', email."value",
  'primary_email_verified', coalesce(email."isVerified", false),
  'profile_image_url', member."profileImageUrl",
  'is_anonymous', member."isAnonymous",
  'last_active_at_millis', floor(extract(epoch
  from greatest(
    '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, member."lastActiveAt")
  )) * 1000)::bigint
) end)::jsonb, 'null'::jsonb), (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end), row_number.sequence_id, 0
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "public"."TeamMember" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  left join "public"."ProjectUser" as "member" on "member"."tenancyId" = source."tenancyId" and "member"."projectUserId" = source."projectUserId"
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  where tenancy.deleted_at is null and true and "source"."tenancyId" = slice.tenancy_id
  union all select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."teamId")::uuid, (source."projectUserId")::uuid, null::text, null::text, null::jsonb, '1970-01-01'::timestamp(3), row_number.sequence_id, 1
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'team_member_profiles' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."TeamMember", t.identity) as "source"
  where not slice.first
  union all select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."teamId")::uuid, (source."projectUserId")::uuid, null::text, null::text, null::jsonb, '1970-01-01'::timestamp(3), row_number.sequence_id, 1
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null or place.columns <> known.columns) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "public"."TeamMember" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  where true and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first) to stdout (format text);

