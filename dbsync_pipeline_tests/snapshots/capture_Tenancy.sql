create or replace function "dbsync"."insert_Tenancy"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin insert into "dbsync"."tenancy" as known (tenancy_id, columns) select "source"."id", jsonb_build_object(''project_id'', "source"."projectId", ''branch_id'', "source"."branchId")
  from "new_rows" as source
  on conflict (tenancy_id) do update set columns = excluded.columns, deleted_at = null, former = known.former || case when known.columns <> excluded.columns and not known.former @> jsonb_build_array(known.columns) then jsonb_build_array(known.columns) else ''[]'' end;
for fresh in select *
  from new_rows loop insert into "dbsync"."touch" (dependant_id, match) select ''connected_accounts.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''contact_channels.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''email_outboxes.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''notification_preferences.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''project_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''refresh_tokens.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''session_replays.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_invitations.@tenancy'', jsonb_build_object(''tenancy_id'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_member_profiles.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''teams.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''users.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "fresh"."id" as tenancy_id) as one;
end loop;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''@tenancy'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_insert" after insert on "public"."Tenancy"
  referencing new table as new_rows
  for each statement 
  execute function "dbsync"."insert_Tenancy"();

create or replace function "dbsync"."applied_Tenancy"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin insert into "dbsync"."tenancy" as known (tenancy_id, columns) select "source"."id", jsonb_build_object(''project_id'', "source"."projectId", ''branch_id'', "source"."branchId")
  from (select new.*) as source
  on conflict (tenancy_id) do update set columns = excluded.columns, deleted_at = null, former = known.former || case when known.columns <> excluded.columns and not known.former @> jsonb_build_array(known.columns) then jsonb_build_array(known.columns) else ''[]'' end;
insert into "dbsync"."touch" (dependant_id, match) select ''connected_accounts.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''contact_channels.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''email_outboxes.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''notification_preferences.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''project_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''refresh_tokens.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''session_replays.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_invitations.@tenancy'', jsonb_build_object(''tenancy_id'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_member_profiles.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''teams.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''users.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''@tenancy'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_applied" after insert on "public"."Tenancy" 
  for each row 
  execute function "dbsync"."applied_Tenancy"();

create or replace function "dbsync"."update_Tenancy"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin if (row("old"."branchId", "old"."id", "old"."projectId")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."id", "new"."projectId")::record) then if (row("old"."id")::record operator(pg_catalog.*<>) row("new"."id")::record) then update "dbsync"."tenancy" set deleted_at = clock_timestamp()
  where tenancy_id = "old"."id";
insert into "dbsync"."touch" (dependant_id, match) select ''connected_accounts.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''contact_channels.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''email_outboxes.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''notification_preferences.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''project_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''refresh_tokens.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''session_replays.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_invitations.@tenancy'', jsonb_build_object(''tenancy_id'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_member_profiles.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''teams.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''users.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
end if;
insert into "dbsync"."tenancy" as known (tenancy_id, columns) select "source"."id", jsonb_build_object(''project_id'', "source"."projectId", ''branch_id'', "source"."branchId")
  from (select new.*) as source
  on conflict (tenancy_id) do update set columns = excluded.columns, deleted_at = null, former = known.former || case when known.columns <> excluded.columns and not known.former @> jsonb_build_array(known.columns) then jsonb_build_array(known.columns) else ''[]'' end;
insert into "dbsync"."touch" (dependant_id, match) select ''connected_accounts.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''contact_channels.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''email_outboxes.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''notification_preferences.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''project_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''refresh_tokens.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''session_replays.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_invitations.@tenancy'', jsonb_build_object(''tenancy_id'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_member_profiles.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''teams.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''users.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "new"."id" as tenancy_id) as one;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''@tenancy'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_update" after update on "public"."Tenancy" 
  for each row when ((row("old"."branchId", "old"."id", "old"."projectId")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."id", "new"."projectId")::record))
  execute function "dbsync"."update_Tenancy"();

create or replace function "dbsync"."delete_Tenancy"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin update "dbsync"."tenancy" set deleted_at = clock_timestamp()
  where tenancy_id = "old"."id";
insert into "dbsync"."touch" (dependant_id, match) select ''connected_accounts.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''contact_channels.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''email_outboxes.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''notification_preferences.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''project_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''refresh_tokens.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''session_replays.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_invitations.@tenancy'', jsonb_build_object(''tenancy_id'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_member_profiles.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''teams.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''users.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "old"."id" as tenancy_id) as one;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''@tenancy'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."Tenancy" 
  for each row 
  execute function "dbsync"."delete_Tenancy"();

create or replace function "dbsync"."truncate_Tenancy"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin for gone in select *
  from "public"."Tenancy" loop update "dbsync"."tenancy" set deleted_at = clock_timestamp()
  where tenancy_id = "gone"."id";
insert into "dbsync"."touch" (dependant_id, match) select ''connected_accounts.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''contact_channels.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''email_outboxes.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''notification_preferences.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''project_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''refresh_tokens.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''session_replays.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_invitations.@tenancy'', jsonb_build_object(''tenancy_id'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_member_profiles.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''team_permissions.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''teams.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
insert into "dbsync"."touch" (dependant_id, match) select ''users.@tenancy'', jsonb_build_object(''tenancyId'', tenancy_id)
  from (select "gone"."id" as tenancy_id) as one;
end loop;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''@tenancy'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."Tenancy" 
  for each statement 
  execute function "dbsync"."truncate_Tenancy"();

