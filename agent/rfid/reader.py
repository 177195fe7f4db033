"""A card reader on a serial line that sends by itself: opens the tty, splits, debounces, yields tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, TypeGuard

import structlog

from agent.core.errors import ConfigError, ReaderLost
from agent.core.model import IdToken
from agent.fieldbus.line import LineSettings, PortLost, Transport
from agent.fieldbus.serial import SerialStream
from agent.ports import Clock
from agent.rfid.debounce import Debounce
from agent.rfid.frames import FRAMINGS, FrameError, Framing, Seen, Tag

log = structlog.get_logger(__name__)

RELEASE_GAP_S: Final = 1.5
MIN_REPEAT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Which reader is where; reader: an id of ``available_readers()``; the rest: see ``debounce``."""

    reader: str
    device: str
    baudrate: int | None = None
    release_gap_s: float = RELEASE_GAP_S
    min_repeat_s: float = MIN_REPEAT_S


def available_readers() -> tuple[str, ...]:
    """Return the ids of the readers that are known, sorted."""
    return tuple(sorted(FRAMINGS))


def reader_line(settings: ReaderSettings) -> LineSettings:
    """Return the line that a reader needs, to be held against those of other devices. Raises: ConfigError."""
    framing = _framing(settings.reader)
    return LineSettings(
        Transport.SERIAL,
        settings.device,
        baudrate=settings.baudrate or framing.baudrate,
        parity=framing.parity,
        stopbits=framing.stopbits,
    )


def open_reader(settings: ReaderSettings, clock: Clock, opened: Callable[[], None] | None = None) -> SerialReader:
    """Return the reader; its port is opened when ``cards()`` begins, and ``opened`` is told. Raises: ConfigError."""
    debounce = Debounce(settings.release_gap_s, settings.min_repeat_s)
    framing = _framing(settings.reader)
    return SerialReader(reader_line(settings), framing, clock=clock, debounce=debounce, opened=opened)


class SerialReader:
    """Implements the port CardReader; ``cards()`` is begun again after ReaderLost.

    ok: the port is open; last_error: why not, None while it is.
    """

    def __init__(
        self,
        line: LineSettings,
        framing: Framing,
        *,
        clock: Clock,
        debounce: Debounce,
        opened: Callable[[], None] | None = None,
    ) -> None:
        """Read from ``line``; opens nothing. What is debounced outlives a lost port.

        opened: is told each time the port was opened, long before a card may come.
        """
        self._line = line
        self._framing = framing
        self._clock = clock
        self._debounce = debounce
        self._opened = opened
        self.ok = False
        self.last_error: str | None = None

    async def cards(self) -> AsyncGenerator[IdToken]:
        """Yield a token per touch, upper-case hex. Raises: ReaderLost with the cause, also for a missing port."""
        stream, frames = SerialStream(self._line), self._framing.make()
        try:
            with stream.opened():
                self.ok, self.last_error = True, None
                if self._opened is not None:
                    self._opened()
                while True:
                    data = await stream.read(self._patience(frames.deadline))
                    now = self._clock.now().mono
                    for seen in frames.feed(data, now) if data else frames.idle(now):
                        if self._is_touch(seen):
                            yield IdToken(seen.id_tag)
        except PortLost as error:
            self.last_error = f"card reader on {error}"
            raise ReaderLost(self.last_error) from error
        finally:
            self.ok = False

    def _patience(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self._clock.now().mono, 0.0)

    def _is_touch(self, seen: Seen) -> TypeGuard[Tag]:
        if isinstance(seen, FrameError):
            log.debug("card frame dropped", reader=self._line.name, fault=seen.fault)
            return False
        return self._debounce.touched(seen.uid, seen.at)


def _framing(reader: str) -> Framing:
    framing = FRAMINGS.get(reader)
    if framing is None:
        raise ConfigError(f"reader: {reader!r} is not known: use one of {', '.join(available_readers())}")
    return framing
