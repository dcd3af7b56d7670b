select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((team."teamId")::uuid)::text)::text || ':' || ((team."teamId")::uuid)::text, '-') || coalesce(octet_length(((team."displayName")::text)::text)::text || ':' || ((team."displayName")::text)::text, '-') || coalesce(octet_length((coalesce((source."method"->>'email')::text, ('')::text))::text)::text || ':' || (coalesce((source."method"->>'email')::text, ('')::text))::text, '-') || coalesce(octet_length(((floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."expiresAt")
)) * 1000))::bigint)::text)::text || ':' || ((floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."expiresAt")
)) * 1000))::bigint)::text, '-') || coalesce(octet_length(((case when source."usedAt" is not null then floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."usedAt")
)) * 1000) end)::bigint)::text)::text || ':' || ((case when source."usedAt" is not null then floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."usedAt")
)) * 1000) end)::bigint)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') as canonical
  from "public"."VerificationCode" as source
  inner join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = (team."tenancyId")
  where tenancy.deleted_at is null and tenancy.tenancy_id = '00000000000000000000000000000001'::uuid and (source."type" = 'TEAM_INVITATION')) as rows group by tenancy_id;

select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select "target"."tenancy_id", coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."team_display_name")::text)::text || ':' || (target."team_display_name")::text, '-') || coalesce(octet_length((target."recipient_email")::text)::text || ':' || (target."recipient_email")::text, '-') || coalesce(octet_length((target."expires_at_millis")::text)::text || ':' || (target."expires_at_millis")::text, '-') || coalesce(octet_length((target."used_at_millis")::text)::text || ':' || (target."used_at_millis")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') as canonical
  from "dbsync"."team_invitations" as target
  where "target"."tenancy_id" = '00000000000000000000000000000001'::uuid) as rows group by tenancy_id;

