"""Session ids: UUIDs of version 7 (RFC 9562) from the time, a seed and a counter, so that the core needs no chance."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from uuid import UUID

from agent.core.instant import Instant
from agent.core.model import SessionId
from agent.core.state import IdSource


def next_id(source: IdSource, at: Instant) -> tuple[SessionId, IdSource]:
    """Return a fresh id, which sorts by the time, and the source to go on with."""
    digest = int.from_bytes(sha256(f"{source.seed}:{source.counter}".encode()).digest()[:10])
    milliseconds = int(at.wall.timestamp() * 1000) & (1 << 48) - 1
    high, low = digest >> 62 & 0xFFF, digest & (1 << 62) - 1
    number = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    return SessionId(str(UUID(int=number))), replace(source, counter=source.counter + 1)
