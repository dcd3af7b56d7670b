select tenancy.tenancy_id::uuid, (source."id")::uuid, (team."teamId")::uuid, (team."displayName")::text, coalesce((source."method"->>'email')::text, ('')::text), (floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."expiresAt")
)) * 1000))::bigint, (case when source."usedAt" is not null then floor(extract(epoch
  from greatest(
  '1900-01-01'::timestamp, least('2299-12-31 23:59:59.999'::timestamp, source."usedAt")
)) * 1000) end)::bigint, (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end), row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "dbsync"."placement"
  where mapping_id = 'team_invitations' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as placement
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", placement.identity) as "placed"
  join "public"."VerificationCode" as source on "source"."projectId" = "placed"."projectId" and "source"."branchId" = "placed"."branchId" and "source"."id" = "placed"."id"
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  inner join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  where tenancy.deleted_at is null and (source."type" = 'TEAM_INVITATION') and (team."tenancyId") = slice.tenancy_id
  union all select tenancy.tenancy_id::uuid, (source."id")::uuid, null::uuid, null::text, null::text, null::bigint, null::bigint, null::timestamp(3), -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'team_invitations' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", t.identity) as "source"
  where not slice.first
  union all select tenancy.tenancy_id::uuid, (source."id")::uuid, null::uuid, null::text, null::text, null::bigint, null::bigint, null::timestamp(3), -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "dbsync"."placement"
  where mapping_id = 'team_invitations' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as placement
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", placement.identity) as "placed"
  join "public"."VerificationCode" as source on "source"."projectId" = "placed"."projectId" and "source"."branchId" = "placed"."branchId" and "source"."id" = "placed"."id"
  where (source."type" = 'TEAM_INVITATION') and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first;

delete
  from "dbsync"."team_invitations" as target using unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamp[], %s::bigint[]) as staged ("tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id")
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."id" = "staged"."id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."team_invitations" as target ("tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id") select "tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id"
  from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamp[], %s::bigint[]) as staged ("tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id")
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "id") do update set "team_id" = "excluded"."team_id", "team_display_name" = "excluded"."team_display_name", "recipient_email" = "excluded"."recipient_email", "expires_at_millis" = "excluded"."expires_at_millis", "used_at_millis" = "excluded"."used_at_millis", "created_at" = "excluded"."created_at", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

create temporary table "pg_temp"."dbsync_team_invitations" ("tenancy_id" uuid, "id" uuid, "team_id" uuid, "team_display_name" text, "recipient_email" text, "expires_at_millis" bigint, "used_at_millis" bigint, "created_at" timestamp(3), "sync_sequence_id" bigint) on commit delete rows;

truncate "pg_temp"."dbsync_team_invitations";

copy "pg_temp"."dbsync_team_invitations" ("tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id")
  from stdin (format binary);

select count(*) filter (where "tenancy_id" is distinct
  from %s), count(*) filter (where "sync_sequence_id" < 0)
  from "pg_temp"."dbsync_team_invitations";

delete
  from "dbsync"."team_invitations" as target using "pg_temp"."dbsync_team_invitations" as staged
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."id" = "staged"."id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."team_invitations" as target ("tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id") select "tenancy_id", "id", "team_id", "team_display_name", "recipient_email", "expires_at_millis", "used_at_millis", "created_at", "sync_sequence_id"
  from "pg_temp"."dbsync_team_invitations" as staged
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "id") do update set "team_id" = "excluded"."team_id", "team_display_name" = "excluded"."team_display_name", "recipient_email" = "excluded"."recipient_email", "expires_at_millis" = "excluded"."expires_at_millis", "used_at_millis" = "excluded"."used_at_millis", "created_at" = "excluded"."created_at", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

