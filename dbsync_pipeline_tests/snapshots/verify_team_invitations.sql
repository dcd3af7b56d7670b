select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((team."teamId")::uuid)::text)::text || ':' || ((team."teamId")::uuid)::text, '-') || coalesce(octet_length(((team."displayName")::text)::text)::text || ':' || ((team."displayName")::text)::text, '-') || coalesce(octet_length((coalesce((source."method"->>'email')::text, ('')::text))::text)::text || ':' || (coalesce((source."method"->>'email')::text, ('')::text))::text, '-') || coalesce(octet_length(((floor(extract(epoch
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
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."VerificationCode" as source
  inner join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = (team."tenancyId")
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'team_invitations' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and (source."type" = 'TEAM_INVITATION') and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((team."teamId")::uuid)::text)::text || ':' || ((team."teamId")::uuid)::text, '-') || coalesce(octet_length(((team."displayName")::text)::text)::text || ':' || ((team."displayName")::text)::text, '-') || coalesce(octet_length((coalesce((source."method"->>'email')::text, ('')::text))::text)::text || ':' || (coalesce((source."method"->>'email')::text, ('')::text))::text, '-') || coalesce(octet_length(((floor(extract(epoch
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
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."VerificationCode" as source
  inner join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = (team."tenancyId")
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'team_invitations' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and (source."type" = 'TEAM_INVITATION') and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."id")::uuid)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((team."teamId")::uuid)::text)::text || ':' || ((team."teamId")::uuid)::text, '-') || coalesce(octet_length(((team."displayName")::text)::text)::text || ':' || ((team."displayName")::text)::text, '-') || coalesce(octet_length((coalesce((source."method"->>'email')::text, ('')::text))::text)::text || ':' || (coalesce((source."method"->>'email')::text, ('')::text))::text, '-') || coalesce(octet_length(((floor(extract(epoch
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
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "public"."VerificationCode" as source
  inner join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = (team."tenancyId")
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'team_invitations' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and (source."type" = 'TEAM_INVITATION') and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select toString(tenancy_id), count(), sum(toInt256(sync_hash))
  from (select tenancy_id, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`team_display_name`))), ':', toString(`team_display_name`)), '-'), ifNull(concat(toString(length(toString(`recipient_email`))), ':', toString(`recipient_email`)), '-'), ifNull(concat(toString(length(toString(`expires_at_millis`))), ':', toString(`expires_at_millis`)), '-'), ifNull(concat(toString(length(toString(`used_at_millis`))), ':', toString(`used_at_millis`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8))) as sync_hash
  from `analytics_internal`.`team_invitations` final prewhere true
  where sync_is_deleted = 0) group by tenancy_id;

select sync_bucket, count(), sum(toInt256(sync_hash))
  from (select bitAnd(reinterpretAsUInt16(reverse(substring(MD5(concat('', ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'))), 1, 2))), 255) as sync_bucket, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`team_display_name`))), ':', toString(`team_display_name`)), '-'), ifNull(concat(toString(length(toString(`recipient_email`))), ':', toString(`recipient_email`)), '-'), ifNull(concat(toString(length(toString(`expires_at_millis`))), ':', toString(`expires_at_millis`)), '-'), ifNull(concat(toString(length(toString(`used_at_millis`))), ':', toString(`used_at_millis`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8))) as sync_hash
  from `analytics_internal`.`team_invitations` final prewhere true
  where sync_is_deleted = 0) group by sync_bucket;

select toString(tenancy_id) as sync_tenancy, [toString(`id`)] as sync_key, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`team_display_name`))), ':', toString(`team_display_name`)), '-'), ifNull(concat(toString(length(toString(`recipient_email`))), ':', toString(`recipient_email`)), '-'), ifNull(concat(toString(length(toString(`expires_at_millis`))), ':', toString(`expires_at_millis`)), '-'), ifNull(concat(toString(length(toString(`used_at_millis`))), ':', toString(`used_at_millis`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8))) as sync_hash
  from (select *, bitAnd(reinterpretAsUInt16(reverse(substring(MD5(concat('', ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'))), 1, 2))), 255) as sync_bucket
  from `analytics_internal`.`team_invitations` final prewhere true
  where sync_is_deleted = 0 and sync_bucket in (1, 2));

select toString(tenancy_id) as sync_tenancy, [toString(`id`)] as sync_key, sync_sequence_id, [cast(`project_id`, 'Nullable(String)'), cast(`branch_id`, 'Nullable(String)'), cast(toString(`id`), 'Nullable(String)'), cast(toString(`team_id`), 'Nullable(String)'), cast(toString(`team_display_name`), 'Nullable(String)'), cast(toString(`recipient_email`), 'Nullable(String)'), cast(toString(`expires_at_millis`), 'Nullable(String)'), cast(toString(`used_at_millis`), 'Nullable(String)'), cast(toString(reinterpretAsInt64(`created_at`)), 'Nullable(String)')] as sync_texts
  from `analytics_internal`.`team_invitations` final prewhere true
  where sync_is_deleted = 0 and [toString(`id`)] in (['00000000-0000-0000-0000-000000000000']);

select sync_tenancy, sync_number
  from (select toString(tenancy_id) as sync_tenancy, sync_sequence_id as sync_number
  from `analytics_internal`.`team_invitations`
  where true
  union all select toString(tenancy_id), sequence_id
  from `analytics_internal`.`sync_checkpoint`
  where mapping_id = 'team_invitations' and true)
  order by sync_number desc limit 1 settings final = 0;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)) select asked.position, "source"."sequenceId", "source"."shouldUpdateSequenceId" and coalesce((source."type" = 'TEAM_INVITATION'), false), exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."Team", t.match) as "feeding" 
  where t.dependant_id = 'team_invitations.team' and source."projectId" = "feeding"."mirroredProjectId" and source."branchId" = "feeding"."mirroredBranchId" and dbsync.uuid_or_null(source."data"->>'team_id') = "feeding"."teamId") or exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"dbsync"."placement", t.match) as "feeding"
  join "dbsync"."placement" as placement on placement.mapping_id = 'team_invitations' and placement.identity = jsonb_build_object('projectId', "source"."projectId", 'branchId', "source"."branchId", 'id', "source"."id")
  where t.dependant_id = 'team_invitations.@tenancy' and placement."tenancy_id" = "feeding"."tenancy_id") or exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", t.match) as "feeding" 
  where t.dependant_id = 'team_invitations.@all' and true), case
  when (source."type" = 'TEAM_INVITATION') and case when "team"."mirroredProjectId" is not null then (team."tenancyId") end = asked.tenancy_id and tenancy.tenancy_id is not null then array[(tenancy.columns->>'project_id'), (tenancy.columns->>'branch_id'), ((source."id")::uuid)::text, ((team."teamId")::uuid)::text, ((team."displayName")::text)::text, (coalesce((source."method"->>'email')::text, ('')::text))::text, ((floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."expiresAt")
)) * 1000))::bigint)::text, ((case when source."usedAt" is not null then floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."usedAt")
)) * 1000) end)::bigint)::text, trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text]::text[] end, source.xmin::text
  from asked
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", jsonb_build_object('id', asked.key[1])) as "wanted"
  join "public"."VerificationCode" as source on "source"."id" = "wanted"."id"
  left join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  left join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)), buried as materialized (select t.tenancy_id, t.sequence_id, array[((source."id")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", t.identity) as "source"
  where t.mapping_id = 'team_invitations' and t.sequence_id is not null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)
  union all select t.tenancy_id, t.sequence_id, array[((source."id")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", t.identity) as "source"
  where t.mapping_id = 'team_invitations' and t.sequence_id is null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)) select position, max(sequence_id), bool_or(sequence_id is null)
  from asked
  join buried using (key)
  where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position;

