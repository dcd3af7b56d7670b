create or replace function "dbsync"."fresh_ProjectUser"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
differs boolean;
begin new."sequenceId" := null;
new."shouldUpdateSequenceId" := true;
return new;
end';

create or replace trigger "zz_dbsync_fresh" before insert on "public"."ProjectUser" 
  for each row
  when (new."sequenceId" is not null or new."shouldUpdateSequenceId" is not true)
  execute function "dbsync"."fresh_ProjectUser"();

create or replace function "dbsync"."mark_ProjectUser"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
differs boolean;
begin if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then begin differs := (row("old"."clientMetadata", "old"."clientReadOnlyMetadata", "old"."displayName", "old"."isAnonymous", "old"."profileImageUrl", "old"."projectUserId", "old"."restrictedByAdmin", "old"."restrictedByAdminPrivateDetails", "old"."restrictedByAdminReason", "old"."serverMetadata", "old"."signedUpAt", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."clientMetadata", "new"."clientReadOnlyMetadata", "new"."displayName", "new"."isAnonymous", "new"."profileImageUrl", "new"."projectUserId", "new"."restrictedByAdmin", "new"."restrictedByAdminPrivateDetails", "new"."restrictedByAdminReason", "new"."serverMetadata", "new"."signedUpAt", "new"."tenancyId")::record);
exception when undefined_column or datatype_mismatch then differs := (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1);
end;
if differs then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := true;
elsif (row("old"."sequenceId", "old"."shouldUpdateSequenceId")::record operator(pg_catalog.*<>) row("new"."sequenceId", "new"."shouldUpdateSequenceId")::record) then new."sequenceId" := old."sequenceId";
new."shouldUpdateSequenceId" := old."shouldUpdateSequenceId" or coalesce(new."shouldUpdateSequenceId", false);
end if;
end if;
begin differs := (row("old"."displayName", "old"."isAnonymous", "old"."profileImageUrl", "old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."displayName", "new"."isAnonymous", "new"."profileImageUrl", "new"."projectUserId", "new"."tenancyId")::record);
exception when undefined_column or datatype_mismatch then differs := (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1);
end;
if differs then if (row("old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."projectUserId", "new"."tenancyId")::record) then insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.member'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
end if;
insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.member'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''projectUserId'', "new"."projectUserId"));
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."ProjectUser" 
  for each row 
  execute function "dbsync"."mark_ProjectUser"();

create or replace function "dbsync"."insert_ProjectUser"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
differs boolean;
begin insert into "dbsync"."touch" (dependant_id, match) select  ''team_member_profiles.member'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "new_rows" as source
  where true;
return null;
end';

create or replace trigger "dbsync_insert" after insert on "public"."ProjectUser"
  referencing new table as new_rows
  for each statement 
  execute function "dbsync"."insert_ProjectUser"();

create or replace function "dbsync"."update_ProjectUser"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
differs boolean;
begin if (row("old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."projectUserId", "new"."tenancyId")::record) then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''users'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from (select old.*) as source
  where true and not exists (select
  from (select new.*) as source
  where true and "source"."tenancyId" = "old"."tenancyId" and "source"."projectUserId" = "old"."projectUserId");
end if;
return null;
end';

create or replace trigger "dbsync_update" after update on "public"."ProjectUser" 
  for each row when ((row("old"."projectUserId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."projectUserId", "new"."tenancyId")::record))
  execute function "dbsync"."update_ProjectUser"();

create or replace function "dbsync"."delete_ProjectUser"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
differs boolean;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''users'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from (select old.*) as source
  where true;
insert into "dbsync"."touch" (dependant_id, match) values (''team_member_profiles.member'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''projectUserId'', "old"."projectUserId"));
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."ProjectUser" 
  for each row 
  execute function "dbsync"."delete_ProjectUser"();

create or replace function "dbsync"."truncate_ProjectUser"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
differs boolean;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''users'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "public"."ProjectUser" as source
  where true;
insert into "dbsync"."touch" (dependant_id, match) select  ''team_member_profiles.member'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''projectUserId'', "source"."projectUserId")
  from "public"."ProjectUser" as source
  where true;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."ProjectUser" 
  for each statement 
  execute function "dbsync"."truncate_ProjectUser"();

