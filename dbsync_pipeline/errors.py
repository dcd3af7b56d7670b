"""Every error this project raises on purpose.

An error carries what went wrong and where in one line, and how to mend it in another; the command line prints both
and exits with `exit_code`, Dagster shows them as the failure's description. Text that came from a driver goes through
`redact` first, so that no message, log line or metadata can hold a password (invariant I10).
"""

import re

# A password may hold what should have been escaped: it ends at the last @, where no other URL begins before that.
_URL_PASSWORD = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s:/]*):(?:(?:(?![a-z][a-z0-9+.-]*://)\S)*@|\S*@)", re.IGNORECASE
)
_KEYWORD_PASSWORD = re.compile(
    r"(?P<keyword>\b(?:password|sslpassword|passfile|secret|token)\b\s*=\s*)(?:'(?:[^'\\]|\\.)*(?:'|$)|[^\s&]+)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with every password of a URL or a libpq connection string replaced by three asterisks."""
    text = _URL_PASSWORD.sub(r"\g<scheme>\g<user>:***@", text)
    return _KEYWORD_PASSWORD.sub(r"\g<keyword>***", text)


class DbsyncError(Exception):
    """A failure that a person can act on.

    Args:
        what: one line: what happened, and where. Redacted here, so that callers may quote a driver's text.
        mend: one line: what to do about it; empty when waiting is all there is to do.
    """

    exit_code = 1

    def __init__(self, what: str, mend: str = "") -> None:
        self.what = redact(" ".join(what.split()))
        self.mend = redact(mend)
        super().__init__(f"{self.what}. {self.mend}".strip() if self.mend else self.what)


class SettingsError(DbsyncError):
    """A `DBSYNC_*` variable is missing or holds something unusable."""

    exit_code = 2


class ConnectionStringError(DbsyncError):
    """The connection string of an external database cannot be read, or asks for what is not allowed."""

    exit_code = 2


class DestinationError(DbsyncError):
    """There is no such destination, or there cannot be."""

    exit_code = 2


class MappingError(DbsyncError):
    """A mapping file is wrong, or does not fit the source schema."""

    exit_code = 2


class UnreachableError(DbsyncError):
    """A database does not answer; trying again later is right."""

    exit_code = 3


class RefusedForNowError(DbsyncError):
    """A database answers and will not do one thing now, such as write a locked table; the rest of it may go on."""

    exit_code = 3


class NotInstalledError(DbsyncError):
    """The sync objects are missing or older than this code; `dbsync init` installs them."""

    exit_code = 4


class IncompatibleTargetError(DbsyncError):
    """A destination holds a table that differs from the mapping in a way that must not be written over."""

    exit_code = 5


class BadRowError(DbsyncError):
    """A row holds a value that its destination cannot; its tenancy and mapping wait until it is changed."""

    exit_code = 6


class DifferenceError(DbsyncError):
    """A copy does not equal its source."""

    exit_code = 7


class EmbeddedServiceError(DbsyncError):
    """An embedded Postgres or ClickHouse could not be started or stopped."""

    exit_code = 8


class BehindError(DbsyncError):
    """A copy did not come as far as somebody waited for, in time."""

    exit_code = 9
