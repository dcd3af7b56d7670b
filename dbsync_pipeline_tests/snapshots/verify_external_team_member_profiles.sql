select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(regexp_replace((nullif((case when member."projectUserId" is not null then jsonb_build_object(
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
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') as canonical
  from "public"."TeamMember" as source
  left join "public"."ProjectUser" as "member" on "member"."tenancyId" = source."tenancyId" and "member"."projectUserId" = source."projectUserId"
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and tenancy.tenancy_id = '00000000000000000000000000000001'::uuid and true) as rows group by tenancy_id;

select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select "target"."tenancy_id", coalesce(octet_length((target."team_id")::text)::text || ':' || (target."team_id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."display_name")::text)::text || ':' || (target."display_name")::text, '-') || coalesce(octet_length((target."profile_image_url")::text)::text || ':' || (target."profile_image_url")::text, '-') || coalesce(octet_length(regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''))::text || ':' || regexp_replace((target."user")::text, '"last_active_at_millis": [^,}]*', ''), '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') as canonical
  from "dbsync"."team_member_profiles" as target
  where "target"."tenancy_id" = '00000000000000000000000000000001'::uuid) as rows group by tenancy_id;

