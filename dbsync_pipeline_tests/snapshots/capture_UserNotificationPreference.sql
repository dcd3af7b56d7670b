create or replace function "dbsync"."fresh_UserNotificationPreference"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
begin new."sequenceId" := null;
new."shouldUpdateSequenceId" := true;
return new;
end';

create or replace trigger "zz_dbsync_fresh" before insert on "public"."UserNotificationPreference" 
  for each row
  when (new."sequenceId" is not null or new."shouldUpdateSequenceId" is not true)
  execute function "dbsync"."fresh_UserNotificationPreference"();

create or replace function "dbsync"."mark_UserNotificationPreference"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"seen" boolean;
"left_1" boolean;
begin begin if (row("old"."enabled", "old"."id", "old"."notificationCategoryId", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."enabled", "new"."id", "new"."notificationCategoryId", "new"."projectUserId", "new"."tenancyId")::record) then "seen" := true;
 "left_1" := (row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record);
 end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "seen" := (row("old"."enabled", "old"."id", "old"."notificationCategoryId", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."enabled", "new"."id", "new"."notificationCategoryId", "new"."projectUserId", "new"."tenancyId")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then seen := true;
end;
begin "left_1" := (row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then "left_1" := false;
end;
end;
if seen then if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := true;
end if;
elsif (row("old"."sequenceId", "old"."shouldUpdateSequenceId")::record operator(pg_catalog.*<>) row("new"."sequenceId", "new"."shouldUpdateSequenceId")::record) then if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := old."shouldUpdateSequenceId" or coalesce(new."shouldUpdateSequenceId", false);
end if;
end if;
if "left_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''notification_preferences'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from (select old.*) as source
  where true and ((row("old"."tenancyId", "old"."id")::record operator(pg_catalog.*<>) row("new"."tenancyId", "new"."id")::record) or not exists (select
  from (select new.*) as source
  where true));
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."UserNotificationPreference" 
  for each row 
  execute function "dbsync"."mark_UserNotificationPreference"();

create or replace function "dbsync"."update_UserNotificationPreference"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin perform (row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record);
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''notification_preferences'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_update" after update of "id", "tenancyId" on "public"."UserNotificationPreference" 
  for each row when ((row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record))
  execute function "dbsync"."update_UserNotificationPreference"();

create or replace function "dbsync"."delete_UserNotificationPreference"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"kept_1" boolean;
begin begin "kept_1" := (row("old"."tenancyId", "old"."id") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "kept_1" := false;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''notification_preferences'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from (select old.*) as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''notification_preferences'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "kept_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''notification_preferences'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from (select old.*) as source
  where true;
end if;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."UserNotificationPreference" 
  for each row 
  execute function "dbsync"."delete_UserNotificationPreference"();

create or replace function "dbsync"."truncate_UserNotificationPreference"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''notification_preferences'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from "public"."UserNotificationPreference" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''notification_preferences'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."UserNotificationPreference" 
  for each statement 
  execute function "dbsync"."truncate_UserNotificationPreference"();

