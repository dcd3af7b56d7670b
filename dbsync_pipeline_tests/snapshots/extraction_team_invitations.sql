select slice.position, extent.*
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  cross join lateral (select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, max(sequence_id) as highest
  from ((select numbered.sequence_id, false as gone
  from (select p.sequence_id
  from "dbsync"."placement" as p
  where p.mapping_id = 'team_invitations' and p.tenancy_id = slice.tenancy_id and p.sequence_id > slice.after and p.sequence_id <= slice.upto
  order by 1 limit 1000) as numbered)
  union all (select t.sequence_id, true
  from "dbsync"."tombstone" as t
  where t.mapping_id = 'team_invitations' and not slice.first and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto
  order by 1 limit 1000)
  order by 1 limit 1000) as chunk) as extent;

select slice.position, extent.*
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  cross join lateral (select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, max(sequence_id) as highest
  from ((select numbered.sequence_id, false as gone
  from (select p.sequence_id
  from "dbsync"."placement" as p
  where p.mapping_id = 'team_invitations' and p.tenancy_id = slice.tenancy_id and p.sequence_id > slice.after and p.sequence_id <= slice.upto
  order by 1 limit $5) as numbered)
  union all (select t.sequence_id, true
  from "dbsync"."tombstone" as t
  where t.mapping_id = 'team_invitations' and not slice.first and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto
  order by 1 limit $5)
  order by 1 limit $5) as chunk) as extent;

copy (select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."id")::uuid, (team."teamId")::uuid, (team."displayName")::text, coalesce((source."method"->>'email')::text, ('')::text), (floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."expiresAt")
)) * 1000))::bigint, (case when source."usedAt" is not null then floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."usedAt")
)) * 1000) end)::bigint, (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end), row_number.sequence_id, 0
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "dbsync"."placement"
  where mapping_id = 'team_invitations' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as placement
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", placement.identity) as "placed"
  join "public"."VerificationCode" as source on "source"."projectId" = "placed"."projectId" and "source"."branchId" = "placed"."branchId" and "source"."id" = "placed"."id"
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  inner join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  where tenancy.deleted_at is null and (source."type" = 'TEAM_INVITATION') and (team."tenancyId") = slice.tenancy_id
  union all select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."id")::uuid, '00000000-0000-0000-0000-000000000000'::uuid, ''::text, ''::text, 0::bigint, null::bigint, '1970-01-01'::timestamp(3), row_number.sequence_id, 1
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'team_invitations' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", t.identity) as "source"
  where not slice.first
  union all select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."id")::uuid, '00000000-0000-0000-0000-000000000000'::uuid, ''::text, ''::text, 0::bigint, null::bigint, '1970-01-01'::timestamp(3), row_number.sequence_id, 1
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null or place.columns <> known.columns) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "dbsync"."placement"
  where mapping_id = 'team_invitations' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as placement
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", placement.identity) as "placed"
  join "public"."VerificationCode" as source on "source"."projectId" = "placed"."projectId" and "source"."branchId" = "placed"."branchId" and "source"."id" = "placed"."id"
  where (source."type" = 'TEAM_INVITATION') and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first) to stdout (format text);

