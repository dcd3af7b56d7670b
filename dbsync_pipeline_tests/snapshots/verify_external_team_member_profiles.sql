select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'team_member_profiles' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'team_member_profiles' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."teamId")::uuid)::text, ((source."projectUserId")::uuid)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'team_member_profiles' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select tenancy_id::text, count(*), sum(hash)
  from (select "target"."tenancy_id" as tenancy_id, ('x' || left(md5(coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."display_name")::text)::text || ':' || (target."display_name")::text, '-') || coalesce(octet_length((target."profile_image_url")::text)::text || ':' || (target."profile_image_url")::text, '-') || coalesce(octet_length(regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."team_member_profiles" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."display_name")::text)::text || ':' || (target."display_name")::text, '-') || coalesce(octet_length((target."profile_image_url")::text)::text || ':' || (target."profile_image_url")::text, '-') || coalesce(octet_length(regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."team_member_profiles" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select "target"."tenancy_id" as tenancy_id, array[(target."team_id")::text, (target."user_id")::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."display_name")::text)::text || ':' || (target."display_name")::text, '-') || coalesce(octet_length((target."profile_image_url")::text)::text || ':' || (target."profile_image_url")::text, '-') || coalesce(octet_length(regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "dbsync"."team_member_profiles" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed
  where bucket = any('{1,2}'::int2[]);

select "target"."tenancy_id"::text, array[(target."team_id")::text, (target."user_id")::text]::text[], "target"."sync_sequence_id", array[(target."team_id")::text, (target."user_id")::text, (target."display_name")::text, (target."profile_image_url")::text, regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''), trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text]::text[]
  from "dbsync"."team_member_profiles" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and array[(target."team_id")::text, (target."user_id")::text]::text[] in ('{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001}');

select '00000000-0000-0000-0000-000000000001', greatest((select max("target"."sync_sequence_id")
  from "dbsync"."team_member_profiles" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid), (select sequence_id
  from "dbsync"."sync_checkpoint" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and mapping_id = 'team_member_profiles'));

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
  where t.dependant_id = 'team_member_profiles.@tenancy' and source."tenancyId" = "feeding"."tenancyId"), case when true and "source"."tenancyId" = asked.tenancy_id and tenancy.tenancy_id is not null then array[((source."teamId")::uuid)::text, ((source."projectUserId")::uuid)::text, ((source."displayName")::text)::text, ((source."profileImageUrl")::text)::text, regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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

