select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."Team" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'teams' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."Team" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'teams' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."teamId")::uuid)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "public"."Team" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'teams' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select toString(tenancy_id), count(), sum(toInt256(sync_hash))
  from (select tenancy_id, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`display_name`))), ':', toString(`display_name`)), '-'), ifNull(concat(toString(length(toString(`profile_image_url`))), ':', toString(`profile_image_url`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'), ifNull(concat(toString(length(toString(`client_metadata`))), ':', toString(`client_metadata`)), '-'), ifNull(concat(toString(length(toString(`client_read_only_metadata`))), ':', toString(`client_read_only_metadata`)), '-'), ifNull(concat(toString(length(toString(`server_metadata`))), ':', toString(`server_metadata`)), '-'))), 1, 8))) as sync_hash
  from `analytics_internal`.`teams` final prewhere true
  where sync_is_deleted = 0) group by tenancy_id;

select sync_bucket, count(), sum(toInt256(sync_hash))
  from (select bitAnd(reinterpretAsUInt16(reverse(substring(MD5(concat('', ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'))), 1, 2))), 255) as sync_bucket, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`display_name`))), ':', toString(`display_name`)), '-'), ifNull(concat(toString(length(toString(`profile_image_url`))), ':', toString(`profile_image_url`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'), ifNull(concat(toString(length(toString(`client_metadata`))), ':', toString(`client_metadata`)), '-'), ifNull(concat(toString(length(toString(`client_read_only_metadata`))), ':', toString(`client_read_only_metadata`)), '-'), ifNull(concat(toString(length(toString(`server_metadata`))), ':', toString(`server_metadata`)), '-'))), 1, 8))) as sync_hash
  from `analytics_internal`.`teams` final prewhere true
  where sync_is_deleted = 0) group by sync_bucket;

select toString(tenancy_id) as sync_tenancy, [toString(`id`)] as sync_key, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`display_name`))), ':', toString(`display_name`)), '-'), ifNull(concat(toString(length(toString(`profile_image_url`))), ':', toString(`profile_image_url`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'), ifNull(concat(toString(length(toString(`client_metadata`))), ':', toString(`client_metadata`)), '-'), ifNull(concat(toString(length(toString(`client_read_only_metadata`))), ':', toString(`client_read_only_metadata`)), '-'), ifNull(concat(toString(length(toString(`server_metadata`))), ':', toString(`server_metadata`)), '-'))), 1, 8))) as sync_hash
  from (select *, bitAnd(reinterpretAsUInt16(reverse(substring(MD5(concat('', ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'))), 1, 2))), 255) as sync_bucket
  from `analytics_internal`.`teams` final prewhere true
  where sync_is_deleted = 0 and sync_bucket in (1, 2));

select toString(tenancy_id) as sync_tenancy, [toString(`id`)] as sync_key, sync_sequence_id, [cast(`project_id`, 'Nullable(String)'), cast(`branch_id`, 'Nullable(String)'), cast(toString(`id`), 'Nullable(String)'), cast(toString(`display_name`), 'Nullable(String)'), cast(toString(`profile_image_url`), 'Nullable(String)'), cast(toString(reinterpretAsInt64(`created_at`)), 'Nullable(String)'), cast(toString(`client_metadata`), 'Nullable(String)'), cast(toString(`client_read_only_metadata`), 'Nullable(String)'), cast(toString(`server_metadata`), 'Nullable(String)')] as sync_texts
  from `analytics_internal`.`teams` final prewhere true
  where sync_is_deleted = 0 and [toString(`id`)] in (['00000000-0000-0000-0000-000000000000']);

select sync_tenancy, sync_number
  from (select toString(tenancy_id) as sync_tenancy, sync_sequence_id as sync_number
  from `analytics_internal`.`teams`
  where true
  union all select toString(tenancy_id), sequence_id
  from `analytics_internal`.`sync_checkpoint`
  where mapping_id = 'teams' and true)
  order by sync_number desc limit 1 settings final = 0;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)) select asked.position, "source"."sequenceId", "source"."shouldUpdateSequenceId" and coalesce(true, false), exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."Team", t.match) as "feeding" 
  where t.dependant_id = 'teams.@tenancy' and source."tenancyId" = "feeding"."tenancyId"), case when true and "source"."tenancyId" = asked.tenancy_id and tenancy.tenancy_id is not null then array[(tenancy.columns->>'project_id'), (tenancy.columns->>'branch_id'), ((source."teamId")::uuid)::text, ((source."displayName")::text)::text, ((source."profileImageUrl")::text)::text, trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, (coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, (coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, (coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text]::text[] end, source.xmin::text
  from asked
  cross join lateral jsonb_populate_record(null::"public"."Team", jsonb_build_object('tenancyId', asked.tenancy_id, 'teamId', asked.key[1])) as "wanted"
  join "public"."Team" as source on "source"."teamId" = "wanted"."teamId" and "source"."tenancyId" = asked.tenancy_id 
  left join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)), buried as materialized (select t.tenancy_id, t.sequence_id, array[((source."teamId")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."Team", t.identity) as "source"
  where t.mapping_id = 'teams' and t.sequence_id is not null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)
  union all select t.tenancy_id, t.sequence_id, array[((source."teamId")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."Team", t.identity) as "source"
  where t.mapping_id = 'teams' and t.sequence_id is null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)) select position, max(sequence_id), bool_or(sequence_id is null)
  from asked
  join buried using (key)
  where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position;

