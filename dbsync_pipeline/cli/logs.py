"""What `dbsync` logs to standard error: warnings as text, or, for machines, all that it does, a JSON object a line."""

import json
import logging
from datetime import UTC, datetime

from dbsync_pipeline.errors import redact
from dbsync_pipeline.settings import LogFormat

_OF_EVERY_RECORD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one JSON object: when, how bad, from where, what, and whatever the record carries beyond that."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; passwords in any text are replaced."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in record.__dict__.items() if name not in _OF_EVERY_RECORD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: redact(value) if isinstance(value, str) else value for name, value in line.items()})


def set_up(log_format: LogFormat) -> None:
    """Log in one format or the other."""
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO if log_format == "json" else logging.WARNING, handlers=[handler])
