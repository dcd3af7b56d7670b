create or replace function "dbsync"."fresh_ContactChannel"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
begin new."sequenceId" := null;
new."shouldUpdateSequenceId" := true;
return new;
end';

create or replace trigger "zz_dbsync_fresh" before insert on "public"."ContactChannel" 
  for each row
  when (new."sequenceId" is not null or new."shouldUpdateSequenceId" is not true)
  execute function "dbsync"."fresh_ContactChannel"();

create or replace function "dbsync"."mark_ContactChannel"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"seen" boolean;
"left_1" boolean;
"fed_1" boolean;
"was_1" boolean;
"now_1" boolean;
begin begin if (row("old"."createdAt", "old"."id", "old"."isPrimary", "old"."isVerified", "old"."projectUserId", "old"."tenancyId", "old"."type", "old"."usedForAuth", "old"."value")::record operator(pg_catalog.*<>) row("new"."createdAt", "new"."id", "new"."isPrimary", "new"."isVerified", "new"."projectUserId", "new"."tenancyId", "new"."type", "new"."usedForAuth", "new"."value")::record) then "seen" := true;
 "left_1" := (row("old"."id", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."projectUserId", "new"."tenancyId")::record);
 "fed_1" := (row("old"."isPrimary", "old"."isVerified", "old"."projectUserId", "old"."tenancyId", "old"."type", "old"."value")::record operator(pg_catalog.*<>) row("new"."isPrimary", "new"."isVerified", "new"."projectUserId", "new"."tenancyId", "new"."type", "new"."value")::record);
if "fed_1" then "was_1" := "old"."type" = ''EMAIL'' and "old"."isPrimary" = ''TRUE'' and (row("old"."tenancyId", "old"."projectUserId") is null) is not null;
"now_1" := "new"."type" = ''EMAIL'' and "new"."isPrimary" = ''TRUE'' and (row("new"."tenancyId", "new"."projectUserId") is null) is not null;
end if;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "seen" := (row("old"."createdAt", "old"."id", "old"."isPrimary", "old"."isVerified", "old"."projectUserId", "old"."tenancyId", "old"."type", "old"."usedForAuth", "old"."value")::record operator(pg_catalog.*<>) row("new"."createdAt", "new"."id", "new"."isPrimary", "new"."isVerified", "new"."projectUserId", "new"."tenancyId", "new"."type", "new"."usedForAuth", "new"."value")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then seen := true;
end;
begin "left_1" := (row("old"."id", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."projectUserId", "new"."tenancyId")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then "left_1" := false;
end;
begin "fed_1" := (row("old"."isPrimary", "old"."isVerified", "old"."projectUserId", "old"."tenancyId", "old"."type", "old"."value")::record operator(pg_catalog.*<>) row("new"."isPrimary", "new"."isVerified", "new"."projectUserId", "new"."tenancyId", "new"."type", "new"."value")::record);
if "fed_1" then "was_1" := "old"."type" = ''EMAIL'' and "old"."isPrimary" = ''TRUE'' and (row("old"."tenancyId", "old"."projectUserId") is null) is not null;
"now_1" := "new"."type" = ''EMAIL'' and "new"."isPrimary" = ''TRUE'' and (row("new"."tenancyId", "new"."projectUserId") is null) is not null;
end if;
if "fed_1" then if "was_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId"));
end if;
"fed_1" := false;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then "fed_1" := false;
if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then begin "was_1" := "old"."type" = ''EMAIL'' and "old"."isPrimary" = ''TRUE'' and (row("old"."tenancyId", "old"."projectUserId") is null) is not null;
"now_1" := "new"."type" = ''EMAIL'' and "new"."isPrimary" = ''TRUE'' and (row("new"."tenancyId", "new"."projectUserId") is null) is not null;
if "was_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_member_profiles'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end), (''users'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end if;
end;
end;
if seen then if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := true;
end if;
elsif (row("old"."sequenceId", "old"."shouldUpdateSequenceId")::record operator(pg_catalog.*<>) row("new"."sequenceId", "new"."shouldUpdateSequenceId")::record) then if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := old."shouldUpdateSequenceId" or coalesce(new."shouldUpdateSequenceId", false);
end if;
end if;
if "left_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''contact_channels'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id", ''projectUserId'', "source"."projectUserId")
  from (select old.*) as source
  where true and ((row("old"."tenancyId", "old"."id", "old"."projectUserId")::record operator(pg_catalog.*<>) row("new"."tenancyId", "new"."id", "new"."projectUserId")::record) or not exists (select
  from (select new.*) as source
  where true));
end if;
if "fed_1" then if "was_1" then if (row("old"."isPrimary", "old"."projectUserId", "old"."tenancyId", "old"."type")::record operator(pg_catalog.*<>) row("new"."isPrimary", "new"."projectUserId", "new"."tenancyId", "new"."type")::record) then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
end if;
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId"));
end if;
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."ContactChannel" 
  for each row 
  execute function "dbsync"."mark_ContactChannel"();

create or replace function "dbsync"."insert_ContactChannel"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeding" boolean;
begin begin feeding := exists (select
  from "new_rows" as source
  where ("source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE'' and (row("source"."tenancyId", "source"."projectUserId") is null) is not null));
exception when syntax_error_or_access_rule_violation or data_exception then feeding := false;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "new_rows" as source
  where "source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE'';
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_member_profiles'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''users.email'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "new_rows" as source
  where "source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE'';
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''users'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if feeding then insert into "dbsync"."touch" (dependant_id, match) select  ''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "new_rows" as source
  where "source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE''
  union all select  ''users.email'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "new_rows" as source
  where "source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE'';
end if;
return null;
end';

create or replace trigger "dbsync_insert" after insert on "public"."ContactChannel"
  referencing new table as new_rows
  for each statement 
  execute function "dbsync"."insert_ContactChannel"();

create or replace function "dbsync"."applied_ContactChannel"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeds_1" boolean;
begin begin "feeds_1" := "new"."type" = ''EMAIL'' and "new"."isPrimary" = ''TRUE'' and (row("new"."tenancyId", "new"."projectUserId") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "feeds_1" := false;
begin if "new"."type" = ''EMAIL'' and "new"."isPrimary" = ''TRUE'' and (row("new"."tenancyId", "new"."projectUserId") is null) is not null then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_member_profiles'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end), (''users'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "feeds_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId"));
end if;
return null;
end';

create or replace trigger "dbsync_applied" after insert on "public"."ContactChannel" 
  for each row 
  execute function "dbsync"."applied_ContactChannel"();

create or replace function "dbsync"."update_ContactChannel"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin perform (row("old"."id", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."projectUserId", "new"."tenancyId")::record);
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''contact_channels'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_update" after update of "id", "projectUserId", "tenancyId" on "public"."ContactChannel" 
  for each row when ((row("old"."id", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."projectUserId", "new"."tenancyId")::record))
  execute function "dbsync"."update_ContactChannel"();

create or replace function "dbsync"."delete_ContactChannel"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"kept_1" boolean;
"feeds_1" boolean;
begin begin "kept_1" := (row("old"."tenancyId", "old"."id", "old"."projectUserId") is null) is not null;
"feeds_1" := "old"."type" = ''EMAIL'' and "old"."isPrimary" = ''TRUE'' and (row("old"."tenancyId", "old"."projectUserId") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "kept_1" := false;
"feeds_1" := false;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''contact_channels'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id", ''projectUserId'', "source"."projectUserId")
  from (select old.*) as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''contact_channels'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
begin if "old"."type" = ''EMAIL'' and "old"."isPrimary" = ''TRUE'' and (row("old"."tenancyId", "old"."projectUserId") is null) is not null then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_member_profiles'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end), (''users'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "kept_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''contact_channels'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id", ''projectUserId'', "source"."projectUserId")
  from (select old.*) as source
  where true;
end if;
if "feeds_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId")), (''users.email'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
end if;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."ContactChannel" 
  for each row 
  execute function "dbsync"."delete_ContactChannel"();

create or replace function "dbsync"."truncate_ContactChannel"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''contact_channels'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id", ''projectUserId'', "source"."projectUserId")
  from "public"."ContactChannel" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''contact_channels'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''team_member_profiles.email'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "public"."ContactChannel" as source
  where "source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE'';
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_member_profiles'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''users.email'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "public"."ContactChannel" as source
  where "source"."type" = ''EMAIL'' and "source"."isPrimary" = ''TRUE'';
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''users'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."ContactChannel" 
  for each statement 
  execute function "dbsync"."truncate_ContactChannel"();

