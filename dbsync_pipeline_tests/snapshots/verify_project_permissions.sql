select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."permissionId")::text)::text)::text || ':' || ((source."permissionId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') as canonical
  from "public"."ProjectUserDirectPermission" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and true) as rows group by tenancy_id;

select toString(tenancy_id), count(), sum(toInt256(reinterpretAsInt64(reverse(substring(MD5(concat(ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'), ifNull(concat(toString(length(toString(`permission_id`))), ':', toString(`permission_id`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'))), 1, 8)))))
  from `analytics`.`project_permissions` group by tenancy_id;

