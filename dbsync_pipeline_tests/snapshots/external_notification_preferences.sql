select tenancy.tenancy_id::uuid, (source."id")::uuid, (source."projectUserId")::uuid, (source."notificationCategoryId")::text, (source."enabled")::boolean, row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "public"."UserNotificationPreference" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number 
  where tenancy.deleted_at is null and true and "source"."tenancyId" = slice.tenancy_id
  union all select tenancy.tenancy_id::uuid, (source."id")::uuid, null::uuid, null::text, null::boolean, -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'notification_preferences' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."UserNotificationPreference", t.identity) as "source"
  where not slice.first
  union all select tenancy.tenancy_id::uuid, (source."id")::uuid, null::uuid, null::text, null::boolean, -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "public"."UserNotificationPreference" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  where true and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first;

delete
  from "dbsync"."notification_preferences" as target using unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::boolean[], %s::bigint[]) as staged ("tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id")
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."id" = "staged"."id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."notification_preferences" as target ("tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id") select "tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id"
  from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::boolean[], %s::bigint[]) as staged ("tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id")
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "id") do update set "user_id" = "excluded"."user_id", "notification_category_id" = "excluded"."notification_category_id", "enabled" = "excluded"."enabled", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

create temporary table "pg_temp"."dbsync_notification_preferences" ("tenancy_id" uuid, "id" uuid, "user_id" uuid, "notification_category_id" text, "enabled" boolean, "sync_sequence_id" bigint) on commit delete rows;

truncate "pg_temp"."dbsync_notification_preferences";

copy "pg_temp"."dbsync_notification_preferences" ("tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id")
  from stdin (format binary);

select count(*) filter (where "tenancy_id" is distinct
  from %s), count(*) filter (where "sync_sequence_id" < 0)
  from "pg_temp"."dbsync_notification_preferences";

delete
  from "dbsync"."notification_preferences" as target using "pg_temp"."dbsync_notification_preferences" as staged
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."id" = "staged"."id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."notification_preferences" as target ("tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id") select "tenancy_id", "id", "user_id", "notification_category_id", "enabled", "sync_sequence_id"
  from "pg_temp"."dbsync_notification_preferences" as staged
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "id") do update set "user_id" = "excluded"."user_id", "notification_category_id" = "excluded"."notification_category_id", "enabled" = "excluded"."enabled", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

