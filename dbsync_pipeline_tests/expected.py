"""What the copy of each mapping holds, by hand: one query over the application's tables a mapping.

The conversion policy is written out again as well: UTC milliseconds between the years 1900 and 2299, JSON null as
NULL, JSON as the text of `jsonb`. Nothing of the project is imported here, on purpose.
"""

import json
from typing import Any

_TENANCY = """t."projectId" as project_id, t."branchId" as branch_id, t."id" as tenancy_id"""


def _time(column: str) -> str:
    """Milliseconds, moved between the bounds of ClickHouse's DateTime64; infinities included."""
    return f"""case
        when {column} is null then null
        when {column} < timestamp '1900-01-01 00:00:00' then timestamp '1900-01-01 00:00:00'
        when {column} > timestamp '2299-12-31 23:59:59.999' then timestamp '2299-12-31 23:59:59.999'
        else date_trunc('milliseconds', {column})
    end"""


def _millis(column: str) -> str:
    return f"(extract(epoch from ({_time(column)})) * 1000)::bigint"


def _document(column: str) -> str:
    """JSON null and NULL become an empty object."""
    return f"case when {column} is null or {column}::text = 'null' then '{{}}' else {column}::text end"


def _label(column: str) -> str:
    return f"replace(lower({column}::text), '_', '-')"


_METADATA = ", ".join(
    f"{_document(f'r.{column}')} as {name}"
    for column, name in (
        ('"clientMetadata"', "client_metadata"),
        ('"clientReadOnlyMetadata"', "client_read_only_metadata"),
        ('"serverMetadata"', "server_metadata"),
    )
)

_PRIMARY = """
    select c."value", c."isVerified" from "ContactChannel" c
    where c."tenancyId" = u."tenancyId" and c."projectUserId" = u."projectUserId"
        and c."type" = 'EMAIL' and c."isPrimary" = 'TRUE'
"""

EXPECTED = {
    "users": f"""
        select {_TENANCY}, r."projectUserId" as id, r."displayName" as display_name,
            r."profileImageUrl" as profile_image_url,
            (select p."value" from ({_PRIMARY.replace("u.", "r.")}) p) as primary_email,
            exists (select from ({_PRIMARY.replace("u.", "r.")}) p where p."isVerified") as primary_email_verified,
            {_time('r."signedUpAt"')} as signed_up_at, {_METADATA}, r."isAnonymous" as is_anonymous,
            r."restrictedByAdmin" as restricted_by_admin, r."restrictedByAdminReason" as restricted_by_admin_reason,
            r."restrictedByAdminPrivateDetails" as restricted_by_admin_private_details
        from "ProjectUser" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "contact_channels": f"""
        select {_TENANCY}, r."id" as id, r."projectUserId" as user_id, r."type"::text as type, r."value" as value,
            r."isPrimary" is not null as is_primary, r."isVerified" as is_verified,
            r."usedForAuth" is not null as used_for_auth, {_time('r."createdAt"')} as created_at
        from "ContactChannel" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "teams": f"""
        select {_TENANCY}, r."teamId" as id, r."displayName" as display_name, r."profileImageUrl" as profile_image_url,
            {_time('r."createdAt"')} as created_at, {_METADATA}
        from "Team" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "team_member_profiles": f"""
        select {_TENANCY}, r."teamId" as team_id, r."projectUserId" as user_id, r."displayName" as display_name,
            r."profileImageUrl" as profile_image_url,
            (
                select jsonb_build_object(
                    'id', u."projectUserId", 'display_name', u."displayName",
                    'primary_email', (select p."value" from ({_PRIMARY}) p),
                    'primary_email_verified', exists (select from ({_PRIMARY}) p where p."isVerified"),
                    'profile_image_url', u."profileImageUrl", 'is_anonymous', u."isAnonymous",
                    'last_active_at_millis', {_millis('u."lastActiveAt"')}
                )::text
                from "ProjectUser" u where u."tenancyId" = r."tenancyId" and u."projectUserId" = r."projectUserId"
            ) as "user",
            {_time('r."createdAt"')} as created_at
        from "TeamMember" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "team_permissions": f"""
        select {_TENANCY}, r."teamId" as team_id, r."projectUserId" as user_id, r."permissionId" as permission_id,
            {_time('r."createdAt"')} as created_at
        from "TeamMemberDirectPermission" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "team_invitations": f"""
        select {_TENANCY}, r."id" as id, team."teamId" as team_id, team."displayName" as team_display_name,
            coalesce(r."method"->>'email', '') as recipient_email, {_millis('r."expiresAt"')} as expires_at_millis,
            {_millis('r."usedAt"')} as used_at_millis, {_time('r."createdAt"')} as created_at
        from "VerificationCode" r
            join "Team" team on team."teamId"::text = lower(r."data"->>'team_id')
                and team."mirroredProjectId" = r."projectId" and team."mirroredBranchId" = r."branchId"
            join "Tenancy" t on t."id" = team."tenancyId"
        where r."type" = 'TEAM_INVITATION'
    """,
    "email_outboxes": f"""
        select {_TENANCY}, r."id" as id, {_label('r."status"')} as status,
            {_label('r."simpleStatus"')} as simple_status,
            case r."createdWith" when 'DRAFT' then 'draft' else 'programmatic-call' end as created_with,
            r."emailDraftId" as email_draft_id,
            r."emailProgrammaticCallTemplateId" as email_programmatic_call_template_id, r."themeId" as theme_id,
            r."isHighPriority" as is_high_priority, r."renderedIsTransactional" as is_transactional,
            r."renderedSubject" as subject, r."renderedNotificationCategoryId" as notification_category_id,
            {_time('r."startedRenderingAt"')} as started_rendering_at,
            {_time('r."finishedRenderingAt"')} as rendered_at, r."renderErrorExternalMessage" as render_error,
            {_time('r."scheduledAt"')} as scheduled_at, {_time('r."createdAt"')} as created_at,
            {_time('r."updatedAt"')} as updated_at, {_time('r."startedSendingAt"')} as started_sending_at,
            r."sendServerErrorExternalMessage" as server_error, {_time('r."deliveredAt"')} as delivered_at,
            {_time('r."openedAt"')} as opened_at, {_time('r."clickedAt"')} as clicked_at,
            {_time('r."unsubscribedAt"')} as unsubscribed_at, {_time('r."markedAsSpamAt"')} as marked_as_spam_at,
            {_time('r."bouncedAt"')} as bounced_at, {_time('r."deliveryDelayedAt"')} as delivery_delayed_at,
            r."canHaveDeliveryInfo" as can_have_delivery_info, {_label('r."skippedReason"')} as skipped_reason,
            nullif(r."skippedDetails"::text, 'null') as skipped_details, r."sendRetries" as send_retries,
            r."isPaused" as is_paused
        from "EmailOutbox" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "project_permissions": f"""
        select {_TENANCY}, r."projectUserId" as user_id, r."permissionId" as permission_id,
            {_time('r."createdAt"')} as created_at
        from "ProjectUserDirectPermission" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "notification_preferences": f"""
        select {_TENANCY}, r."id" as id, r."projectUserId" as user_id,
            r."notificationCategoryId"::text as notification_category_id, r."enabled" as enabled
        from "UserNotificationPreference" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "refresh_tokens": f"""
        select {_TENANCY}, r."id" as id, r."projectUserId" as user_id, {_time('r."createdAt"')} as created_at,
            {_time('r."lastActiveAt"')} as last_used_at, r."isImpersonation" as is_impersonation,
            {_time('r."expiresAt"')} as expires_at
        from "ProjectUserRefreshToken" r join "Tenancy" t on t."id" = r."tenancyId"
    """,
    "connected_accounts": f"""
        select {_TENANCY}, r."id" as id, r."projectUserId" as user_id, r."configOAuthProviderId" as provider,
            r."providerAccountId" as provider_account_id, {_time('r."createdAt"')} as created_at
        from "ProjectUserOAuthAccount" r join "Tenancy" t on t."id" = r."tenancyId"
        where r."projectUserId" is not null
    """,
    "session_replays": f"""
        select {_TENANCY}, r."id" as id, r."projectUserId" as user_id, r."refreshTokenId" as refresh_token_id,
            {_time('r."startedAt"')} as started_at, {_time('r."lastEventAt"')} as last_event_at,
            {_time('r."createdAt"')} as created_at, coalesce(c.chunk_count, 0) as chunk_count,
            coalesce(c.event_count, 0) as event_count, coalesce(c.byte_length, 0) as byte_length
        from "SessionReplay" r join "Tenancy" t on t."id" = r."tenancyId"
            left join (
                select "tenancyId", "sessionReplayId", count(*)::bigint as chunk_count,
                    sum("eventCount")::bigint as event_count, sum("byteLength")::bigint as byte_length
                from "SessionReplayChunk" group by "tenancyId", "sessionReplayId"
            ) c on c."tenancyId" = r."tenancyId" and c."sessionReplayId" = r."id"
    """,
}
"""Mapping -> the rows that its view in ClickHouse shows, for all tenancies."""

_SHARED = {
    **dict.fromkeys(EXPECTED, ""),
    "users": """
        id, display_name, profile_image_url, primary_email, primary_email_verified, signed_up_at, client_metadata,
        client_read_only_metadata, server_metadata, is_anonymous
    """,
    "email_outboxes": """
        id, email_draft_id, email_programmatic_call_template_id, theme_id, is_high_priority, started_rendering_at,
        render_error, scheduled_at, created_at, started_sending_at, server_error, delivered_at, opened_at, clicked_at,
        unsubscribed_at, marked_as_spam_at, bounced_at, delivery_delayed_at, can_have_delivery_info, skipped_details,
        send_retries, is_paused
    """,
}
"""What an external database has in common with ClickHouse; nothing stands for everything."""

_EXTERNAL_ONLY = {
    "connected_accounts": (
        'join "ProjectUserOAuthAccount" r on r."tenancyId" = e.tenancy_id and r."id" = e.id',
        'r."email" as email',
    ),
    "email_outboxes": (
        'join "EmailOutbox" r on r."tenancyId" = e.tenancy_id and r."id" = e.id',
        f"""
            r."status"::text as status, r."simpleStatus"::text as simple_status, r."createdWith"::text as created_with,
            r."renderedIsTransactional" as rendered_is_transactional, r."renderedSubject" as rendered_subject,
            r."renderedNotificationCategoryId" as rendered_notification_category_id,
            {_time('r."finishedRenderingAt"')} as finished_rendering_at,
            {_time('r."finishedSendingAt"')} as finished_sending_at, {_time('r."sentAt"')} as sent_at,
            r."skippedReason"::text as skipped_reason
        """,
    ),
}


def _external(mapping_id: str) -> str:
    join, more = _EXTERNAL_ONLY.get(mapping_id, ("", ""))
    shared = ["tenancy_id", *filter(None, (name.strip() for name in _SHARED[mapping_id].split(",")))]
    names = ", ".join(f"e.{name}" for name in shared) if len(shared) > 1 else "e.*"
    return f"select {names}{f', {more}' if more else ''} from ({EXPECTED[mapping_id]}) e {join}"


EXPECTED_EXTERNALLY = {mapping_id: _external(mapping_id) for mapping_id in EXPECTED}
"""Mapping -> the rows that external databases hold, for all tenancies; their projects and branches are left out."""

NOWHERE_ELSE = frozenset({"project_id", "branch_id"})
"""Columns of ClickHouse that say which tenancy it is, of which an external database knows the id alone."""

DOCUMENTS = frozenset({
    "client_metadata", "client_read_only_metadata", "server_metadata", "user", "skipped_details",
})  # fmt: skip
"""Columns that are text in ClickHouse and `jsonb` in Postgres."""

UNVERIFIED = {("team_member_profiles", "user"): "last_active_at_millis"}
"""What is delivered as of the last change of something else, and cannot be expected to be as of now."""


def comparable(mapping_id: str, name: str, value: Any) -> Any:
    """Return a value of either side in the form in which the two are compared."""
    unverified = UNVERIFIED.get((mapping_id, name))
    if unverified is None or value is None:
        return value
    document = json.loads(value)
    document.pop(unverified)
    return document
