create or replace function "dbsync"."fresh_Team"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
begin new."sequenceId" := null;
new."shouldUpdateSequenceId" := true;
return new;
end';

create or replace trigger "zz_dbsync_fresh" before insert on "public"."Team" 
  for each row
  when (new."sequenceId" is not null or new."shouldUpdateSequenceId" is not true)
  execute function "dbsync"."fresh_Team"();

create or replace function "dbsync"."mark_Team"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"seen" boolean;
"left_1" boolean;
"fed_1" boolean;
"was_1" boolean;
"now_1" boolean;
begin begin if (row("old"."clientMetadata", "old"."clientReadOnlyMetadata", "old"."createdAt", "old"."displayName", "old"."mirroredBranchId", "old"."mirroredProjectId", "old"."profileImageUrl", "old"."serverMetadata", "old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."clientMetadata", "new"."clientReadOnlyMetadata", "new"."createdAt", "new"."displayName", "new"."mirroredBranchId", "new"."mirroredProjectId", "new"."profileImageUrl", "new"."serverMetadata", "new"."teamId", "new"."tenancyId")::record) then "seen" := (row("old"."clientMetadata", "old"."clientReadOnlyMetadata", "old"."createdAt", "old"."displayName", "old"."profileImageUrl", "old"."serverMetadata", "old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."clientMetadata", "new"."clientReadOnlyMetadata", "new"."createdAt", "new"."displayName", "new"."profileImageUrl", "new"."serverMetadata", "new"."teamId", "new"."tenancyId")::record);
 "left_1" := (row("old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."teamId", "new"."tenancyId")::record);
 "fed_1" := (row("old"."displayName", "old"."mirroredBranchId", "old"."mirroredProjectId", "old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."displayName", "new"."mirroredBranchId", "new"."mirroredProjectId", "new"."teamId", "new"."tenancyId")::record);
if "fed_1" then "was_1" := (row("old"."mirroredProjectId", "old"."mirroredBranchId", "old"."teamId") is null) is not null;
"now_1" := (row("new"."mirroredProjectId", "new"."mirroredBranchId", "new"."teamId") is null) is not null;
end if;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "seen" := (row("old"."clientMetadata", "old"."clientReadOnlyMetadata", "old"."createdAt", "old"."displayName", "old"."profileImageUrl", "old"."serverMetadata", "old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."clientMetadata", "new"."clientReadOnlyMetadata", "new"."createdAt", "new"."displayName", "new"."profileImageUrl", "new"."serverMetadata", "new"."teamId", "new"."tenancyId")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then seen := true;
end;
begin "left_1" := (row("old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."teamId", "new"."tenancyId")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then "left_1" := false;
end;
begin "fed_1" := (row("old"."displayName", "old"."mirroredBranchId", "old"."mirroredProjectId", "old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."displayName", "new"."mirroredBranchId", "new"."mirroredProjectId", "new"."teamId", "new"."tenancyId")::record);
if "fed_1" then "was_1" := (row("old"."mirroredProjectId", "old"."mirroredBranchId", "old"."teamId") is null) is not null;
"now_1" := (row("new"."mirroredProjectId", "new"."mirroredBranchId", "new"."teamId") is null) is not null;
end if;
if "fed_1" then if "was_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "old"."mirroredProjectId", ''mirroredBranchId'', "old"."mirroredBranchId", ''teamId'', "old"."teamId"));
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "new"."mirroredProjectId", ''mirroredBranchId'', "new"."mirroredBranchId", ''teamId'', "new"."teamId"));
end if;
"fed_1" := false;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then "fed_1" := false;
if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then begin "was_1" := (row("old"."mirroredProjectId", "old"."mirroredBranchId", "old"."teamId") is null) is not null;
"now_1" := (row("new"."mirroredProjectId", "new"."mirroredBranchId", "new"."teamId") is null) is not null;
if "was_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "old"."mirroredProjectId", ''mirroredBranchId'', "old"."mirroredBranchId", ''teamId'', "old"."teamId"));
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "new"."mirroredProjectId", ''mirroredBranchId'', "new"."mirroredBranchId", ''teamId'', "new"."teamId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
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
if "left_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''teams'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''teamId'', "source"."teamId")
  from (select old.*) as source
  where true and ((row("old"."tenancyId", "old"."teamId")::record operator(pg_catalog.*<>) row("new"."tenancyId", "new"."teamId")::record) or not exists (select
  from (select new.*) as source
  where true));
end if;
if "fed_1" then if "was_1" then if (row("old"."mirroredBranchId", "old"."mirroredProjectId", "old"."teamId")::record operator(pg_catalog.*<>) row("new"."mirroredBranchId", "new"."mirroredProjectId", "new"."teamId")::record) then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "old"."mirroredProjectId", ''mirroredBranchId'', "old"."mirroredBranchId", ''teamId'', "old"."teamId"));
end if;
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "new"."mirroredProjectId", ''mirroredBranchId'', "new"."mirroredBranchId", ''teamId'', "new"."teamId"));
end if;
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."Team" 
  for each row 
  execute function "dbsync"."mark_Team"();

create or replace function "dbsync"."insert_Team"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeding" boolean;
begin begin feeding := exists (select
  from "new_rows" as source
  where ((row("source"."mirroredProjectId", "source"."mirroredBranchId", "source"."teamId") is null) is not null));
exception when syntax_error_or_access_rule_violation or data_exception then feeding := false;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "source"."mirroredProjectId", ''mirroredBranchId'', "source"."mirroredBranchId", ''teamId'', "source"."teamId")
  from "new_rows" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if feeding then insert into "dbsync"."touch" (dependant_id, match) select  ''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "source"."mirroredProjectId", ''mirroredBranchId'', "source"."mirroredBranchId", ''teamId'', "source"."teamId")
  from "new_rows" as source
  where true;
end if;
return null;
end';

create or replace trigger "dbsync_insert" after insert on "public"."Team"
  referencing new table as new_rows
  for each statement 
  execute function "dbsync"."insert_Team"();

create or replace function "dbsync"."applied_Team"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeds_1" boolean;
begin begin "feeds_1" := (row("new"."mirroredProjectId", "new"."mirroredBranchId", "new"."teamId") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "feeds_1" := false;
begin if (row("new"."mirroredProjectId", "new"."mirroredBranchId", "new"."teamId") is null) is not null then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "new"."mirroredProjectId", ''mirroredBranchId'', "new"."mirroredBranchId", ''teamId'', "new"."teamId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "feeds_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "new"."mirroredProjectId", ''mirroredBranchId'', "new"."mirroredBranchId", ''teamId'', "new"."teamId"));
end if;
return null;
end';

create or replace trigger "dbsync_applied" after insert on "public"."Team" 
  for each row 
  execute function "dbsync"."applied_Team"();

create or replace function "dbsync"."update_Team"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin perform (row("old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."teamId", "new"."tenancyId")::record);
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''teams'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_update" after update of "teamId", "tenancyId" on "public"."Team" 
  for each row when ((row("old"."teamId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."teamId", "new"."tenancyId")::record))
  execute function "dbsync"."update_Team"();

create or replace function "dbsync"."delete_Team"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"kept_1" boolean;
"feeds_1" boolean;
begin begin "kept_1" := (row("old"."tenancyId", "old"."teamId") is null) is not null;
"feeds_1" := (row("old"."mirroredProjectId", "old"."mirroredBranchId", "old"."teamId") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "kept_1" := false;
"feeds_1" := false;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''teams'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''teamId'', "source"."teamId")
  from (select old.*) as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''teams'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
begin if (row("old"."mirroredProjectId", "old"."mirroredBranchId", "old"."teamId") is null) is not null then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "old"."mirroredProjectId", ''mirroredBranchId'', "old"."mirroredBranchId", ''teamId'', "old"."teamId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "kept_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''teams'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''teamId'', "source"."teamId")
  from (select old.*) as source
  where true;
end if;
if "feeds_1" then insert into "dbsync"."touch" (dependant_id, match) values (''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "old"."mirroredProjectId", ''mirroredBranchId'', "old"."mirroredBranchId", ''teamId'', "old"."teamId"));
end if;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."Team" 
  for each row 
  execute function "dbsync"."delete_Team"();

create or replace function "dbsync"."truncate_Team"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''teams'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''teamId'', "source"."teamId")
  from "public"."Team" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''teams'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''team_invitations.team'', jsonb_build_object(''mirroredProjectId'', "source"."mirroredProjectId", ''mirroredBranchId'', "source"."mirroredBranchId", ''teamId'', "source"."teamId")
  from "public"."Team" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."Team" 
  for each statement 
  execute function "dbsync"."truncate_Team"();

