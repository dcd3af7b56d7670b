"""Outgoing mail on its way from a draft or a call to a click; the database computes the state from the steps taken."""

import random
from typing import LiteralString

from psycopg import sql

from dbsync_pipeline.demo.application.actor import Actor, Row, new_id, some_document, some_text

_FINISH_RENDERING = """
    "finishedRenderingAt" = %(time)s, "renderedHtml" = '<p></p>', "renderedSubject" = %(text)s,
    "renderedIsTransactional" = true
"""
_FAIL_RENDERING = """
    "finishedRenderingAt" = %(time)s, "renderErrorExternalMessage" = %(text)s, "renderErrorExternalDetails" = '{}',
    "renderErrorInternalMessage" = 'trace', "renderErrorInternalDetails" = '{}'
"""
_FINISH_SENDING = '"finishedSendingAt" = %(time)s, "canHaveDeliveryInfo" = false'
_AWAIT_DELIVERY = '"finishedSendingAt" = %(time)s, "canHaveDeliveryInfo" = true'
_FAIL_SENDING = """
    "finishedSendingAt" = %(time)s, "canHaveDeliveryInfo" = false, "sendRetries" = "sendRetries" + 1,
    "sendServerErrorExternalMessage" = %(text)s, "sendServerErrorExternalDetails" = '{}',
    "sendServerErrorInternalMessage" = 'trace', "sendServerErrorInternalDetails" = '{}'
"""
_DELIVER = '"deliveredAt" = %(time)s, "deliveryDelayedAt" = null'

# What may happen next to a mail, by its state; what stands there twice is twice as likely.
_STEPS: dict[str, tuple[LiteralString, ...]] = {
    "PAUSED": ('"isPaused" = false',),
    "PREPARING": ('"renderedByWorkerId" = %(worker)s, "startedRenderingAt" = %(time)s',),
    "RENDERING": (_FINISH_RENDERING, _FINISH_RENDERING, _FINISH_RENDERING, _FAIL_RENDERING),
    "SCHEDULED": ('"isQueued" = true',),
    "QUEUED": ('"startedSendingAt" = %(time)s',),
    "SENDING": (_AWAIT_DELIVERY, _AWAIT_DELIVERY, _FINISH_SENDING, _FAIL_SENDING),
    "UNDELIVERED": (
        *(_DELIVER, _DELIVER, _DELIVER),
        '"deliveryDelayedAt" = %(time)s',
        '"bouncedAt" = %(time)s, "deliveryDelayedAt" = null',
    ),
    "SENT": ('"openedAt" = %(time)s', '"openedAt" = %(time)s', '"markedAsSpamAt" = %(time)s'),
    "OPENED": ('"clickedAt" = %(time)s', '"unsubscribedAt" = %(time)s', '"markedAsSpamAt" = %(time)s'),
}


class MailTransactions(Actor):
    """Transactions on outgoing mail."""

    def write_email(self, rng: random.Random) -> bool:
        """Put a mail into the outbox, from a draft or from a template."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            if not self.still_exists(tenancy):
                return False
            is_draft = rng.random() < 1 / 5
            return self.write(
                """
                insert into "EmailOutbox" (
                    "tenancyId", "id", "createdWith", "emailDraftId", "emailProgrammaticCallTemplateId", "themeId",
                    "tsxSource", "to", "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck",
                    "scheduledAt", "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s, 'null', '{"type": "custom-emails"}', '{}', %s, false, %s, %s, %s)
                """,
                *(tenancy.id, new_id(rng), "DRAFT" if is_draft else "PROGRAMMATIC_CALL"),
                *(some_text(rng, "draft") if is_draft else None, None if is_draft else some_text(rng, "template")),
                *(some_text(rng, "theme"), rng.random() < 1 / 4, self.some_time(rng), self.clock(), self.clock()),
            )

    def advance_email(self, rng: random.Random) -> bool:
        """Take a mail that is not through yet one step further."""
        with self.connection.transaction():
            row = self.pick(
                rng,
                """
                select
                    "tenancyId", "id",
                    case when "status" = 'SENDING' and "finishedSendingAt" is not null
                        then 'UNDELIVERED' else "status"::text end
                from "EmailOutbox"
                where "tenancyId" = %s and "simpleStatus" = 'IN_PROGRESS' and "id" >= %s
                order by "id" limit 1 for no key update skip locked
                """,
                self.random_tenancy(rng).id,
            )
            return row is not None and self._take_step(rng, row)

    def answer_email(self, rng: random.Random) -> bool:
        """Let the recipient open a mail, click in it, or complain."""
        with self.connection.transaction():
            row = self._pick_email(rng)
            return row is not None and row[2] in ("SENT", "OPENED") and self._take_step(rng, row)

    def pause_email(self, rng: random.Random) -> bool:
        """Stop a mail where it is."""
        with self.connection.transaction():
            row = self._pick_email(rng)
            return row is not None and self.write(
                """
                update "EmailOutbox" set "isPaused" = true, "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s and not "isPaused"
                """,
                *(self.clock(), *row[:2]),
            )

    def skip_email(self, rng: random.Random) -> bool:
        """Give a mail up, with a reason and its details."""
        with self.connection.transaction():
            row = self._pick_email(rng)
            return row is not None and self.write(
                """
                update "EmailOutbox"
                set "skippedReason" = %s::"EmailOutboxSkippedReason", "skippedDetails" = %s::jsonb, "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s
                """,
                *(rng.choice(("USER_UNSUBSCRIBED", "MANUALLY_CANCELLED")), some_document(rng) or "null"),
                *(self.clock(), *row[:2]),
            )

    def delete_email(self, rng: random.Random) -> bool:
        """Delete a mail."""
        with self.connection.transaction():
            row = self._pick_email(rng)
            return row is not None and self.write(
                'delete from "EmailOutbox" where "tenancyId" = %s and "id" = %s', *row[:2]
            )

    def _pick_email(self, rng: random.Random) -> Row | None:
        return self.pick(
            rng,
            """
            select "tenancyId", "id", "status"::text from "EmailOutbox" where "tenancyId" = %s and "id" >= %s
            order by "id" limit 1 for no key update skip locked
            """,
            self.random_tenancy(rng).id,
        )

    def _take_step(self, rng: random.Random, email: Row) -> bool:
        tenancy_id, email_id, state = email
        step = rng.choice(_STEPS[state])
        statement = sql.SQL(
            """
            update "EmailOutbox" set {step}, "updatedAt" = %(now)s
            where "tenancyId" = %(tenancy_id)s and "id" = %(email_id)s
            """
        ).format(step=sql.SQL(step))
        parameters = {
            "now": self.clock(),
            "time": self.some_time(rng),
            "text": some_text(rng, "Mail"),
            "worker": new_id(rng),
            "tenancy_id": tenancy_id,
            "email_id": email_id,
        }
        return self.connection.execute(statement, parameters).rowcount > 0
