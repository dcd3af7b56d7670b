select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length((tenancy.columns->>'project_id'))::text || ':' || (tenancy.columns->>'project_id'), '-') || coalesce(octet_length((tenancy.columns->>'branch_id'))::text || ':' || (tenancy.columns->>'branch_id'), '-') || coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."refreshTokenId")::uuid)::text)::text || ':' || ((source."refreshTokenId")::uuid)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."lastEventAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."lastEventAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."lastEventAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."lastEventAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((chunks."chunk_count")::bigint)::text)::text || ':' || ((chunks."chunk_count")::bigint)::text, '-') || coalesce(octet_length((coalesce((chunks."event_count")::bigint, (0)::bigint))::text)::text || ':' || (coalesce((chunks."event_count")::bigint, (0)::bigint))::text, '-') || coalesce(octet_length((coalesce((chunks."byte_length")::bigint, (0)::bigint))::text)::text || ':' || (coalesce((chunks."byte_length")::bigint, (0)::bigint))::text, '-') as canonical
  from "public"."SessionReplay" as source
  left join lateral (select count(*) as "chunk_count", sum(chunks."eventCount") as "event_count", sum(chunks."byteLength") as "byte_length"
  from "public"."SessionReplayChunk" as "chunks"
  where "chunks"."tenancyId" = source."tenancyId" and "chunks"."sessionReplayId" = source."id") as "chunks" on true
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and true) as rows group by tenancy_id;

select toString(tenancy_id), count(), sum(toInt256(reinterpretAsInt64(reverse(substring(MD5(concat(ifNull(concat(toString(length(`project_id`)), ':', `project_id`), '-'), ifNull(concat(toString(length(`branch_id`)), ':', `branch_id`), '-'), ifNull(concat(toString(length(toString(`id`))), ':', toString(`id`)), '-'), ifNull(concat(toString(length(toString(`user_id`))), ':', toString(`user_id`)), '-'), ifNull(concat(toString(length(toString(`refresh_token_id`))), ':', toString(`refresh_token_id`)), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`started_at`)))), ':', toString(reinterpretAsInt64(`started_at`))), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`last_event_at`)))), ':', toString(reinterpretAsInt64(`last_event_at`))), '-'), ifNull(concat(toString(length(toString(reinterpretAsInt64(`created_at`)))), ':', toString(reinterpretAsInt64(`created_at`))), '-'), ifNull(concat(toString(length(toString(`chunk_count`))), ':', toString(`chunk_count`)), '-'), ifNull(concat(toString(length(toString(`event_count`))), ':', toString(`event_count`)), '-'), ifNull(concat(toString(length(toString(`byte_length`))), ':', toString(`byte_length`)), '-'))), 1, 8)))))
  from `analytics`.`session_replays` group by tenancy_id;

