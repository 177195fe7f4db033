"""Facts and durable slices as JSON and back: decimals as text, moments in ISO 8601 UTC, enums by value (ADR 5)."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from agent.core.errors import JournalCorrupt
from agent.core.facts import (
    SCHEMA,
    Fact,
    FirmwareTold,
    HeldDropped,
    HeldReleased,
    LogTold,
    MeterSampled,
    SecurityEventRaised,
    SessionEnded,
    SessionSampled,
    SessionStarted,
)

T = TypeVar("T")

#: name in the ledger -> type; a name is never given to another type.
FACTS: Final[dict[str, type[Fact]]] = {
    "session-started": SessionStarted,
    "session-sampled": SessionSampled,
    "session-ended": SessionEnded,
    "meter-sampled": MeterSampled,
    "held-released": HeldReleased,
    "held-dropped": HeldDropped,
    "firmware-told": FirmwareTold,
    "log-told": LogTold,
    "security-event": SecurityEventRaised,
}
NAMES: Final = {kind: name for name, kind in FACTS.items()}
SAMPLES: Final = (NAMES[SessionSampled], NAMES[MeterSampled])
"""Readings, of which some may be left out where too many wait."""
NOTICES: Final = (NAMES[FirmwareTold], NAMES[LogTold])
PASSING: Final = (*SAMPLES, *NOTICES, NAMES[SecurityEventRaised])
"""What is told once and not kept in a lane after that."""


def dump(value: object) -> str:
    """Return a frozen dataclass of the core as JSON; belongs to schema number ``SCHEMA``."""
    return _adapter(type(value)).dump_json(value).decode()


def load(kind: type[T], schema: int, text: str) -> T:
    """Return the dataclass that ``dump`` wrote; schema: the number that was stored with it.

    A member that was not known then takes its default. Raises: JournalCorrupt.
    """
    if schema != SCHEMA:
        raise JournalCorrupt(f"the ledger holds a {kind.__name__} of schema {schema}; this release knows {SCHEMA}")
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]  # the input may hold a card's number
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        message = f"the ledger holds a {kind.__name__} that cannot be read ({where}: {first['msg']}): restore a backup"
        raise JournalCorrupt(message) from None


def load_fact(name: str, schema: int, text: str) -> Fact:
    """Return a fact by its name in the ledger. Raises: JournalCorrupt."""
    kind = FACTS.get(name)
    if kind is None:
        raise JournalCorrupt(f"the ledger holds a fact of unknown kind {name!r}: it was written by a newer release")
    return load(kind, schema, text)


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    adapter: TypeAdapter[T] = _built(kind)  # type: ignore[arg-type]  # mypy asks the instances, not the class, for a hash
    return adapter


@cache
def _built(kind: type[Any]) -> TypeAdapter[Any]:
    """Build the converter of a type when it is needed first; it costs milliseconds."""
    return TypeAdapter(kind)


if set(get_args(Fact)) != set(NAMES):
    raise AssertionError("each kind of fact needs a name in the ledger")
