select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."permissionId")::text)::text)::text || ':' || ((source."permissionId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."ProjectUserDirectPermission" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'project_permissions' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."permissionId")::text)::text)::text || ':' || ((source."permissionId")::text)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."permissionId")::text)::text)::text || ':' || ((source."permissionId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."ProjectUserDirectPermission" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'project_permissions' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."projectUserId")::uuid)::text, ((source."permissionId")::text)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."permissionId")::text)::text)::text || ':' || ((source."permissionId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."permissionId")::text)::text)::text || ':' || ((source."permissionId")::text)::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "public"."ProjectUserDirectPermission" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'project_permissions' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select tenancy_id::text, count(*), sum(hash)
  from (select "target"."tenancy_id" as tenancy_id, ('x' || left(md5(coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."permission_id")::text)::text || ':' || (target."permission_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."project_permissions" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."permission_id")::text)::text || ':' || (target."permission_id")::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."permission_id")::text)::text || ':' || (target."permission_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."project_permissions" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select "target"."tenancy_id" as tenancy_id, array[(target."user_id")::text, (target."permission_id")::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."permission_id")::text)::text || ':' || (target."permission_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."permission_id")::text)::text || ':' || (target."permission_id")::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "dbsync"."project_permissions" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed
  where bucket = any('{1,2}'::int2[]);

select "target"."tenancy_id"::text, array[(target."user_id")::text, (target."permission_id")::text]::text[], "target"."sync_sequence_id", array[(target."user_id")::text, (target."permission_id")::text, trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text]::text[]
  from "dbsync"."project_permissions" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and array[(target."user_id")::text, (target."permission_id")::text]::text[] in ('{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001}');

select '00000000-0000-0000-0000-000000000001', greatest((select max("target"."sync_sequence_id")
  from "dbsync"."project_permissions" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid), (select sequence_id
  from "dbsync"."sync_checkpoint" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and mapping_id = 'project_permissions'));

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\", \\"00000000-0000-0000-0000-000000000001\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)) select asked.position, "source"."sequenceId", "source"."shouldUpdateSequenceId" and coalesce(true, false), exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."ProjectUserDirectPermission", t.match) as "feeding" 
  where t.dependant_id = 'project_permissions.@tenancy' and source."tenancyId" = "feeding"."tenancyId"), case when true and "source"."tenancyId" = asked.tenancy_id and tenancy.tenancy_id is not null then array[((source."projectUserId")::uuid)::text, ((source."permissionId")::text)::text, trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text]::text[] end, source.xmin::text
  from asked
  cross join lateral jsonb_populate_record(null::"public"."ProjectUserDirectPermission", jsonb_build_object('tenancyId', asked.tenancy_id, 'projectUserId', asked.key[1], 'permissionId', asked.key[2])) as "wanted"
  join "public"."ProjectUserDirectPermission" as source on "source"."projectUserId" = "wanted"."projectUserId" and "source"."permissionId" = "wanted"."permissionId" and "source"."tenancyId" = asked.tenancy_id 
  left join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\", \\"00000000-0000-0000-0000-000000000001\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)), buried as materialized (select t.tenancy_id, t.sequence_id, array[((source."projectUserId")::uuid)::text, ((source."permissionId")::text)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."ProjectUserDirectPermission", t.identity) as "source"
  where t.mapping_id = 'project_permissions' and t.sequence_id is not null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)
  union all select t.tenancy_id, t.sequence_id, array[((source."projectUserId")::uuid)::text, ((source."permissionId")::text)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."ProjectUserDirectPermission", t.identity) as "source"
  where t.mapping_id = 'project_permissions' and t.sequence_id is null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)) select position, max(sequence_id), bool_or(sequence_id is null)
  from asked
  join buried using (key)
  where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position;

