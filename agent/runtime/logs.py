"""Logs: one line per event, for people or as JSON; identifiers and secrets are masked before a line is made."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from agent.core.model import IdToken
from agent.runtime.recent import Recent

Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
Format: TypeAlias = Literal["console", "json"]

ROOT: Final = "agent"
"""Loggers of this program; those of libraries speak from WARNING on, since their debug lines hold whole messages."""
DEPTH: Final = 6
"""Nested values are looked through so deep; what lies deeper is not written."""

#: Keys (lower case, without ``_`` and ``-``) of identifiers: the last four characters are shown.
IDENTIFIERS: Final = frozenset({
    "card", "cards", "emaid", "groupidtoken", "idtag", "idtoken", "parentidtag", "tag", "uid",
})  # fmt: skip
#: Keys of secrets: nothing is shown.
SECRETS: Final = frozenset({
    "authorization", "authorizationkey", "basicauthpassword", "clientkey", "credentials", "passphrase", "password",
    "passwd", "pin", "privatekey", "secret", "token",
})  # fmt: skip
HIDDEN: Final = "***"
SHOWN: Final = 4


def configure(level: Level, style: Format, stream: TextIO | None = None) -> Recent:
    """Send all logs of the process to a stream, standard error by default, from this level on.

    It replaces an earlier set-up. Colours only on a terminal. Stamps are UTC with milliseconds. Returns who keeps the
    newest lines.
    """
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level]
    handler, recent = logging.StreamHandler(out), Recent()
    handler.setFormatter(_formatter(style, shared, colours=out.isatty()))
    recent.setFormatter(_formatter(style, shared, colours=False))
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler, recent], level=max(number, logging.WARNING), force=True)
    logging.captureWarnings(True)
    logging.getLogger(ROOT).setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return recent


def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the time and the logger's name from the standard library's record."""
    record = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC)
    event["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event["logger"] = record.name
    return event


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask id tokens, and values under the keys of identifiers and secrets, also inside of nested values."""
    return {key: _masked(key, value, DEPTH) for key, value in event.items()}


def last_four(text: str) -> str:
    """Return an identifier as it may be shown: its last four characters; of a shorter one nothing."""
    shown = text[-SHOWN:] if len(text) > SHOWN else ""
    return "*" * (len(text) - len(shown)) + shown


def _masked(key: str, value: object, depth: int) -> object:
    name = key.replace("_", "").replace("-", "").lower()
    if value is None or name == "excinfo":
        return value
    if name in SECRETS:
        return HIDDEN
    if name in IDENTIFIERS and not isinstance(value, Mapping | list | tuple | set | frozenset):
        return last_four(value.value if isinstance(value, IdToken) else str(value))
    return _within(key, value, depth)


def _within(key: str, value: object, depth: int) -> object:
    """Mask what a container or a dataclass holds; the members of a list are masked as the list's key says."""
    if isinstance(value, IdToken):
        return last_four(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _masked(str(k), v, depth - 1) for k, v in value.items()} if depth else HIDDEN
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(key, member, depth - 1) for member in value] if depth else HIDDEN
    return value


def _formatter(style: Format, shared: list[Processor], *, colours: bool) -> structlog.stdlib.ProcessorFormatter:
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[stamp, clean, mask, *_renderers(style, colours=colours)]
    )


def _renderers(style: Format, *, colours: bool) -> list[Processor]:
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    renderer = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0, sort_keys=False
    )
    return [renderer]
