create or replace function "dbsync"."fresh_EmailOutbox"() returns trigger language plpgsql  as 'declare gone record;
fresh record;
begin new."sequenceId" := null;
new."shouldUpdateSequenceId" := true;
return new;
end';

create or replace trigger "zz_dbsync_fresh" before insert on "public"."EmailOutbox" 
  for each row
  when (new."sequenceId" is not null or new."shouldUpdateSequenceId" is not true)
  execute function "dbsync"."fresh_EmailOutbox"();

create or replace function "dbsync"."mark_EmailOutbox"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"seen" boolean;
"left_1" boolean;
begin begin if (row("old"."bouncedAt", "old"."canHaveDeliveryInfo", "old"."clickedAt", "old"."createdAt", "old"."createdWith", "old"."deliveredAt", "old"."deliveryDelayedAt", "old"."emailDraftId", "old"."emailProgrammaticCallTemplateId", "old"."finishedRenderingAt", "old"."finishedSendingAt", "old"."id", "old"."isHighPriority", "old"."isPaused", "old"."isQueued", "old"."markedAsSpamAt", "old"."openedAt", "old"."renderErrorExternalMessage", "old"."renderedIsTransactional", "old"."renderedNotificationCategoryId", "old"."renderedSubject", "old"."scheduledAt", "old"."sendRetries", "old"."sendServerErrorExternalMessage", "old"."skippedDetails", "old"."skippedReason", "old"."startedRenderingAt", "old"."startedSendingAt", "old"."tenancyId", "old"."themeId", "old"."unsubscribedAt", "old"."updatedAt")::record operator(pg_catalog.*<>) row("new"."bouncedAt", "new"."canHaveDeliveryInfo", "new"."clickedAt", "new"."createdAt", "new"."createdWith", "new"."deliveredAt", "new"."deliveryDelayedAt", "new"."emailDraftId", "new"."emailProgrammaticCallTemplateId", "new"."finishedRenderingAt", "new"."finishedSendingAt", "new"."id", "new"."isHighPriority", "new"."isPaused", "new"."isQueued", "new"."markedAsSpamAt", "new"."openedAt", "new"."renderErrorExternalMessage", "new"."renderedIsTransactional", "new"."renderedNotificationCategoryId", "new"."renderedSubject", "new"."scheduledAt", "new"."sendRetries", "new"."sendServerErrorExternalMessage", "new"."skippedDetails", "new"."skippedReason", "new"."startedRenderingAt", "new"."startedSendingAt", "new"."tenancyId", "new"."themeId", "new"."unsubscribedAt", "new"."updatedAt")::record) then "seen" := true;
 "left_1" := (row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record);
 end if;
exception when syntax_error_or_access_rule_violation or data_exception then begin "seen" := (row("old"."bouncedAt", "old"."canHaveDeliveryInfo", "old"."clickedAt", "old"."createdAt", "old"."createdWith", "old"."deliveredAt", "old"."deliveryDelayedAt", "old"."emailDraftId", "old"."emailProgrammaticCallTemplateId", "old"."finishedRenderingAt", "old"."finishedSendingAt", "old"."id", "old"."isHighPriority", "old"."isPaused", "old"."isQueued", "old"."markedAsSpamAt", "old"."openedAt", "old"."renderErrorExternalMessage", "old"."renderedIsTransactional", "old"."renderedNotificationCategoryId", "old"."renderedSubject", "old"."scheduledAt", "old"."sendRetries", "old"."sendServerErrorExternalMessage", "old"."skippedDetails", "old"."skippedReason", "old"."startedRenderingAt", "old"."startedSendingAt", "old"."tenancyId", "old"."themeId", "old"."unsubscribedAt", "old"."updatedAt")::record operator(pg_catalog.*<>) row("new"."bouncedAt", "new"."canHaveDeliveryInfo", "new"."clickedAt", "new"."createdAt", "new"."createdWith", "new"."deliveredAt", "new"."deliveryDelayedAt", "new"."emailDraftId", "new"."emailProgrammaticCallTemplateId", "new"."finishedRenderingAt", "new"."finishedSendingAt", "new"."id", "new"."isHighPriority", "new"."isPaused", "new"."isQueued", "new"."markedAsSpamAt", "new"."openedAt", "new"."renderErrorExternalMessage", "new"."renderedIsTransactional", "new"."renderedNotificationCategoryId", "new"."renderedSubject", "new"."scheduledAt", "new"."sendRetries", "new"."sendServerErrorExternalMessage", "new"."skippedDetails", "new"."skippedReason", "new"."startedRenderingAt", "new"."startedSendingAt", "new"."tenancyId", "new"."themeId", "new"."unsubscribedAt", "new"."updatedAt")::record);
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
if "left_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''email_outboxes'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from (select old.*) as source
  where true and ((row("old"."tenancyId", "old"."id")::record operator(pg_catalog.*<>) row("new"."tenancyId", "new"."id")::record) or not exists (select
  from (select new.*) as source
  where true));
end if;
return new;
end';

create or replace trigger "zz_dbsync_mark" before update on "public"."EmailOutbox" 
  for each row 
  execute function "dbsync"."mark_EmailOutbox"();

create or replace function "dbsync"."update_EmailOutbox"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
begin begin perform (row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record);
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''email_outboxes'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "dbsync_update" after update of "id", "tenancyId" on "public"."EmailOutbox" 
  for each row when ((row("old"."id", "old"."tenancyId")::record operator(pg_catalog.*<>) row("new"."id", "new"."tenancyId")::record))
  execute function "dbsync"."update_EmailOutbox"();

create or replace function "dbsync"."delete_EmailOutbox"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as 'declare gone record;
fresh record;
"kept_1" boolean;
begin begin "kept_1" := (row("old"."tenancyId", "old"."id") is null) is not null;
exception when syntax_error_or_access_rule_violation or data_exception then "kept_1" := false;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''email_outboxes'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from (select old.*) as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''email_outboxes'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
end;
if "kept_1" then insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''email_outboxes'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from (select old.*) as source
  where true;
end if;
return null;
end';

create or replace trigger "dbsync_delete" after delete on "public"."EmailOutbox" 
  for each row 
  execute function "dbsync"."delete_EmailOutbox"();

create or replace function "dbsync"."truncate_EmailOutbox"() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp set row_security = off as 'declare gone record;
fresh record;
begin if current_setting(''transaction_isolation'') not like ''read %'' then raise feature_not_supported using message = ''a synced table cannot be truncated in an isolation level above read committed'', hint = ''Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'';
end if;
begin insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity) select ''email_outboxes'', "source"."tenancyId", jsonb_build_object(''tenancyId'', "source"."tenancyId", ''id'', "source"."id")
  from "public"."EmailOutbox" as source
  where true;
exception when syntax_error_or_access_rule_violation or data_exception then insert into "dbsync"."missed" (mapping_id, what, reason) values (''email_outboxes'', ''deletion'', case when sqlstate like ''42%'' then sqlerrm else sqlstate end)
  on conflict do nothing;
end;
return null;
end';

create or replace trigger "zz_dbsync_truncate" before truncate on "public"."EmailOutbox" 
  for each statement 
  execute function "dbsync"."truncate_EmailOutbox"();

