create or replace function "dbsync"."fresh_VerificationCode"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
begin new."sequenceId" := null;
new."shouldUpdateSequenceId" := true;
return new;
end';

create or replace trigger "zz_dbsync_fresh" before insert on "public"."VerificationCode" 
  for each row
  when (new."sequenceId" is not null or new."shouldUpdateSequenceId" is not true)
  execute function "dbsync"."fresh_VerificationCode"();

create or replace function "dbsync"."mark_VerificationCode"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
"seen" boolean;
begin begin if (row("old"."branchId", "old"."createdAt", "old"."data", "old"."expiresAt", "old"."id", "old"."method", "old"."projectId", "old"."type", "old"."usedAt")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."createdAt", "new"."data", "new"."expiresAt", "new"."id", "new"."method", "new"."projectId", "new"."type", "new"."usedAt")::record) then "seen" := true;
 end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "seen" := (row("old"."branchId", "old"."createdAt", "old"."data", "old"."expiresAt", "old"."id", "old"."method", "old"."projectId", "old"."type", "old"."usedAt")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."createdAt", "new"."data", "new"."expiresAt", "new"."id", "new"."method", "new"."projectId", "new"."type", "new"."usedAt")::record);
  exception when syntax_error_or_access_rule_violation or data_exception then seen := true;
end;
end;
if seen then if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := true;
end if;
elsif (row("old"."sequenceId", "old"."shouldUpdateSequenceId")::record operator(pg_catalog.*<>) row("new"."sequenceId", "new"."shouldUpdateSequenceId")::record) then if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := old."shouldUpdateSequenceId" or coalesce(new."shouldUpdateSequenceId", false);
end if;
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."VerificationCode" 
  for each row 
  execute function "dbsync"."mark_VerificationCode"();

create or replace function "dbsync"."update_VerificationCode"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set bytea_output = 'hex' set extra_float_digits = 1 set intervalstyle = 'iso_8601' as 'declare gone record;
fresh record;
"left_1" boolean;
begin begin if (row("old"."branchId", "old"."id", "old"."projectId", "old"."type")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."id", "new"."projectId", "new"."type")::record) then "left_1" := true;
if "left_1" then "left_1" := exists (select
  from (select old.*) as source
  where (source."type" = ''TEAM_INVITATION'') and ((row("old"."projectId", "old"."branchId", "old"."id")::record operator(pg_catalog.*<>) row("new"."projectId", "new"."branchId", "new"."id")::record) or not exists (select
  from (select new.*) as source
  where (source."type" = ''TEAM_INVITATION''))));
end if;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "left_1" := (row("old"."branchId", "old"."id", "old"."projectId", "old"."type")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."id", "new"."projectId", "new"."type")::record);
if "left_1" then "left_1" := exists (select
  from (select old.*) as source
  where (source."type" = ''TEAM_INVITATION'') and ((row("old"."projectId", "old"."branchId", "old"."id")::record operator(pg_catalog.*<>) row("new"."projectId", "new"."branchId", "new"."id")::record) or not exists (select
  from (select new.*) as source
  where (source."type" = ''TEAM_INVITATION''))));
end if;
 exception when syntax_error_or_access_rule_violation or data_exception then "left_1" := false;
insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "left_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''team_invitations'', null, jsonb_build_object(''projectId'', "source"."projectId", ''branchId'', "source"."branchId", ''id'', "source"."id")
  from (select old.*) as source
  where true;
end if;
return null;
end';

create or replace trigger "dbsync_update" after update on "public"."VerificationCode" 
  for each row when ((row("old"."branchId", "old"."id", "old"."projectId", "old"."type")::record operator(pg_catalog.*<>) row("new"."branchId", "new"."id", "new"."projectId", "new"."type")::record))
  execute function "dbsync"."update_VerificationCode"();

create or replace function "dbsync"."delete_VerificationCode"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set bytea_output = 'hex' set extra_float_digits = 1 set intervalstyle = 'iso_8601' as 'declare gone record;
fresh record;
"kept_1" boolean;
begin begin "kept_1" := exists (select
  from (select old.*) as source
  where (source."type" = ''TEAM_INVITATION'')) and (row("old"."projectId", "old"."branchId", "old"."id") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "kept_1" := false;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''team_invitations'', null, jsonb_build_object(''projectId'', "source"."projectId", ''branchId'', "source"."branchId", ''id'', "source"."id")
  from (select old.*) as source
  where (source."type" = ''TEAM_INVITATION'');
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "kept_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''team_invitations'', null, jsonb_build_object(''projectId'', "source"."projectId", ''branchId'', "source"."branchId", ''id'', "source"."id")
  from (select old.*) as source
  where true;
end if;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."VerificationCode" 
  for each row 
  execute function "dbsync"."delete_VerificationCode"();

create or replace function "dbsync"."truncate_VerificationCode"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set bytea_output = 'hex' set extra_float_digits = 1 set intervalstyle = 'iso_8601' set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''team_invitations'', null, jsonb_build_object(''projectId'', "source"."projectId", ''branchId'', "source"."branchId", ''id'', "source"."id")
  from "public"."VerificationCode" as source
  where (source."type" = ''TEAM_INVITATION'');
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''team_invitations'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."VerificationCode" 
  for each statement 
  execute function "dbsync"."truncate_VerificationCode"();

