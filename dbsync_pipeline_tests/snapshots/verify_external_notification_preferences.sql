select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."notificationCategoryId")::text)::text)::text || ':' || ((source."notificationCategoryId")::text)::text, '-') || coalesce(octet_length(((source."enabled")::boolean)::text)::text || ':' || ((source."enabled")::boolean)::text, '-') as canonical
  from "public"."UserNotificationPreference" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and tenancy.tenancy_id = '00000000000000000000000000000001'::uuid and true) as rows group by tenancy_id;

select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select "target"."tenancy_id", coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."notification_category_id")::text)::text || ':' || (target."notification_category_id")::text, '-') || coalesce(octet_length((target."enabled")::text)::text || ':' || (target."enabled")::text, '-') as canonical
  from "dbsync"."notification_preferences" as target
  where "target"."tenancy_id" = '00000000000000000000000000000001'::uuid) as rows group by tenancy_id;

