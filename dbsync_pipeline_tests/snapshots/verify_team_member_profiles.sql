select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."TeamMember" as source
  left join "public"."ProjectUser" as "member" on "member"."tenancyId" = source."tenancyId" and "member"."projectUserId" = source."projectUserId"
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'team_member_profiles' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."TeamMember" as source
  left join "public"."ProjectUser" as "member" on "member"."tenancyId" = source."tenancyId" and "member"."projectUserId" = source."projectUserId"
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'team_member_profiles' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."teamId")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "public"."TeamMember" as source
  left join "public"."ProjectUser" as "member" on "member"."tenancyId" = source."tenancyId" and "member"."projectUserId" = source."projectUserId"
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'clickhouse' and pair.mapping_id = 'team_member_profiles' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select toString(tenancy_id), count(), sum(toInt256(sync_hash))
  from (select tenancy_id, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'), ifNull(concat(toString(length(toString(`display_name`))), ':', toString(`display_name`)), '-'), ifNull(concat(toString(length(toString(`profile_image_url`))), ':', toString(`profile_image_url`)), '-'), ifNull(concat(toString(length(replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', ''))), ':', replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', '')), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8))) as sync_hash
  from `analytics_internal`.`team_member_profiles` final prewhere true
  where sync_is_deleted = 0) group by tenancy_id;

select sync_bucket, count(), sum(toInt256(sync_hash))
  from (select bitAnd(reinterpretAsUInt16(reverse(substring(MD5(concat('', ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'))), 1, 2))), 255) as sync_bucket, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'), ifNull(concat(toString(length(toString(`display_name`))), ':', toString(`display_name`)), '-'), ifNull(concat(toString(length(toString(`profile_image_url`))), ':', toString(`profile_image_url`)), '-'), ifNull(concat(toString(length(replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', ''))), ':', replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', '')), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8))) as sync_hash
  from `analytics_internal`.`team_member_profiles` final prewhere true
  where sync_is_deleted = 0) group by sync_bucket;

select toString(tenancy_id) as sync_tenancy, [toString(`team_id`), toString(`user_id`)] as sync_key, reinterpretAsInt64(reverse(substring(MD5(concat('', ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'), ifNull(concat(toString(length(toString(`display_name`))), ':', toString(`display_name`)), '-'), ifNull(concat(toString(length(toString(`profile_image_url`))), ':', toString(`profile_image_url`)), '-'), ifNull(concat(toString(length(replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', ''))), ':', replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', '')), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8))) as sync_hash
  from (select *, bitAnd(reinterpretAsUInt16(reverse(substring(MD5(concat('', ifNull(concat(toString(length(toString(`team_id`))), ':', toString(`team_id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'))), 1, 2))), 255) as sync_bucket
  from `analytics_internal`.`team_member_profiles` final prewhere true
  where sync_is_deleted = 0 and sync_bucket in (1, 2));

select toString(tenancy_id) as sync_tenancy, [toString(`team_id`), toString(`user_id`)] as sync_key, sync_sequence_id, [cast(`project_id`, 'Nullable(String)'), cast(`branch_id`, 'Nullable(String)'), cast(toString(`team_id`), 'Nullable(String)'), cast(toString(`user_id`), 'Nullable(String)'), cast(toString(`display_name`), 'Nullable(String)'), cast(toString(`profile_image_url`), 'Nullable(String)'), cast(replaceRegexpOne(toString(`user`), '"last_active_at_millis": [^,}]*', ''), 'Nullable(String)'), cast(toString(reinterpretAsInt64(`created_at`)), 'Nullable(String)')] as sync_texts
  from `analytics_internal`.`team_member_profiles` final prewhere true
  where sync_is_deleted = 0 and [toString(`team_id`), toString(`user_id`)] in (['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001']);

select sync_tenancy, sync_number
  from (select toString(tenancy_id) as sync_tenancy, sync_sequence_id as sync_number
  from `analytics_internal`.`team_member_profiles`
  where true
  union all select toString(tenancy_id), sequence_id
  from `analytics_internal`.`sync_checkpoint`
  where mapping_id = 'team_member_profiles' and true)
  order by sync_number desc limit 1 settings final = 0;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\", \\"00000000-0000-0000-0000-000000000001\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)) select asked.position, "source"."sequenceId", "source"."shouldUpdateSequenceId" and coalesce(true, false), exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."ProjectUser", t.match) as "feeding" 
  where t.dependant_id = 'team_member_profiles.member' and source."tenancyId" = "feeding"."tenancyId" and source."projectUserId" = "feeding"."projectUserId") or exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."ContactChannel", t.match) as "feeding" 
  where t.dependant_id = 'team_member_profiles.email' and source."tenancyId" = "feeding"."tenancyId" and source."projectUserId" = "feeding"."projectUserId") or exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."TeamMember", t.match) as "feeding" 
  where t.dependant_id = 'team_member_profiles.@tenancy' and source."tenancyId" = "feeding"."tenancyId"), case when true and "source"."tenancyId" = asked.tenancy_id and tenancy.tenancy_id is not null then array[(tenancy.columns->>'project_id'), (tenancy.columns->>'branch_id'), ((source."teamId")::uuid)::text, ((source."projectUserId")::uuid)::text, ((source."displayName")::text)::text, ((source."profileImageUrl")::text)::text, regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
) end)::jsonb, 'null'::jsonb))::text, '"last_active_at_millis": [^,}]*', ''), trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text]::text[] end, source.xmin::text
  from asked
  cross join lateral jsonb_populate_record(null::"public"."TeamMember", jsonb_build_object('tenancyId', asked.tenancy_id, 'teamId', asked.key[1], 'projectUserId', asked.key[2])) as "wanted"
  join "public"."TeamMember" as source on "source"."teamId" = "wanted"."teamId" and "source"."projectUserId" = "wanted"."projectUserId" and "source"."tenancyId" = asked.tenancy_id
  left join "public"."ProjectUser" as "member" on "member"."tenancyId" = source."tenancyId" and "member"."projectUserId" = source."projectUserId"
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  left join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\", \\"00000000-0000-0000-0000-000000000001\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)), buried as materialized (select t.tenancy_id, t.sequence_id, array[((source."teamId")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."TeamMember", t.identity) as "source"
  where t.mapping_id = 'team_member_profiles' and t.sequence_id is not null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)
  union all select t.tenancy_id, t.sequence_id, array[((source."teamId")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."TeamMember", t.identity) as "source"
  where t.mapping_id = 'team_member_profiles' and t.sequence_id is null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)) select position, max(sequence_id), bool_or(sequence_id is null)
  from asked
  join buried using (key)
  where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position;

