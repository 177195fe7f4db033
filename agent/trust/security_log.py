"""The station's own log of security events: lines of text in two files of bounded size, the newest last.

Each line has the time (UTC), the kind and what is known of it, with tabs between. Source: whitepaper ed. 3, A04.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.core.effects import KeepSecurityEvent

LOG: Final = "security.log"
"""Name of the file in the state directory; the part before it has ``.1`` behind its name."""
MOST: Final = 256 * 1024
"""Bytes of one file; two of them hold some five thousand events."""


class SecurityLog:
    """The log of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Use a state directory; opens nothing."""
        self._path = state_dir / LOG

    def add(self, event: KeepSecurityEvent) -> None:
        """Append an event; it is on disk when this returns. Raises: OSError."""
        info = " ".join("".join(c if c.isprintable() else " " for c in event.info or "").split())
        line = f"{event.at.wall.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}\t{event.kind}\t{info}\n"
        if self._path.exists() and self._path.stat().st_size + len(line) > MOST:
            self._path.replace(self._older)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def text(self, oldest: datetime | None = None, latest: datetime | None = None) -> str:
        """Return the lines of events between two moments, both included; None: without that bound.

        A line whose time cannot be read goes along. Raises: OSError.
        """
        lines = [line for path in (self._older, self._path) if path.exists() for line in _lines(path)]
        return "".join(f"{line}\n" for line in lines if _is_within(line, oldest, latest))

    @property
    def _older(self) -> Path:
        return self._path.with_name(f"{LOG}.1")


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", errors="replace").splitlines()


def _is_within(line: str, oldest: datetime | None, latest: datetime | None) -> bool:
    try:
        at = datetime.fromisoformat(line.partition("\t")[0])
    except ValueError:
        return True
    return at.tzinfo is None or ((oldest is None or at >= oldest) and (latest is None or at <= latest))
