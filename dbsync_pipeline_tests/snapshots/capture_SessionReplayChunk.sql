create or replace function "dbsync"."mark_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"fed_1" boolean;
"was_1" boolean;
"now_1" boolean;
begin begin if (row("old"."byteLength", "old"."eventCount", "old"."sessionReplayId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."byteLength", "new"."eventCount", "new"."sessionReplayId", "new"."tenancyId")::record) then "fed_1" := true;
if "fed_1" then "was_1" := (row("old"."tenancyId", "old"."sessionReplayId") is null) is not null;
"now_1" := (row("new"."tenancyId", "new"."sessionReplayId") is null) is not null;
end if;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "fed_1" := (row("old"."byteLength", "old"."eventCount", "old"."sessionReplayId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."byteLength", "new"."eventCount", "new"."sessionReplayId", "new"."tenancyId")::record);
if "fed_1" then "was_1" := (row("old"."tenancyId", "old"."sessionReplayId") is null) is not null;
"now_1" := (row("new"."tenancyId", "new"."sessionReplayId") is null) is not null;
end if;
if "fed_1" then if "was_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''sessionReplayId'', "new"."sessionReplayId"));
end if;
"fed_1" := false;
end if;
exception when syntax_error_or_access_rule_violation or data_exception then "fed_1" := false;
if (coalesce(pg_catalog.current_setting(''dbsync.sequencer'', true), '''') operator(pg_catalog.<>) ''on'' or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1) then begin "was_1" := (row("old"."tenancyId", "old"."sessionReplayId") is null) is not null;
"now_1" := (row("new"."tenancyId", "new"."sessionReplayId") is null) is not null;
if "was_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''sessionReplayId'', "new"."sessionReplayId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''session_replays'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end if;
end;
end;
if "fed_1" then if "was_1" then if (row("old"."sessionReplayId", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."sessionReplayId", "new"."tenancyId")::record) then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
end if;
end if;
if "now_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''sessionReplayId'', "new"."sessionReplayId"));
end if;
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."SessionReplayChunk" 
  for each row 
  execute function "dbsync"."mark_SessionReplayChunk"();

create or replace function "dbsync"."insert_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeding" boolean;
begin begin feeding := exists (select
  from "new_rows" as source
  where ((row("source"."tenancyId", "source"."sessionReplayId") is null) is not null));
exception when syntax_error_or_access_rule_violation or data_exception then feeding := false;
begin insert into "dbsync"."touch" (dependant_id, match) select distinct ''session_replays.chunks'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''sessionReplayId'', "source"."sessionReplayId")
  from "new_rows" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''session_replays'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if feeding then insert into "dbsync"."touch" (dependant_id, match) select distinct ''session_replays.chunks'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''sessionReplayId'', "source"."sessionReplayId")
  from "new_rows" as source
  where true;
end if;
return null;
end';

create or replace trigger "dbsync_insert" after insert on "public"."SessionReplayChunk"
  referencing new table as new_rows
  for each statement 
  execute function "dbsync"."insert_SessionReplayChunk"();

create or replace function "dbsync"."applied_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeds_1" boolean;
begin begin "feeds_1" := (row("new"."tenancyId", "new"."sessionReplayId") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "feeds_1" := false;
begin if (row("new"."tenancyId", "new"."sessionReplayId") is null) is not null then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''sessionReplayId'', "new"."sessionReplayId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''session_replays'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "feeds_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "new"."tenancyId", ''sessionReplayId'', "new"."sessionReplayId"));
end if;
return null;
end';

create or replace trigger "dbsync_applied" after insert on "public"."SessionReplayChunk" 
  for each row 
  execute function "dbsync"."applied_SessionReplayChunk"();

create or replace function "dbsync"."delete_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"feeds_1" boolean;
begin begin "feeds_1" := (row("old"."tenancyId", "old"."sessionReplayId") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "feeds_1" := false;
begin if (row("old"."tenancyId", "old"."sessionReplayId") is null) is not null then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
end if;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''session_replays'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "feeds_1" then insert into "dbsync"."touch" (dependant_id, match) values (''session_replays.chunks'', jsonb_build_object(''tenancyId'', "old"."tenancyId", ''sessionReplayId'', "old"."sessionReplayId"));
end if;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."SessionReplayChunk" 
  for each row 
  execute function "dbsync"."delete_SessionReplayChunk"();

create or replace function "dbsync"."truncate_SessionReplayChunk"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin insert into "dbsync"."touch" (dependant_id, match) select distinct ''session_replays.chunks'', jsonb_build_object(''tenancyId'', "source"."tenancyId", ''sessionReplayId'', "source"."sessionReplayId")
  from "public"."SessionReplayChunk" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''session_replays'', ''change'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."SessionReplayChunk" 
  for each statement 
  execute function "dbsync"."truncate_SessionReplayChunk"();

