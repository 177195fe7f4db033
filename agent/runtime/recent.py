"""The newest lines of the log, in memory; written to a file when the process ends, for who asks why it did."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.buffer.private_file import put_private

MOST: Final = 256 * 1024
"""Characters that are kept."""
LONGEST: Final = 4096
BEFORE: Final = "log.before"
"""Name of the file in the state directory with the end of the last run's log."""


class Recent(logging.Handler):
    """Keeps lines as they were formatted, the newest ones."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        super().__init__()
        self._lines: deque[tuple[datetime, str]] = deque()
        self._size = 0
        self._turn = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; the oldest ones go where there is no room."""
        line = self.format(record)[:LONGEST]
        with self._turn:
            self._lines.append((datetime.fromtimestamp(record.created, UTC), line))
            self._size += len(line)
            while self._size > MOST:
                self._size -= len(self._lines.popleft()[1])

    def lines(self, since: datetime | None = None, until: datetime | None = None) -> list[str]:
        """Return the lines of a time, oldest first."""
        with self._turn:
            kept = tuple(self._lines)
        return [line for at, line in kept if (since is None or at >= since) and (until is None or at <= until)]

    def save(self, state_dir: Path, error: BaseException | None) -> None:
        """Write what there is into the state directory; error: why the process ends. A disk at fault is no matter."""
        reason = traceback.format_exception(error) if error is not None else []
        with suppress(OSError):
            put_private(state_dir / BEFORE, "\n".join([*self.lines(), *reason]).encode("utf-8", "replace"))


def before(state_dir: Path) -> list[str]:
    """Return the end of the last run's log, empty where there is none."""
    try:
        return (state_dir / BEFORE).read_text(encoding="utf-8", errors="replace")[-MOST:].splitlines()
    except OSError:
        return []
