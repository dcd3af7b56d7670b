select tenancy.tenancy_id::uuid, (source."teamId")::uuid, (source."projectUserId")::uuid, (source."permissionId")::text, (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end), row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "public"."TeamMemberDirectPermission" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number 
  where tenancy.deleted_at is null and true and "source"."tenancyId" = slice.tenancy_id
  union all select tenancy.tenancy_id::uuid, (source."teamId")::uuid, (source."projectUserId")::uuid, (source."permissionId")::text, null::timestamp(3), -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'team_permissions' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."TeamMemberDirectPermission", t.identity) as "source"
  where not slice.first
  union all select tenancy.tenancy_id::uuid, (source."teamId")::uuid, (source."projectUserId")::uuid, (source."permissionId")::text, null::timestamp(3), -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "public"."TeamMemberDirectPermission" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  where true and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first;

delete
  from "dbsync"."team_permissions" as target using unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamp[], %s::bigint[]) as staged ("tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id")
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."team_id" = "staged"."team_id" and "target"."user_id" = "staged"."user_id" and "target"."permission_id" = "staged"."permission_id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."team_permissions" as target ("tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id") select "tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id"
  from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamp[], %s::bigint[]) as staged ("tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id")
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "team_id", "user_id", "permission_id") do update set "created_at" = "excluded"."created_at", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

create temporary table "pg_temp"."dbsync_team_permissions" ("tenancy_id" uuid, "team_id" uuid, "user_id" uuid, "permission_id" text, "created_at" timestamp(3), "sync_sequence_id" bigint) on commit delete rows;

truncate "pg_temp"."dbsync_team_permissions";

copy "pg_temp"."dbsync_team_permissions" ("tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id")
  from stdin (format binary);

select count(*) filter (where "tenancy_id" is distinct
  from %s), count(*) filter (where "sync_sequence_id" < 0)
  from "pg_temp"."dbsync_team_permissions";

delete
  from "dbsync"."team_permissions" as target using "pg_temp"."dbsync_team_permissions" as staged
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."team_id" = "staged"."team_id" and "target"."user_id" = "staged"."user_id" and "target"."permission_id" = "staged"."permission_id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."team_permissions" as target ("tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id") select "tenancy_id", "team_id", "user_id", "permission_id", "created_at", "sync_sequence_id"
  from "pg_temp"."dbsync_team_permissions" as staged
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "team_id", "user_id", "permission_id") do update set "created_at" = "excluded"."created_at", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

