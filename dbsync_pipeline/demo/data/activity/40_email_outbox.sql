-- One mail for each user, at one of the steps of its life:
--  0 paused            4 scheduled     8 sent, delivery unknown    12 clicked
--  1 preparing         5 queued        9 waiting for delivery      13 marked as spam
--  2 rendering         6 sending      10 delivered                 14 bounced
--  3 render error      7 server error 11 opened                    15 delayed    16 and 17 skipped
insert into "EmailOutbox" (
    "tenancyId", "id", "createdWith", "emailDraftId", "emailProgrammaticCallTemplateId", "themeId",
    "tsxSource", "to", "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck", "isPaused",
    "renderedByWorkerId", "startedRenderingAt", "finishedRenderingAt",
    "renderErrorExternalMessage", "renderErrorExternalDetails",
    "renderErrorInternalMessage", "renderErrorInternalDetails",
    "renderedHtml", "renderedText", "renderedSubject", "renderedIsTransactional", "renderedNotificationCategoryId",
    "scheduledAt", "isQueued", "sendRetries", "startedSendingAt", "finishedSendingAt",
    "sendServerErrorExternalMessage", "sendServerErrorExternalDetails",
    "sendServerErrorInternalMessage", "sendServerErrorInternalDetails",
    "skippedReason", "skippedDetails", "canHaveDeliveryInfo", "deliveredAt", "deliveryDelayedAt", "bouncedAt",
    "openedAt", "clickedAt", "unsubscribedAt", "markedAsSpamAt", "createdAt", "updatedAt"
)
select
    tenancy_id,
    pg_temp.key('email', i),
    case when is_draft then 'DRAFT' else 'PROGRAMMATIC_CALL' end::"EmailOutboxCreatedWith",
    case when is_draft then pg_temp.text('email.draft', i, 'draft-' || i) end,
    case when not is_draft and i % 5 > 0 then pg_temp.text('email.template', i, 'template-' || i % 9) end,
    case when i % 3 > 0 then pg_temp.text('email.theme', i, 'theme-' || i % 3) end,
    'export function EmailTemplate() { return null; }',
    jsonb_build_object('type', 'user-primary-email', 'userId', user_id),
    '{}',
    i % 4 = 0,
    i % 8 = 0,
    step = 0,
    case when is_rendering then pg_temp.key('worker', i % 3) end,
    case when is_rendering then pg_temp.time('email.startedRenderingAt', i) end,
    case when is_rendered or step = 3 then pg_temp.time('email.finishedRenderingAt', i) end,
    case when step = 3 then pg_temp.text('email.renderError', i / 18, 'Template ' || i || ' does not compile') end,
    case when step = 3 then '{}'::jsonb end,
    case when step = 3 then 'at line ' || i end,
    case when step = 3 then '{"internal": true}'::jsonb end,
    case when is_rendered then '<p>Hello ' || i || '</p>' end,
    case when is_rendered then 'Hello ' || i end,
    case when is_rendered and i % 7 > 0 then pg_temp.text('email.subject', i, 'Hello number ' || i) end,
    case when is_rendered and i % 5 > 0 then i % 2 = 0 end,
    case when is_rendered and i % 4 > 0 then pg_temp.key('notificationCategory', i % 2)::text end,
    pg_temp.time('email.scheduledAt', i),
    step = 5,
    case when step = 7 then 3 else 0 end,
    case when is_sending then pg_temp.time('email.startedSendingAt', i) end,
    case when is_sent then pg_temp.time('email.finishedSendingAt', i) end,
    case when step = 7 then pg_temp.text('email.serverError', i / 18, 'Server refused mail ' || i) end,
    case when step = 7 then '{}'::jsonb end,
    case when step = 7 then '550 mailbox unavailable' end,
    case when step = 7 then '{"code": 550}'::jsonb end,
    case when is_skipped then reasons[1 + i / 18 % cardinality(reasons)] end,
    case when is_skipped then coalesce(pg_temp.document('email.skippedDetails', i / 18), '{}') end,
    case when is_sent then step >= 9 end,
    case when step between 10 and 13 then pg_temp.time('email.deliveredAt', i) end,
    case when step = 15 then pg_temp.time('email.deliveryDelayedAt', i) end,
    case when step = 14 then pg_temp.time('email.bouncedAt', i) end,
    case when step in (11, 12) then pg_temp.time('email.openedAt', i) end,
    case when step = 12 then pg_temp.time('email.clickedAt', i) end,
    case when step between 10 and 13 and i % 5 = 0 then pg_temp.time('email.unsubscribedAt', i) end,
    case when step = 13 then pg_temp.time('email.markedAsSpamAt', i) end,
    pg_temp.time('email.createdAt', i),
    pg_temp.time('email.updatedAt', i)
from demo_user
cross join lateral (select i % 18 as step, i % 11 = 2 as is_draft) as mail
cross join lateral (
    select
        step >= 2 and step <> 17 as is_rendering,
        step >= 4 and step <> 17 as is_rendered,
        step between 6 and 15 as is_sending,
        step between 7 and 15 as is_sent,
        step >= 16 as is_skipped,
        enum_range(null::"EmailOutboxSkippedReason") as reasons
) as progress;
