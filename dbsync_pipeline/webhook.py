"""Tells people something through a webhook of theirs, in the form that Slack and many others take: `{"text": …}`.

Whoever knows the address may write there, so it is a secret: no error quotes more of it than the host, and a redirect
is an error and not followed (I10).
"""

import html
import json
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from pydantic import SecretStr

from dbsync_pipeline.errors import UnreachableError

_TIMEOUT_SECONDS = 10
_LONGEST_CHARACTERS = 3_000


def tell(webhook: SecretStr, text: str) -> None:
    """Send a message.

    Args:
        webhook: where to; the settings have seen to it that it is https, or on this machine.
        text: plain text. What Slack would take for a mention or a link arrives as it is written here.

    Raises:
        UnreachableError: it was not taken.
    """
    url = webhook.get_secret_value()
    body = json.dumps({"text": html.escape(text[:_LONGEST_CHARACTERS], quote=False)}).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 -- http(s), as above
    try:
        with _opener().open(request, timeout=_TIMEOUT_SECONDS):
            pass
    except HTTPError as error:
        error.close()
        raise _refused(url, f"it answers {error.code}") from None
    except (OSError, HTTPException) as error:
        # What else the exception says may quote the address.
        reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
        raise _refused(url, getattr(reason, "strerror", None) or type(reason).__name__) from None


def _opener() -> OpenerDirector:
    """Whoever a redirect leads to has not been chosen by the deployment: there is no handler of redirects."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    return opener


def _refused(url: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"the webhook at {urlsplit(url).hostname} does not take messages: {reason}", "Check DBSYNC_ALERT_WEBHOOK_URL."
    )
