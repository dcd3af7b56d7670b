select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select tenancy.tenancy_id, coalesce(octet_length(((source."id")::uuid)::text)::text || ':' || ((source."id")::uuid)::text, '-') || coalesce(octet_length(((source."status")::text)::text)::text || ':' || ((source."status")::text)::text, '-') || coalesce(octet_length(((source."simpleStatus")::text)::text)::text || ':' || ((source."simpleStatus")::text)::text, '-') || coalesce(octet_length(((source."createdWith")::text)::text)::text || ':' || ((source."createdWith")::text)::text, '-') || coalesce(octet_length(((source."emailDraftId")::text)::text)::text || ':' || ((source."emailDraftId")::text)::text, '-') || coalesce(octet_length(((source."emailProgrammaticCallTemplateId")::text)::text)::text || ':' || ((source."emailProgrammaticCallTemplateId")::text)::text, '-') || coalesce(octet_length(((source."themeId")::text)::text)::text || ':' || ((source."themeId")::text)::text, '-') || coalesce(octet_length(((source."isHighPriority")::boolean)::text)::text || ':' || ((source."isHighPriority")::boolean)::text, '-') || coalesce(octet_length(((source."renderedIsTransactional")::boolean)::text)::text || ':' || ((source."renderedIsTransactional")::boolean)::text, '-') || coalesce(octet_length(((source."renderedSubject")::text)::text)::text || ':' || ((source."renderedSubject")::text)::text, '-') || coalesce(octet_length(((source."renderedNotificationCategoryId")::text)::text)::text || ':' || ((source."renderedNotificationCategoryId")::text)::text, '-') || coalesce(octet_length(trunc(extract(epoch
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
  when (source."deliveryDelayedAt") is not null then greatest('1900-01-01'::timestamp(3), least('2299-12-31 23:59:59.999'::timestamp(3), (source."deliveryDelayedAt")::timestamp(3))) end)) * 1000)::bigint::text, '-') || coalesce(octet_length(((source."canHaveDeliveryInfo")::boolean)::text)::text || ':' || ((source."canHaveDeliveryInfo")::boolean)::text, '-') || coalesce(octet_length(((source."skippedReason")::text)::text)::text || ':' || ((source."skippedReason")::text)::text, '-') || coalesce(octet_length((nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text)::text || ':' || (nullif((source."skippedDetails")::jsonb, 'null'::jsonb))::text, '-') || coalesce(octet_length(((source."sendRetries")::integer)::text)::text || ':' || ((source."sendRetries")::integer)::text, '-') || coalesce(octet_length(((source."isPaused")::boolean)::text)::text || ':' || ((source."isPaused")::boolean)::text, '-') as canonical
  from "public"."EmailOutbox" as source 
  join "dbsync"."tenancy" as tenancy on tenancy.tenancy_id = "source"."tenancyId"
  where tenancy.deleted_at is null and tenancy.tenancy_id = '00000000000000000000000000000001'::uuid and true) as rows group by tenancy_id;

select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint)
  from (select "target"."tenancy_id", coalesce(octet_length((target."id")::text)::text || ':' || (target."id")::text, '-') || coalesce(octet_length((target."status")::text)::text || ':' || (target."status")::text, '-') || coalesce(octet_length((target."simple_status")::text)::text || ':' || (target."simple_status")::text, '-') || coalesce(octet_length((target."created_with")::text)::text || ':' || (target."created_with")::text, '-') || coalesce(octet_length((target."email_draft_id")::text)::text || ':' || (target."email_draft_id")::text, '-') || coalesce(octet_length((target."email_programmatic_call_template_id")::text)::text || ':' || (target."email_programmatic_call_template_id")::text, '-') || coalesce(octet_length((target."theme_id")::text)::text || ':' || (target."theme_id")::text, '-') || coalesce(octet_length((target."is_high_priority")::text)::text || ':' || (target."is_high_priority")::text, '-') || coalesce(octet_length((target."rendered_is_transactional")::text)::text || ':' || (target."rendered_is_transactional")::text, '-') || coalesce(octet_length((target."rendered_subject")::text)::text || ':' || (target."rendered_subject")::text, '-') || coalesce(octet_length((target."rendered_notification_category_id")::text)::text || ':' || (target."rendered_notification_category_id")::text, '-') || coalesce(octet_length(trunc(extract(epoch
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
  from target."delivery_delayed_at") * 1000)::bigint::text, '-') || coalesce(octet_length((target."can_have_delivery_info")::text)::text || ':' || (target."can_have_delivery_info")::text, '-') || coalesce(octet_length((target."skipped_reason")::text)::text || ':' || (target."skipped_reason")::text, '-') || coalesce(octet_length((target."skipped_details")::text)::text || ':' || (target."skipped_details")::text, '-') || coalesce(octet_length((target."send_retries")::text)::text || ':' || (target."send_retries")::text, '-') || coalesce(octet_length((target."is_paused")::text)::text || ':' || (target."is_paused")::text, '-') as canonical
  from "dbsync"."email_outboxes" as target
  where "target"."tenancy_id" = '00000000000000000000000000000001'::uuid) as rows group by tenancy_id;

