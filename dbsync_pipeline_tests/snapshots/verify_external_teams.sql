select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length(((source."teamId")::uuid)::text)::text || ':' || ((source."teamId")::uuid)::text, '-') || coalesce(octet_length(((source."displayName")::text)::text)::text || ':' || ((source."displayName")::text)::text, '-') || coalesce(octet_length(((source."profileImageUrl")::text)::text)::text || ':' || ((source."profileImageUrl")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') || coalesce(octet_length((coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text)::text || ':' || (coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)))::text, '-') as canonical
  from "public"."Team" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and tenancy.tenancy_id = '00000000000000000000000000000001'::uuid and true) as rows group by tenancy_id;

select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select "target"."tenancy_id", coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."display_name")::text)::text || ':' || (target."display_name")::text, '-') || coalesce(octet_length((target."profile_image_url")::text)::text || ':' || (target."profile_image_url")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."client_metadata")::text)::text || ':' || (target."client_metadata")::text, '-') || coalesce(octet_length((target."client_read_only_metadata")::text)::text || ':' || (target."client_read_only_metadata")::text, '-') || coalesce(octet_length((target."server_metadata")::text)::text || ':' || (target."server_metadata")::text, '-') as canonical
  from "dbsync"."teams" as target
  where "target"."tenancy_id" = '00000000000000000000000000000001'::uuid) as rows group by tenancy_id;

