create or replace function "dbsync"."mark_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"fed_1" boolean;
begin begin if (row("old"."byteLength", "old"."eventCount", "old"."sessionReplayId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."byteLength", "new"."eventCount", "new"."sessionReplayId", "new"."tenancyId")::record) then "fed_1" := true;
end if;
exception when undefined_column or datatype_mismatch then begin "fed_1" := (row("old"."byteLength", "old"."eventCount", "old"."sessionReplayId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."byteLength", "new"."eventCount", "new"."sessionReplayId", "new"."tenancyId")::record);
exception when undefined_column or datatype_mismatch then "fed_1" := (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1);
end;
end;
if "fed_1" then if (row("old"."sessionReplayId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."sessionReplayId", "new"."tenancyId")::record) then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
end if;
insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''sessionReplayId'', "new"."sessionReplayId"));
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."SessionReplayChunk" 
  for each row 
  execute function "dbsync"."mark_SessionReplayChunk"();

create or replace function "dbsync"."insert_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin insert into "dbsync"."touch" (dependant_id, match) select distinct ''session_replays.chunks'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''sessionReplayId'', "source"."sessionReplayId")
  from "new_rows" as source
  where true;
return null;
end';

create or replace trigger "dbsync_insert" after insert on "public"."SessionReplayChunk"
  referencing new table as new_rows
  for each statement 
  execute function "dbsync"."insert_SessionReplayChunk"();

create or replace function "dbsync"."delete_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."SessionReplayChunk" 
  for each row 
  execute function "dbsync"."delete_SessionReplayChunk"();

create or replace function "dbsync"."truncate_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
insert into "dbsync"."touch" (dependant_id, match) select distinct ''session_replays.chunks'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''sessionReplayId'', "source"."sessionReplayId")
  from "public"."SessionReplayChunk" as source
  where true;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."SessionReplayChunk" 
  for each statement 
  execute function "dbsync"."truncate_SessionReplayChunk"();

