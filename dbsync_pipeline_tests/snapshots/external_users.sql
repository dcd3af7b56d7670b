select tenancy.tenancy_id::uuid, (source."projectUserId")::uuid, (source."displayName")::text, (source."profileImageUrl")::text, (email."value")::text, coalesce((email."isVerified")::boolean, (false)::boolean), (case
  when (source."signedUpAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."signedUpAt")::timestamp(3))) end), coalesce(nullif((source."clientMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)), coalesce(nullif((source."clientReadOnlyMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)), coalesce(nullif((source."serverMetadata")::jsonb, 'null'::jsonb), nullif(('{}')::jsonb, 'null'::jsonb)), (source."isAnonymous")::boolean, row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as tenancy using (tenancy_id)
  cross join lateral (select *
  from "public"."ProjectUser" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  left join "public"."ContactChannel" as "email" on "email"."tenancyId" = source."tenancyId" and "email"."projectUserId" = source."projectUserId" and "email"."type" = 'EMAIL' and "email"."isPrimary" = 'TRUE'
  where tenancy.deleted_at is null and true and "source"."tenancyId" = slice.tenancy_id
  union all select tenancy.tenancy_id::uuid, (source."projectUserId")::uuid, null::text, null::text, null::text, null::boolean, null::timestamp(3), null::jsonb, null::jsonb, null::jsonb, null::boolean, -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy
  cross join lateral (select *
  from "dbsync"."tombstone"
  where mapping_id = 'users' and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto offset 0) as t
  cross join lateral (select t.sequence_id) as row_number
  cross join lateral jsonb_populate_record(null::"public"."ProjectUser", t.identity) as "source"
  where not slice.first
  union all select tenancy.tenancy_id::uuid, (source."projectUserId")::uuid, null::text, null::text, null::text, null::boolean, null::timestamp(3), null::jsonb, null::jsonb, null::jsonb, null::boolean, -row_number.sequence_id
  from (select (ordinality - 1)::integer as position, tenancy_id, after, upto, first
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice
  join "dbsync"."tenancy" as known using (tenancy_id)
  cross join lateral (select known.tenancy_id, place.columns
  from jsonb_array_elements(known.former || known.columns) as place (columns)
  where known.deleted_at is not null) as tenancy
  cross join lateral (select source.*
  from (select) as here
  cross join lateral (select *
  from "public"."ProjectUser" as source
  where "source"."tenancyId" = slice.tenancy_id and "source"."sequenceId" > slice.after and "source"."sequenceId" <= slice.upto offset 0) as source
  where true and tenancy.columns is not null offset 0) as source
  cross join lateral (select "source"."sequenceId" as sequence_id) as row_number
  where not slice.first;

delete
  from "dbsync"."users" as target using unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::timestamp[], %s::jsonb[], %s::jsonb[], %s::jsonb[], %s::boolean[], %s::bigint[]) as staged ("tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id")
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."id" = "staged"."id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."users" as target ("tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id") select "tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id"
  from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::timestamp[], %s::jsonb[], %s::jsonb[], %s::jsonb[], %s::boolean[], %s::bigint[]) as staged ("tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id")
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "id") do update set "display_name" = "excluded"."display_name", "profile_image_url" = "excluded"."profile_image_url", "primary_email" = "excluded"."primary_email", "primary_email_verified" = "excluded"."primary_email_verified", "signed_up_at" = "excluded"."signed_up_at", "client_metadata" = "excluded"."client_metadata", "client_read_only_metadata" = "excluded"."client_read_only_metadata", "server_metadata" = "excluded"."server_metadata", "is_anonymous" = "excluded"."is_anonymous", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

create temporary table "pg_temp"."dbsync_users" ("tenancy_id" uuid, "id" uuid, "display_name" text, "profile_image_url" text, "primary_email" text, "primary_email_verified" boolean, "signed_up_at" timestamp(3), "client_metadata" jsonb, "client_read_only_metadata" jsonb, "server_metadata" jsonb, "is_anonymous" boolean, "sync_sequence_id" bigint) on commit delete rows;

truncate "pg_temp"."dbsync_users";

copy "pg_temp"."dbsync_users" ("tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id")
  from stdin (format binary);

select count(*) filter (where "tenancy_id" is distinct
  from %s), count(*) filter (where "sync_sequence_id" < 0)
  from "pg_temp"."dbsync_users";

delete
  from "dbsync"."users" as target using "pg_temp"."dbsync_users" as staged
  where "staged"."sync_sequence_id" < 0 and "target"."tenancy_id" = "staged"."tenancy_id" and "target"."id" = "staged"."id" and "target"."sync_sequence_id" <= -"staged"."sync_sequence_id";

insert into "dbsync"."users" as target ("tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id") select "tenancy_id", "id", "display_name", "profile_image_url", "primary_email", "primary_email_verified", "signed_up_at", "client_metadata", "client_read_only_metadata", "server_metadata", "is_anonymous", "sync_sequence_id"
  from "pg_temp"."dbsync_users" as staged
  where "sync_sequence_id" >= 0
  on conflict ("tenancy_id", "id") do update set "display_name" = "excluded"."display_name", "profile_image_url" = "excluded"."profile_image_url", "primary_email" = "excluded"."primary_email", "primary_email_verified" = "excluded"."primary_email_verified", "signed_up_at" = "excluded"."signed_up_at", "client_metadata" = "excluded"."client_metadata", "client_read_only_metadata" = "excluded"."client_read_only_metadata", "server_metadata" = "excluded"."server_metadata", "is_anonymous" = "excluded"."is_anonymous", "sync_sequence_id" = "excluded"."sync_sequence_id"
  where "target"."sync_sequence_id" <= "excluded"."sync_sequence_id";

