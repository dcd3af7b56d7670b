select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."notificationCategoryId")::text)::text)::text || ':' || ((source."notificationCategoryId")::text)::text, '-') || coalesce(octet_length(((source."enabled")::boolean)::text)::text || ':' || ((source."enabled")::boolean)::text, '-') as canonical
  from "public"."UserNotificationPreference" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and true) as rows group by tenancy_id;

select toString(tenancy_id), count(), sum(toInt256(reinterpretAsInt64(reverse(substring(MD5(concat(ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'), ifNull(concat(toString(length(toString(`notification_category_id`))), ':', toString(`notification_category_id`)), '-'), ifNull(concat(toString(length(toString(`enabled`))), ':', toString(`enabled`)), '-'))), 1, 8)))))
  from `analytics`.`notification_preferences` group by tenancy_id;

