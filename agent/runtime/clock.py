"""The system clock: the only place that reads it, and that knows how far the wall clock can be trusted."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from agent.core.instant import Instant, TimeStatus

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
TIMESYNCD: Final = Path("/run/systemd/timesync/synchronized")
STEP_S: Final = 2.0
"""A told time moves the clock only when it is off by more than this."""
EARLIEST: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""A wall clock before this has not been set."""
NTP_CHECK_S: Final = 60.0
STA_UNSYNC: Final = 0x0040
TIME_ERROR: Final = 5


@dataclass(frozen=True, slots=True)
class ClockView:
    """What ``status`` shows: whether a source has told the time, and which."""

    synchronised: bool
    source: str | None


class SystemClock:
    """Monotonic time since the machine's start, and UTC as the best source tells it.

    Sources are ranked: the system's own clock while NTP disciplines it, then what a central system told, then the
    system's clock as it is. A told time moves an offset of this process only, never the system's clock.
    """

    def __init__(
        self, boot: int, ntp: Callable[[], bool] | None = None, stepped: Callable[[], None] | None = None
    ) -> None:
        """Begin with the system's time; boot: number of the machine's start; stepped: called when it was moved.

        ``stepped_by_s`` tells then by how many seconds.
        """
        self._boot = boot
        self._offset = timedelta()
        self.stepped_by_s = 0.0
        self._told: str | None = None
        self._ntp = ntp or ntp_synchronised
        self._stepped = stepped
        self._checked = -NTP_CHECK_S
        self._by_ntp = False

    def now(self) -> Instant:
        """Return this moment."""
        wall = datetime.now(UTC) + self._offset
        return Instant(self.mono(), wall, self._status(), self._boot)

    def mono(self) -> float:
        """Return seconds since the machine's start, suspended time included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep_until(self, mono: float) -> None:
        """Return once the monotonic clock has reached ``mono``."""
        await asyncio.sleep(max(mono - self.mono(), 0.0))

    def told(self, source: str, wall: datetime, received: Instant) -> None:
        """Take a time that a source told; ignored while NTP rules the system's clock, or where it cannot be true."""
        if self._disciplined() or wall < EARLIEST:
            return
        self._told = source
        off = wall - received.wall
        if abs(off.total_seconds()) > STEP_S:
            self._offset += off
            self.stepped_by_s = off.total_seconds()
            if self._stepped is not None:
                self._stepped()

    def on_step(self, stepped: Callable[[], None]) -> None:
        """Name who is called when the wall clock was moved."""
        self._stepped = stepped

    def view(self) -> ClockView:
        """Return how the time is known."""
        if self._disciplined():
            return ClockView(synchronised=True, source="ntp")
        if self._told is not None:
            return ClockView(synchronised=True, source=self._told)
        set_once = datetime.now(UTC) >= EARLIEST
        return ClockView(synchronised=False, source="rtc" if set_once else None)

    def _status(self) -> TimeStatus:
        if self._told is not None or self._disciplined():
            return TimeStatus.SYNCHRONISED
        return TimeStatus.INFORMATIVE if datetime.now(UTC) >= EARLIEST else TimeStatus.UNKNOWN

    def _disciplined(self) -> bool:
        """Ask the kernel at most once a minute."""
        if self.mono() - self._checked >= NTP_CHECK_S:
            self._checked = self.mono()
            self._by_ntp = self._ntp()
            if self._by_ntp and self._offset:
                self.stepped_by_s = -self._offset.total_seconds()
                self._offset = timedelta()
                if self._stepped is not None:
                    self._stepped()
        return self._by_ntp


def boot_id() -> str:
    """Return the kernel's id of this start of the machine."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def ntp_synchronised() -> bool:
    """Ask the kernel whether its clock is disciplined by a time server (adjtimex, read only).

    A sandbox may forbid even reading; then what systemd-timesyncd leaves behind tells.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timex = (ctypes.c_byte * 512)()
    state = libc.adjtimex(ctypes.byref(timex))
    if state == -1:
        return TIMESYNCD.exists()
    status = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value
    return state != TIME_ERROR and not status & STA_UNSYNC
