"""How the long-running commands log: one JSON event a line, ids only, never an address, a text or a secret.

What libraries log becomes such an event too, without the values they fill in: a web server quotes the
request it could not read, with the token in its path. A last net takes out what looks like an address.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from traceback import extract_tb
from typing import Any, TextIO

import structlog

_EMAIL = re.compile(r"[^\s<>\"'@]+@[^\s<>\"'@]+")
_PHONE = re.compile(r"\+?\d[\d ()-]{8,}\d")
DEEPEST = 4  # causes of a fault that are told
_OURS = frozenset({"timestamp", "level", "event", "delivery", "incoming", "message"})


def configure(target: TextIO = sys.stderr) -> None:
    """Log to `target` from now on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            say_where,
            redact,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=True,
    )
    logging.getLogger().handlers[:] = [_AsEvents(logging.WARNING)]


class _AsEvents(logging.Handler):
    """Writes what a library logs by the standard way as an event: which, how it is worded, where it happened."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().warning(
            "library_complains",
            logger=record.name,
            said=str(record.msg).partition("\n")[0][:200],
            error=type(error).__name__ if error else None,
            at=_places(error) if error else [],
        )


def say_where(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Of a fault its kinds and its places: its words and the values around it may hold what residents sent."""
    given = event.pop("exc_info", None)
    if given:
        kinds: list[str] = []
        at: list[str] = []
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        while error is not None and len(kinds) < DEEPEST:
            kinds.append(type(error).__name__)
            at += _places(error)
            error = error.__cause__ or error.__context__
        event["exception"] = {"kinds": kinds, "at": at}
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what looks like an address or a number, in whatever a library said."""
    return {name: value if name in _OURS else _clean(value) for name, value in event.items()}


def _places(error: BaseException) -> list[str]:
    frames = extract_tb(error.__traceback__)[-8:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _PHONE.sub("[number]", _EMAIL.sub("[address]", value))
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    return value
