-- Outgoing mail. The two states and "sentAt" are computed by the database from the timestamps of each step.

create type "EmailOutboxStatus" as enum (
    'PAUSED', 'PREPARING', 'RENDERING', 'RENDER_ERROR', 'SCHEDULED', 'QUEUED', 'SENDING', 'SERVER_ERROR', 'SENT',
    'SKIPPED', 'DELIVERY_DELAYED', 'BOUNCED', 'OPENED', 'CLICKED', 'MARKED_AS_SPAM'
);
create type "EmailOutboxSimpleStatus" as enum ('IN_PROGRESS', 'ERROR', 'OK');
create type "EmailOutboxSkippedReason" as enum (
    'USER_UNSUBSCRIBED', 'USER_ACCOUNT_DELETED', 'USER_HAS_NO_PRIMARY_EMAIL', 'NO_EMAIL_PROVIDED',
    'LIKELY_NOT_DELIVERABLE', 'MANUALLY_CANCELLED'
);
create type "EmailOutboxCreatedWith" as enum ('DRAFT', 'PROGRAMMATIC_CALL');

create table "EmailOutbox" (
    "tenancyId" uuid not null,
    "id" uuid not null,
    "createdWith" "EmailOutboxCreatedWith" not null,
    "emailDraftId" text,
    "emailProgrammaticCallTemplateId" text,
    "themeId" text,
    "tsxSource" text not null,
    "to" jsonb not null,
    "extraRenderVariables" jsonb not null,
    "isHighPriority" boolean not null,
    "shouldSkipDeliverabilityCheck" boolean not null,
    "isPaused" boolean not null default false,
    "renderedByWorkerId" uuid,
    "startedRenderingAt" timestamp(3),
    "finishedRenderingAt" timestamp(3),
    "renderErrorExternalMessage" text,
    "renderErrorExternalDetails" jsonb,
    "renderErrorInternalMessage" text,
    "renderErrorInternalDetails" jsonb,
    "renderedHtml" text,
    "renderedText" text,
    "renderedSubject" text,
    "renderedIsTransactional" boolean,
    "renderedNotificationCategoryId" text,
    "scheduledAt" timestamp(3) not null,
    "isQueued" boolean not null default false,
    "sendRetries" integer not null default 0,
    "startedSendingAt" timestamp(3),
    "finishedSendingAt" timestamp(3),
    "sendServerErrorExternalMessage" text,
    "sendServerErrorExternalDetails" jsonb,
    "sendServerErrorInternalMessage" text,
    "sendServerErrorInternalDetails" jsonb,
    "skippedReason" "EmailOutboxSkippedReason",
    "skippedDetails" jsonb,
    "canHaveDeliveryInfo" boolean,
    "deliveredAt" timestamp(3),
    "deliveryDelayedAt" timestamp(3),
    "bouncedAt" timestamp(3),
    "openedAt" timestamp(3),
    "clickedAt" timestamp(3),
    "unsubscribedAt" timestamp(3),
    "markedAsSpamAt" timestamp(3),
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    "sentAt" timestamp(3) generated always as (
        case "canHaveDeliveryInfo" when true then "deliveredAt" when false then "finishedSendingAt" end
    ) stored,
    -- A bounced or delayed mail has no "deliveredAt", so it stays SENDING: its two labels are never reached.
    "status" "EmailOutboxStatus" not null generated always as (
        case
            when "isPaused" then 'PAUSED'::"EmailOutboxStatus"
            when "skippedReason" is not null then 'SKIPPED'::"EmailOutboxStatus"
            when "startedRenderingAt" is null then 'PREPARING'::"EmailOutboxStatus"
            when "finishedRenderingAt" is null then 'RENDERING'::"EmailOutboxStatus"
            when "renderErrorExternalMessage" is not null then 'RENDER_ERROR'::"EmailOutboxStatus"
            when "startedSendingAt" is null and not "isQueued" then 'SCHEDULED'::"EmailOutboxStatus"
            when "startedSendingAt" is null then 'QUEUED'::"EmailOutboxStatus"
            when "finishedSendingAt" is null then 'SENDING'::"EmailOutboxStatus"
            when "canHaveDeliveryInfo" and "deliveredAt" is null then 'SENDING'::"EmailOutboxStatus"
            when "sendServerErrorExternalMessage" is not null then 'SERVER_ERROR'::"EmailOutboxStatus"
            when not "canHaveDeliveryInfo" then 'SENT'::"EmailOutboxStatus"
            when "markedAsSpamAt" is not null then 'MARKED_AS_SPAM'::"EmailOutboxStatus"
            when "clickedAt" is not null then 'CLICKED'::"EmailOutboxStatus"
            when "openedAt" is not null then 'OPENED'::"EmailOutboxStatus"
            when "bouncedAt" is not null then 'BOUNCED'::"EmailOutboxStatus"
            when "deliveryDelayedAt" is not null then 'DELIVERY_DELAYED'::"EmailOutboxStatus"
            else 'SENT'::"EmailOutboxStatus"
        end
    ) stored,
    "simpleStatus" "EmailOutboxSimpleStatus" not null generated always as (
        case
            when "skippedReason" is not null then 'OK'::"EmailOutboxSimpleStatus"
            when
                "renderErrorExternalMessage" is not null
                or "sendServerErrorExternalMessage" is not null
                or "bouncedAt" is not null
                then 'ERROR'::"EmailOutboxSimpleStatus"
            when
                "finishedSendingAt" is not null and (not "canHaveDeliveryInfo" or "deliveredAt" is not null)
                then 'OK'::"EmailOutboxSimpleStatus"
            when
                "finishedSendingAt" is null or ("canHaveDeliveryInfo" and "deliveredAt" is null)
                then 'IN_PROGRESS'::"EmailOutboxSimpleStatus"
            else 'OK'::"EmailOutboxSimpleStatus"
        end
    ) stored,
    constraint "EmailOutbox_pkey" primary key ("tenancyId", "id"),
    constraint "EmailOutbox_tenancyId_fkey" foreign key ("tenancyId")
        references "Tenancy" ("id") on delete cascade on update cascade,
    constraint "EmailOutbox_draft_check" check (("createdWith" = 'DRAFT') = ("emailDraftId" is not null)),
    constraint "EmailOutbox_template_check" check (
        "emailProgrammaticCallTemplateId" is null or "createdWith" = 'PROGRAMMATIC_CALL'
    ),
    constraint "EmailOutbox_click_implies_open_check" check ("clickedAt" is null or "openedAt" is not null),
    constraint "EmailOutbox_delivery_exclusive_check" check (
        num_nonnulls("deliveredAt", "deliveryDelayedAt", "bouncedAt") <= 1
    ),
    constraint "EmailOutbox_skipped_check" check (("skippedReason" is null) = ("skippedDetails" is null)),
    constraint "EmailOutbox_delivery_info_check" check (
        ("canHaveDeliveryInfo" is null) = ("finishedSendingAt" is null)
    ),
    constraint "EmailOutbox_render_worker_check" check (
        ("renderedByWorkerId" is null) = ("startedRenderingAt" is null)
    ),
    constraint "EmailOutbox_render_order_check" check (
        "finishedRenderingAt" is null or "startedRenderingAt" is not null
    ),
    constraint "EmailOutbox_send_order_check" check ("finishedSendingAt" is null or "startedSendingAt" is not null),
    constraint "EmailOutbox_render_result_check" check (
        "finishedRenderingAt" is null
        or (
            num_nonnulls(
                "renderedHtml", "renderedText", "renderedSubject", "renderedIsTransactional",
                "renderedNotificationCategoryId"
            ) > 0
            and num_nonnulls(
                "renderErrorExternalMessage", "renderErrorExternalDetails", "renderErrorInternalMessage",
                "renderErrorInternalDetails"
            ) = 0
        )
        or (
            num_nonnulls(
                "renderedHtml", "renderedText", "renderedSubject", "renderedIsTransactional",
                "renderedNotificationCategoryId"
            ) = 0
            and num_nonnulls(
                "renderErrorExternalMessage", "renderErrorExternalDetails", "renderErrorInternalMessage",
                "renderErrorInternalDetails"
            ) = 4
        )
    ),
    constraint "EmailOutbox_unsent_check" check (
        "finishedSendingAt" is not null
        or num_nonnulls(
            "sendServerErrorExternalMessage", "sendServerErrorExternalDetails", "sendServerErrorInternalMessage",
            "sendServerErrorInternalDetails", "deliveredAt", "deliveryDelayedAt", "bouncedAt", "openedAt",
            "clickedAt", "unsubscribedAt", "markedAsSpamAt"
        ) = 0
    ),
    constraint "EmailOutbox_server_error_check" check (
        num_nonnulls(
            "sendServerErrorExternalMessage", "sendServerErrorExternalDetails", "sendServerErrorInternalMessage",
            "sendServerErrorInternalDetails"
        ) in (0, 4)
    )
);
