select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."type")::text)::text)::text || ':' || ((source."type")::text)::text, '-') || coalesce(octet_length(((source."value")::text)::text)::text || ':' || ((source."value")::text)::text, '-') || coalesce(octet_length(((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text)::text || ':' || ((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text, '-') || coalesce(octet_length(((source."isVerified")::boolean)::text)::text || ':' || ((source."isVerified")::boolean)::text, '-') || coalesce(octet_length(((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text)::text || ':' || ((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."ContactChannel" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'contact_channels' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."type")::text)::text)::text || ':' || ((source."type")::text)::text, '-') || coalesce(octet_length(((source."value")::text)::text)::text || ':' || ((source."value")::text)::text, '-') || coalesce(octet_length(((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text)::text || ':' || ((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text, '-') || coalesce(octet_length(((source."isVerified")::boolean)::text)::text || ':' || ((source."isVerified")::boolean)::text, '-') || coalesce(octet_length(((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text)::text || ':' || ((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."ContactChannel" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'contact_channels' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."id")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."type")::text)::text)::text || ':' || ((source."type")::text)::text, '-') || coalesce(octet_length(((source."value")::text)::text)::text || ':' || ((source."value")::text)::text, '-') || coalesce(octet_length(((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text)::text || ':' || ((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text, '-') || coalesce(octet_length(((source."isVerified")::boolean)::text)::text || ':' || ((source."isVerified")::boolean)::text, '-') || coalesce(octet_length(((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text)::text || ':' || ((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "public"."ContactChannel" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'contact_channels' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select tenancy_id::text, count(*), sum(hash)
  from (select "target"."tenancy_id" as tenancy_id, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."type")::text)::text || ':' || (target."type")::text, '-') || coalesce(octet_length((target."value")::text)::text || ':' || (target."value")::text, '-') || coalesce(octet_length((target."is_primary")::text)::text || ':' || (target."is_primary")::text, '-') || coalesce(octet_length((target."is_verified")::text)::text || ':' || (target."is_verified")::text, '-') || coalesce(octet_length((target."used_for_auth")::text)::text || ':' || (target."used_for_auth")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."contact_channels" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."type")::text)::text || ':' || (target."type")::text, '-') || coalesce(octet_length((target."value")::text)::text || ':' || (target."value")::text, '-') || coalesce(octet_length((target."is_primary")::text)::text || ':' || (target."is_primary")::text, '-') || coalesce(octet_length((target."is_verified")::text)::text || ':' || (target."is_verified")::text, '-') || coalesce(octet_length((target."used_for_auth")::text)::text || ':' || (target."used_for_auth")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."contact_channels" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select "target"."tenancy_id" as tenancy_id, array[(target."id")::text, (target."user_id")::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."type")::text)::text || ':' || (target."type")::text, '-') || coalesce(octet_length((target."value")::text)::text || ':' || (target."value")::text, '-') || coalesce(octet_length((target."is_primary")::text)::text || ':' || (target."is_primary")::text, '-') || coalesce(octet_length((target."is_verified")::text)::text || ':' || (target."is_verified")::text, '-') || coalesce(octet_length((target."used_for_auth")::text)::text || ':' || (target."used_for_auth")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "dbsync"."contact_channels" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed
  where bucket = any('{1,2}'::int2[]);

select "target"."tenancy_id"::text, array[(target."id")::text, (target."user_id")::text]::text[], "target"."sync_sequence_id", array[(target."id")::text, (target."user_id")::text, (target."type")::text, (target."value")::text, (target."is_primary")::text, (target."is_verified")::text, (target."used_for_auth")::text, trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text]::text[]
  from "dbsync"."contact_channels" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and array[(target."id")::text, (target."user_id")::text]::text[] in ('{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001}');

select '00000000-0000-0000-0000-000000000001', greatest((select max("target"."sync_sequence_id")
  from "dbsync"."contact_channels" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid), (select sequence_id
  from "dbsync"."sync_checkpoint" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and mapping_id = 'contact_channels'));

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\", \\"00000000-0000-0000-0000-000000000001\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)) select asked.position, "source"."sequenceId", "source"."shouldUpdateSequenceId" and coalesce(true, false), exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."ContactChannel", t.match) as "feeding" 
  where t.dependant_id = 'contact_channels.@tenancy' and source."tenancyId" = "feeding"."tenancyId"), case when true and "source"."tenancyId" = asked.tenancy_id and tenancy.tenancy_id is not null then array[((source."id")::uuid)::text, ((source."projectUserId")::uuid)::text, ((source."type")::text)::text, ((source."value")::text)::text, ((source."isPrimary" is not distinct
  from 'TRUE')::boolean)::text, ((source."isVerified")::boolean)::text, ((source."usedForAuth" is not distinct
  from 'TRUE')::boolean)::text, trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text]::text[] end, source.xmin::text
  from asked
  cross join lateral jsonb_populate_record(null::"public"."ContactChannel", jsonb_build_object('tenancyId', asked.tenancy_id, 'id', asked.key[1], 'projectUserId', asked.key[2])) as "wanted"
  join "public"."ContactChannel" as source on "source"."id" = "wanted"."id" and "source"."projectUserId" = "wanted"."projectUserId" and "source"."tenancyId" = asked.tenancy_id 
  left join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\", \\"00000000-0000-0000-0000-000000000001\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)), buried as materialized (select t.tenancy_id, t.sequence_id, array[((source."id")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."ContactChannel", t.identity) as "source"
  where t.mapping_id = 'contact_channels' and t.sequence_id is not null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)
  union all select t.tenancy_id, t.sequence_id, array[((source."id")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."ContactChannel", t.identity) as "source"
  where t.mapping_id = 'contact_channels' and t.sequence_id is null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)) select position, max(sequence_id), bool_or(sequence_id is null)
  from asked
  join buried using (key)
  where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position;

