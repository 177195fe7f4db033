"""A card reader on a serial line: opens the tty, talks in the reader's way, debounces, yields tokens."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, TypeGuard

import structlog

from agent.core.errors import ConfigError, ReaderLost
from agent.core.model import IdToken
from agent.fieldbus.line import LineSettings, NoAnswer, PortLost, Transport
from agent.fieldbus.serial import SerialStream
from agent.ports import Clock
from agent.rfid.debounce import Debounce
from agent.rfid.dialogue import GaveUp, Ready, Told
from agent.rfid.frames import FrameError, Tag
from agent.rfid.kinds import KINDS, Kind

log = structlog.get_logger(__name__)

RELEASE_GAP_S: Final = 1.5
MIN_REPEAT_S: Final = 3.0
RANDOM_NOTICE_S: Final = 60.0
"""A phone that lies on the reader has a new number several times a second."""


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
    return tuple(sorted(KINDS))


def reader_line(settings: ReaderSettings) -> LineSettings:
    """Return the line that a reader needs, to be held against those of other devices. Raises: ConfigError."""
    kind = _kind(settings.reader)
    return LineSettings(
        Transport.SERIAL,
        settings.device,
        baudrate=settings.baudrate or kind.baudrate,
        parity=kind.parity,
        stopbits=kind.stopbits,
    )


def open_reader(settings: ReaderSettings, clock: Clock, opened: Callable[[], None] | None = None) -> SerialReader:
    """Return the reader; its port is opened when ``cards()`` begins. Raises: ConfigError.

    opened: is told each time the reader was found to work.
    """
    debounce = Debounce(settings.release_gap_s, settings.min_repeat_s)
    return SerialReader(reader_line(settings), _kind(settings.reader), clock=clock, debounce=debounce, opened=opened)


class SerialReader:
    """Implements the port CardReader; ``cards()`` is begun again after ReaderLost.

    ok: the reader works, as far as it can be told: of one that sends by itself, that its port is open; of one that is
    asked, that it answers. last_error: why not, None while it works and before the first attempt.
    """

    def __init__(
        self,
        line: LineSettings,
        kind: Kind,
        *,
        clock: Clock,
        debounce: Debounce,
        opened: Callable[[], None] | None = None,
    ) -> None:
        """Read from ``line``; opens nothing. What is debounced outlives a lost port.

        opened: is told each time the reader was found to work, long before a card may come.
        """
        self._line = line
        self._kind = kind
        self._clock = clock
        self._debounce = debounce
        self._opened = opened
        self._noticed = -math.inf
        self.ok = False
        self.last_error: str | None = None

    async def cards(self) -> AsyncGenerator[IdToken]:
        """Yield a token per touch, upper-case hex. Raises: ReaderLost with the cause, also for a missing port."""
        port, dialogue = SerialStream(self._line), self._kind.talk()
        try:
            with port.opened():
                told = dialogue.begin(self._now())
                while True:
                    port.write(dialogue.outgoing())
                    for event in told:
                        if self._is_touch(event):
                            yield IdToken(event.id_tag)
                    data = await port.read(self._patience(dialogue.deadline))
                    told = dialogue.feed(data, self._now()) if data else dialogue.idle(self._now())
        except (PortLost, NoAnswer) as error:
            self.last_error = f"card reader on {error}"
            raise ReaderLost(self.last_error) from error
        finally:
            self.ok = False

    def _now(self) -> float:
        return self._clock.now().mono

    def _patience(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self._now(), 0.0)

    def _is_touch(self, event: Told) -> TypeGuard[Tag]:
        """Take what was told, and tell whether it begins a touch. Raises: NoAnswer for a reader that does not work."""
        match event:
            case Tag():
                return not self._is_random(event) and self._debounce.touched(event.uid, event.at)
            case FrameError():
                log.debug("card frame dropped", reader=self._line.name, fault=event.fault, detail=event.detail)
            case Ready():
                self._works(event)
            case GaveUp():
                raise NoAnswer(f"{self._line.name}: {event.reason}")
        return False

    def _works(self, ready: Ready) -> None:
        self.ok, self.last_error = True, None
        log.debug("card reader works", reader=self._line.name, model=ready.model)
        if self._opened is not None:
            self._opened()

    def _is_random(self, tag: Tag) -> bool:
        if tag.is_random and tag.at - self._noticed >= RANDOM_NOTICE_S:
            self._noticed = tag.at
            log.warning(
                "a phone or a card whose number changes at each touch was held to the reader; use another card",
                reader=self._line.name,
            )
        return tag.is_random


def _kind(reader: str) -> Kind:
    kind = KINDS.get(reader)
    if kind is None:
        raise ConfigError(f"reader: {reader!r} is not known: use one of {', '.join(available_readers())}")
    return kind
