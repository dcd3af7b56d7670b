select tenancy_id::text, count(*), sum(hash)
  from (select tenancy.tenancy_id as tenancy_id, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."status")::text)::text)::text || ':' || ((source."status")::text)::text, '-') || coalesce(octet_length(((source."simpleStatus")::text)::text)::text || ':' || ((source."simpleStatus")::text)::text, '-') || coalesce(octet_length(((source."createdWith")::text)::text)::text || ':' || ((source."createdWith")::text)::text, '-') || coalesce(octet_length(((source."emailDraftId")::text)::text)::text || ':' || ((source."emailDraftId")::text)::text, '-') || coalesce(octet_length(((source."emailProgrammaticCallTemplateId")::text)::text)::text || ':' || ((source."emailProgrammaticCallTemplateId")::text)::text, '-') || coalesce(octet_length(((source."themeId")::text)::text)::text || ':' || ((source."themeId")::text)::text, '-') || coalesce(octet_length(((source."isHighPriority")::boolean)::text)::text || ':' || ((source."isHighPriority")::boolean)::text, '-') || coalesce(octet_length(((source."renderedIsTransactional")::boolean)::text)::text || ':' || ((source."renderedIsTransactional")::boolean)::text, '-') || coalesce(octet_length(((source."renderedSubject")::text)::text)::text || ':' || ((source."renderedSubject")::text)::text, '-') || coalesce(octet_length(((source."renderedNotificationCategoryId")::text)::text)::text || ':' || ((source."renderedNotificationCategoryId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."renderErrorExternalMessage")::text)::text)::text || ':' || ((source."renderErrorExternalMessage")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."sendServerErrorExternalMessage")::text)::text)::text || ':' || ((source."sendServerErrorExternalMessage")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."canHaveDeliveryInfo")::boolean)::text)::text || ':' || ((source."canHaveDeliveryInfo")::boolean)::text, '-') || coalesce(octet_length(((source."skippedReason")::text)::text)::text || ':' || ((source."skippedReason")::text)::text, '-') || coalesce(octet_length((nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text)::text || ':' || (nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text, '-') || coalesce(octet_length(((source."sendRetries")::integer)::text)::text || ':' || ((source."sendRetries")::integer)::text, '-') || coalesce(octet_length(((source."isPaused")::boolean)::text)::text || ':' || ((source."isPaused")::boolean)::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."EmailOutbox" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'email_outboxes' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."status")::text)::text)::text || ':' || ((source."status")::text)::text, '-') || coalesce(octet_length(((source."simpleStatus")::text)::text)::text || ':' || ((source."simpleStatus")::text)::text, '-') || coalesce(octet_length(((source."createdWith")::text)::text)::text || ':' || ((source."createdWith")::text)::text, '-') || coalesce(octet_length(((source."emailDraftId")::text)::text)::text || ':' || ((source."emailDraftId")::text)::text, '-') || coalesce(octet_length(((source."emailProgrammaticCallTemplateId")::text)::text)::text || ':' || ((source."emailProgrammaticCallTemplateId")::text)::text, '-') || coalesce(octet_length(((source."themeId")::text)::text)::text || ':' || ((source."themeId")::text)::text, '-') || coalesce(octet_length(((source."isHighPriority")::boolean)::text)::text || ':' || ((source."isHighPriority")::boolean)::text, '-') || coalesce(octet_length(((source."renderedIsTransactional")::boolean)::text)::text || ':' || ((source."renderedIsTransactional")::boolean)::text, '-') || coalesce(octet_length(((source."renderedSubject")::text)::text)::text || ':' || ((source."renderedSubject")::text)::text, '-') || coalesce(octet_length(((source."renderedNotificationCategoryId")::text)::text)::text || ':' || ((source."renderedNotificationCategoryId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."renderErrorExternalMessage")::text)::text)::text || ':' || ((source."renderErrorExternalMessage")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."sendServerErrorExternalMessage")::text)::text)::text || ':' || ((source."sendServerErrorExternalMessage")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."canHaveDeliveryInfo")::boolean)::text)::text || ':' || ((source."canHaveDeliveryInfo")::boolean)::text, '-') || coalesce(octet_length(((source."skippedReason")::text)::text)::text || ':' || ((source."skippedReason")::text)::text, '-') || coalesce(octet_length((nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text)::text || ':' || (nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text, '-') || coalesce(octet_length(((source."sendRetries")::integer)::text)::text || ':' || ((source."sendRetries")::integer)::text, '-') || coalesce(octet_length(((source."isPaused")::boolean)::text)::text || ':' || ((source."isPaused")::boolean)::text, '-')), 16))::bit(64)::bigint as hash
  from "public"."EmailOutbox" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'email_outboxes' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select tenancy.tenancy_id as tenancy_id, array[((source."id")::uuid)::text]::text[] as key, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."status")::text)::text)::text || ':' || ((source."status")::text)::text, '-') || coalesce(octet_length(((source."simpleStatus")::text)::text)::text || ':' || ((source."simpleStatus")::text)::text, '-') || coalesce(octet_length(((source."createdWith")::text)::text)::text || ':' || ((source."createdWith")::text)::text, '-') || coalesce(octet_length(((source."emailDraftId")::text)::text)::text || ':' || ((source."emailDraftId")::text)::text, '-') || coalesce(octet_length(((source."emailProgrammaticCallTemplateId")::text)::text)::text || ':' || ((source."emailProgrammaticCallTemplateId")::text)::text, '-') || coalesce(octet_length(((source."themeId")::text)::text)::text || ':' || ((source."themeId")::text)::text, '-') || coalesce(octet_length(((source."isHighPriority")::boolean)::text)::text || ':' || ((source."isHighPriority")::boolean)::text, '-') || coalesce(octet_length(((source."renderedIsTransactional")::boolean)::text)::text || ':' || ((source."renderedIsTransactional")::boolean)::text, '-') || coalesce(octet_length(((source."renderedSubject")::text)::text)::text || ':' || ((source."renderedSubject")::text)::text, '-') || coalesce(octet_length(((source."renderedNotificationCategoryId")::text)::text)::text || ':' || ((source."renderedNotificationCategoryId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."renderErrorExternalMessage")::text)::text)::text || ':' || ((source."renderErrorExternalMessage")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."sendServerErrorExternalMessage")::text)::text)::text || ':' || ((source."sendServerErrorExternalMessage")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."canHaveDeliveryInfo")::boolean)::text)::text || ':' || ((source."canHaveDeliveryInfo")::boolean)::text, '-') || coalesce(octet_length(((source."skippedReason")::text)::text)::text || ':' || ((source."skippedReason")::text)::text, '-') || coalesce(octet_length((nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text)::text || ':' || (nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text, '-') || coalesce(octet_length(((source."sendRetries")::integer)::text)::text || ':' || ((source."sendRetries")::integer)::text, '-') || coalesce(octet_length(((source."isPaused")::boolean)::text)::text || ':' || ((source."isPaused")::boolean)::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "public"."EmailOutbox" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  left join "dbsync"."pending" as pair on pair.destination_id = 'postgres:00000000-0000-0000-0000-000000000001:main' and pair.mapping_id = 'email_outboxes' and pair.tenancy_id = tenancy.tenancy_id
  where tenancy.deleted_at is null and tenancy.tenancy_id = any('{00000000-0000-0000-0000-000000000001}'::uuid[]) and true and ("source"."sequenceId" is null or "source"."sequenceId" <= coalesce(pair.reached, 0))) as hashed
  where bucket = any('{1,2}'::int2[]);

select tenancy_id::text, count(*), sum(hash)
  from (select "target"."tenancy_id" as tenancy_id, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."status")::text)::text || ':' || (target."status")::text, '-') || coalesce(octet_length((target."simple_status")::text)::text || ':' || (target."simple_status")::text, '-') || coalesce(octet_length((target."created_with")::text)::text || ':' || (target."created_with")::text, '-') || coalesce(octet_length((target."email_draft_id")::text)::text || ':' || (target."email_draft_id")::text, '-') || coalesce(octet_length((target."email_programmatic_call_template_id")::text)::text || ':' || (target."email_programmatic_call_template_id")::text, '-') || coalesce(octet_length((target."theme_id")::text)::text || ':' || (target."theme_id")::text, '-') || coalesce(octet_length((target."is_high_priority")::text)::text || ':' || (target."is_high_priority")::text, '-') || coalesce(octet_length((target."rendered_is_transactional")::text)::text || ':' || (target."rendered_is_transactional")::text, '-') || coalesce(octet_length((target."rendered_subject")::text)::text || ':' || (target."rendered_subject")::text, '-') || coalesce(octet_length((target."rendered_notification_category_id")::text)::text || ':' || (target."rendered_notification_category_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."render_error")::text)::text || ':' || (target."render_error")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."server_error")::text)::text || ':' || (target."server_error")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."can_have_delivery_info")::text)::text || ':' || (target."can_have_delivery_info")::text, '-') || coalesce(octet_length((target."skipped_reason")::text)::text || ':' || (target."skipped_reason")::text, '-') || coalesce(octet_length((target."skipped_details")::text)::text || ':' || (target."skipped_details")::text, '-') || coalesce(octet_length((target."send_retries")::text)::text || ':' || (target."send_retries")::text, '-') || coalesce(octet_length((target."is_paused")::text)::text || ':' || (target."is_paused")::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."email_outboxes" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by tenancy_id;

select bucket, count(*), sum(hash)
  from (select ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-')), 4))::bit(16)::integer & 255 as bucket, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."status")::text)::text || ':' || (target."status")::text, '-') || coalesce(octet_length((target."simple_status")::text)::text || ':' || (target."simple_status")::text, '-') || coalesce(octet_length((target."created_with")::text)::text || ':' || (target."created_with")::text, '-') || coalesce(octet_length((target."email_draft_id")::text)::text || ':' || (target."email_draft_id")::text, '-') || coalesce(octet_length((target."email_programmatic_call_template_id")::text)::text || ':' || (target."email_programmatic_call_template_id")::text, '-') || coalesce(octet_length((target."theme_id")::text)::text || ':' || (target."theme_id")::text, '-') || coalesce(octet_length((target."is_high_priority")::text)::text || ':' || (target."is_high_priority")::text, '-') || coalesce(octet_length((target."rendered_is_transactional")::text)::text || ':' || (target."rendered_is_transactional")::text, '-') || coalesce(octet_length((target."rendered_subject")::text)::text || ':' || (target."rendered_subject")::text, '-') || coalesce(octet_length((target."rendered_notification_category_id")::text)::text || ':' || (target."rendered_notification_category_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."render_error")::text)::text || ':' || (target."render_error")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."server_error")::text)::text || ':' || (target."server_error")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."can_have_delivery_info")::text)::text || ':' || (target."can_have_delivery_info")::text, '-') || coalesce(octet_length((target."skipped_reason")::text)::text || ':' || (target."skipped_reason")::text, '-') || coalesce(octet_length((target."skipped_details")::text)::text || ':' || (target."skipped_details")::text, '-') || coalesce(octet_length((target."send_retries")::text)::text || ':' || (target."send_retries")::text, '-') || coalesce(octet_length((target."is_paused")::text)::text || ':' || (target."is_paused")::text, '-')), 16))::bit(64)::bigint as hash
  from "dbsync"."email_outboxes" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed group by bucket;

select tenancy_id::text, key, hash
  from (select "target"."tenancy_id" as tenancy_id, array[(target."id")::text]::text[] as key, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."status")::text)::text || ':' || (target."status")::text, '-') || coalesce(octet_length((target."simple_status")::text)::text || ':' || (target."simple_status")::text, '-') || coalesce(octet_length((target."created_with")::text)::text || ':' || (target."created_with")::text, '-') || coalesce(octet_length((target."email_draft_id")::text)::text || ':' || (target."email_draft_id")::text, '-') || coalesce(octet_length((target."email_programmatic_call_template_id")::text)::text || ':' || (target."email_programmatic_call_template_id")::text, '-') || coalesce(octet_length((target."theme_id")::text)::text || ':' || (target."theme_id")::text, '-') || coalesce(octet_length((target."is_high_priority")::text)::text || ':' || (target."is_high_priority")::text, '-') || coalesce(octet_length((target."rendered_is_transactional")::text)::text || ':' || (target."rendered_is_transactional")::text, '-') || coalesce(octet_length((target."rendered_subject")::text)::text || ':' || (target."rendered_subject")::text, '-') || coalesce(octet_length((target."rendered_notification_category_id")::text)::text || ':' || (target."rendered_notification_category_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."render_error")::text)::text || ':' || (target."render_error")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."server_error")::text)::text || ':' || (target."server_error")::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text, '-') || coalesce(octet_length(trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text)::text || ':' || trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."can_have_delivery_info")::text)::text || ':' || (target."can_have_delivery_info")::text, '-') || coalesce(octet_length((target."skipped_reason")::text)::text || ':' || (target."skipped_reason")::text, '-') || coalesce(octet_length((target."skipped_details")::text)::text || ':' || (target."skipped_details")::text, '-') || coalesce(octet_length((target."send_retries")::text)::text || ':' || (target."send_retries")::text, '-') || coalesce(octet_length((target."is_paused")::text)::text || ':' || (target."is_paused")::text, '-')), 16))::bit(64)::bigint as hash, ('x' || left(md5(coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-')), 4))::bit(16)::integer & 255 as bucket
  from "dbsync"."email_outboxes" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid) as hashed
  where bucket = any('{1,2}'::int2[]);

select "target"."tenancy_id"::text, array[(target."id")::text]::text[], "target"."sync_sequence_id", array[(target."id")::text, (target."status")::text, (target."simple_status")::text, (target."created_with")::text, (target."email_draft_id")::text, (target."email_programmatic_call_template_id")::text, (target."theme_id")::text, (target."is_high_priority")::text, (target."rendered_is_transactional")::text, (target."rendered_subject")::text, (target."rendered_notification_category_id")::text, trunc(extract(epoch
  from target."started_rendering_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."finished_rendering_at") * 1000)::bigint::text, (target."render_error")::text, trunc(extract(epoch
  from target."scheduled_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."created_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."started_sending_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."finished_sending_at") * 1000)::bigint::text, (target."server_error")::text, trunc(extract(epoch
  from target."sent_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."delivered_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."opened_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."clicked_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."unsubscribed_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."marked_as_spam_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."bounced_at") * 1000)::bigint::text, trunc(extract(epoch
  from target."delivery_delayed_at") * 1000)::bigint::text, (target."can_have_delivery_info")::text, (target."skipped_reason")::text, (target."skipped_details")::text, (target."send_retries")::text, (target."is_paused")::text]::text[]
  from "dbsync"."email_outboxes" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and array[(target."id")::text]::text[] in ('{00000000-0000-0000-0000-000000000000}');

select '00000000-0000-0000-0000-000000000001', greatest((select max("target"."sync_sequence_id")
  from "dbsync"."email_outboxes" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid), (select sequence_id
  from "dbsync"."sync_checkpoint" as target
  where "target"."tenancy_id" = '00000000-0000-0000-0000-000000000001'::uuid and mapping_id = 'email_outboxes'));

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)) select asked.position, "source"."sequenceId", "source"."shouldUpdateSequenceId" and coalesce(true, false), exists (select
  from "dbsync"."touch" as t
  cross join lateral jsonb_populate_record(null::"public"."EmailOutbox", t.match) as "feeding" 
  where t.dependant_id = 'email_outboxes.@tenancy' and source."tenancyId" = "feeding"."tenancyId"), case when true and "source"."tenancyId" = asked.tenancy_id and tenancy.tenancy_id is not null then array[((source."id")::uuid)::text, ((source."status")::text)::text, ((source."simpleStatus")::text)::text, ((source."createdWith")::text)::text, ((source."emailDraftId")::text)::text, ((source."emailProgrammaticCallTemplateId")::text)::text, ((source."themeId")::text)::text, ((source."isHighPriority")::boolean)::text, ((source."renderedIsTransactional")::boolean)::text, ((source."renderedSubject")::text)::text, ((source."renderedNotificationCategoryId")::text)::text, trunc(extract(epoch
  from (case
  when (source."startedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."finishedRenderingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedRenderingAt")::timestamp(3))) end)) * 1000)::bigint::text, ((source."renderErrorExternalMessage")::text)::text, trunc(extract(epoch
  from (case
  when (source."scheduledAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."scheduledAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."createdAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."createdAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."startedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."startedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."finishedSendingAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."finishedSendingAt")::timestamp(3))) end)) * 1000)::bigint::text, ((source."sendServerErrorExternalMessage")::text)::text, trunc(extract(epoch
  from (case
  when (source."sentAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."sentAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."deliveredAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveredAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."openedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."openedAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."clickedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."clickedAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."unsubscribedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."unsubscribedAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."markedAsSpamAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."markedAsSpamAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."bouncedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."bouncedAt")::timestamp(3))) end)) * 1000)::bigint::text, trunc(extract(epoch
  from (case
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text, ((source."canHaveDeliveryInfo")::boolean)::text, ((source."skippedReason")::text)::text, (nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text, ((source."sendRetries")::integer)::text, ((source."isPaused")::boolean)::text]::text[] end, source.xmin::text
  from asked
  cross join lateral jsonb_populate_record(null::"public"."EmailOutbox", jsonb_build_object('tenancyId', asked.tenancy_id, 'id', asked.key[1])) as "wanted"
  join "public"."EmailOutbox" as source on "source"."id" = "wanted"."id" and "source"."tenancyId" = asked.tenancy_id 
  left join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null;

with asked as materialized (select position, tenancy_id, array(select jsonb_array_elements_text(texts)) as key
  from unnest('{00000000-0000-0000-0000-000000000001}'::uuid[],  E'{"[\\"00000000-0000-0000-0000-000000000000\\"]"}'::jsonb[]) with ordinality as given (tenancy_id, texts, position)), buried as materialized (select t.tenancy_id, t.sequence_id, array[((source."id")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."EmailOutbox", t.identity) as "source"
  where t.mapping_id = 'email_outboxes' and t.sequence_id is not null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)
  union all select t.tenancy_id, t.sequence_id, array[((source."id")::uuid)::text]::text[] as key
  from "dbsync"."tombstone" as t
  cross join lateral jsonb_populate_record(null::"public"."EmailOutbox", t.identity) as "source"
  where t.mapping_id = 'email_outboxes' and t.sequence_id is null and (t.tenancy_id = any(array(select tenancy_id
  from asked)) or t.tenancy_id is null)) select position, max(sequence_id), bool_or(sequence_id is null)
  from asked
  join buried using (key)
  where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position;

