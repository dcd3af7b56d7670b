select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."projectUserId")::uuid)::text)::text || ':' || ((source."projectUserId")::uuid)::text, '-') || coalesce(octet_length(((source."refreshTokenId")::uuid)::text)::text || ':' || ((source."refreshTokenId")::uuid)::text, '-') || coalesce(octet_length(trunc(extract(epoch
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
  where tenancy.deleted_at is null and tenancy.tenancy_id = '00000000000000000000000000000001'::uuid and true) as rows group by tenancy_id;

select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select "target"."tenancy_id", coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."user_id")::text)::text || ':' || (target."user_id")::text, '-') || coalesce(octet_length((target."refresh_token_id")::text)::text || ':' || (target."refresh_token_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."last_event_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."last_event_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."chunk_count")::text)::text || ':' || (target."chunk_count")::text, '-') || coalesce(octet_length((target."event_count")::text)::text || ':' || (target."event_count")::text, '-') || coalesce(octet_length((target."byte_length")::text)::text || ':' || (target."byte_length")::text, '-') as canonical
  from "dbsync"."session_replays" as target
  where "target"."tenancy_id" = '00000000000000000000000000000001'::uuid) as rows group by tenancy_id;

