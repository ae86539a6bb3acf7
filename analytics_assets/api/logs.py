"""One JSON line a request, with its id and without anything personal.

Belongs here: the form of lines. Does not: when one is written (doorway.py). Invariant: no address,
query string, header value or body reaches a log; routes are named by their pattern.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

LOGGER: Final = logging.getLogger("analytics_assets.api")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what was passed as ``extra={"fields": {...}}`` beside it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            # Its message may quote a row; its class and place do not.
            line["error"] = record.exc_info[0].__name__
            line["where"] = _places(record.exc_info[2])
        return json.dumps(line, separators=(",", ":"), default=str)


def configure_logging() -> None:
    """Write the API's lines to standard output; called by the command, never by an import."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    for logger in (LOGGER, logging.getLogger("psycopg.pool"), logging.getLogger("uvicorn.error")):
        logger.handlers[:] = [handler]
        logger.propagate = False
    LOGGER.setLevel(logging.INFO)


def _places(trace: Any) -> list[str]:
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-6:]
