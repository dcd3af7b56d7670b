select slice.position, extent.*
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  cross join lateral (select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, max(sequence_id) as highest
  from ((select numbered.sequence_id, false as gone
  from (select "source"."sequenceId" as sequence_id
  from "public"."SessionReplay" as source
  where "source"."tenancyId" = slice.tenancy_id and true and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto
  order by 1 limit 1000) as numbered)
  union all (select t.sequence_id, true
  from "dbsync"."tombstone" as t
  where t.mapping_id = 'session_replays' and not slice.first and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto
  order by 1 limit 1000)
  order by 1 limit 1000) as chunk) as extent;

select slice.position, extent.*
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  cross join lateral (select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, max(sequence_id) as highest
  from ((select numbered.sequence_id, false as gone
  from (select "source"."sequenceId" as sequence_id
  from "public"."SessionReplay" as source
  where "source"."tenancyId" = slice.tenancy_id and true and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto
  order by 1 limit $5) as numbered)
  union all (select t.sequence_id, true
  from "dbsync"."tombstone" as t
  where t.mapping_id = 'session_replays' and not slice.first and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto
  order by 1 limit $5)
  order by 1 limit $5) as chunk) as extent;

copy (select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."id")::uuid, (source."projectUserId")::uuid, (source."refreshTokenId")::uuid, (case
  when (source."startedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedAt")::timestamp(3))) end), (case
  when (source."lastEventAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."lastEventAt")::timestamp(3))) end), (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end), (chunks."chunk_count")::bigint, coalesce((chunks."event_count")::bigint, (0)::bigint), coalesce((chunks."byte_length")::bigint, (0)::bigint), row_number.sequence_id, 0
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "public"."SessionReplay" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  left join lateral (select count(*) as "chunk_count", sum(chunks."eventCount") as "event_count", sum(chunks."byteLength") as "byte_length"
  from "public"."SessionReplayChunk" as "chunks"
  where "chunks"."tenancyId" = source."tenancyId" and "chunks"."sessionReplayId" = source."id") as "chunks" on true
  where tenancy.deleted_at is null and true and "source"."tenancyId" = slice.tenancy_id
  union all select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."id")::uuid, '00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid, '1970-01-01'::timestamp(3), '1970-01-01'::timestamp(3), '1970-01-01'::timestamp(3), 0::bigint, 0::bigint, 0::bigint, row_number.sequence_id, 1
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'session_replays' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."SessionReplay", t.identity) as "source"
  where not slice.first
  union all select tenancy.columns->>'project_id', tenancy.columns->>'branch_id', tenancy.tenancy_id::uuid, (source."id")::uuid, '00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid, '1970-01-01'::timestamp(3), '1970-01-01'::timestamp(3), '1970-01-01'::timestamp(3), 0::bigint, 0::bigint, 0::bigint, row_number.sequence_id, 1
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest('{"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"}'::uuid[], '{1,2}'::bigint[], '{100,100}'::bigint[], '{True,False}'::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null or place.columns <> known.columns) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "public"."SessionReplay" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  where true and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first) to stdout (format text);

