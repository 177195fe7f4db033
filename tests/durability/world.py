"""What a power cut at the station does not touch: cars, meters, the time, and what central systems have been told."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from agent.buffer.database import Statement
from agent.core.commands import Outcome
from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId, SessionId, Wh
from agent.core.state import Durable
from tests.unit.core.charger import NOON, ONE, TWO, Site

EVSES: Final = (ONE, TWO)
DESTINATIONS: Final = ("cloud", "ere")
"""The commanding central system, and one that only listens."""
UNSET: Final = datetime(1970, 1, 1, tzinfo=UTC)
POWER_W: Final = 3600
"""One Wh a second: registers stay exact."""


# --- what is told, in the order in which it happens ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """A unit of work was handed to the ledger."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The ledger has acknowledged the unit that began last."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A state was handed to the journal, to be there after a restart."""

    slices: Durable


@dataclass(frozen=True, slots=True)
class Kept:
    """The journal has acknowledged the state that it was handed last."""


@dataclass(frozen=True, slots=True)
class Survived:
    """The process died; units: so many of those that were not acknowledged are in the ledger all the same.

    After a kill they need not be on the disk yet: only the next acknowledgement vouches for them.
    """

    units: int


@dataclass(frozen=True, slots=True)
class Energised:
    """A controller was told to close the contactor, for a session."""

    evse: EvseId
    session: SessionId


@dataclass(frozen=True, slots=True)
class Answered:
    """Who gave a command has the answer."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Sent:
    """A message left; session and number of the fact it is about, None for a reading without a session."""

    destination: str
    row: int
    message_id: str
    text: str
    about: tuple[SessionId, int] | None


class Fate(StrEnum):
    """What a central system made of a message."""

    TAKEN = "taken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decided:
    """A central system has made up its mind about a message, whether its answer arrives or not."""

    destination: str
    message_id: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Stood:
    """How the world stood before a step."""

    world: World


# --- the world ----------------------------------------------------------------------------------------------------


@dataclass
class World:
    """Cars, meters and clocks.

    wall: the true time; is_known: whether the station knows it; starts: of the machine so far.
    """

    sites: dict[EvseId, Site] = field(default_factory=lambda: {i: Site(i, power_w=POWER_W) for i in EVSES})
    mono: float = 1000.0
    wall: datetime = NOON
    is_known: bool = True
    starts: int = 1
    boot: int = 1

    @property
    def at(self) -> Instant:
        """This moment, as the station sees it."""
        wall = self.wall if self.is_known else UNSET + timedelta(seconds=self.mono)
        return Instant(self.mono, wall, TimeStatus.SYNCHRONISED if self.is_known else TimeStatus.UNKNOWN, self.boot)

    @property
    def boot_id(self) -> str:
        """The kernel's name of this start of the machine."""
        return f"boot-{self.starts}"

    def shown(self, evse: EvseId) -> Wh:
        """Return what a meter shows."""
        return Wh(self.sites[evse].register.quantize(Decimal("0.001")))

    def copy(self) -> World:
        """Return the same world, to go another way."""
        return replace(self, sites={i: replace(site) for i, site in self.sites.items()})

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and energy flow."""
        self.mono += seconds
        self.wall += timedelta(seconds=seconds)
        for site in self.sites.values():
            site.flow(seconds)

    def lose_power(self, seconds: float, *, clock: bool) -> None:
        """Let the power go and come back; clock: the machine knows the time at once."""
        for site in self.sites.values():
            site.limit, site.charging = 0, False
        self.wall += timedelta(seconds=seconds)
        self.starts += 1
        self.mono, self.is_known = 20.0, clock


class Book:
    """What a central system has been sent: it takes a message once, and knows it again when it comes once more."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self.texts: dict[str, str] = {}
        self.abouts: dict[str, tuple[SessionId, int] | None] = {}
        self.fates: dict[str, set[Fate]] = {}
        self.transactions: dict[str, int] = {}
        self.faults: list[str] = []

    def hear(self, told: Iterable[object]) -> None:
        """Take what was told, as far as it is meant for this one."""
        for what in told:
            match what:
                case Sent(destination=self._destination):
                    self._hear(what)
                case Decided(destination=self._destination):
                    self.fates.setdefault(what.message_id, set()).add(what.fate)
                    if what.fate is Fate.TAKEN and self.action(what.message_id) == "StartTransaction":
                        self.transactions.setdefault(what.message_id, 100 + len(self.transactions))

    def answer(self, message_id: str) -> dict[str, Any]:
        """Return the answer to a message that was taken."""
        if message_id in self.transactions:
            return {"transactionId": self.transactions[message_id], "idTagInfo": {"status": "Accepted"}}
        return {}

    def action(self, message_id: str) -> str:
        """Return what kind of message it is."""
        return str(json.loads(self.texts[message_id])[2])

    def payload(self, message_id: str) -> dict[str, Any]:
        """Return what a message says."""
        content: dict[str, Any] = json.loads(self.texts[message_id])[3]
        return content

    def of(self, session: SessionId, action: str) -> list[str]:
        """Return the ids of the messages of a kind about a session, in the order in which they came first."""
        return [i for i, about in self.abouts.items() if about and about[0] == session and self.action(i) == action]

    def _hear(self, sent: Sent) -> None:
        before = self.texts.setdefault(sent.message_id, sent.text)
        about = self.abouts.setdefault(sent.message_id, sent.about)
        if before != sent.text:
            self.faults.append(f"message {sent.message_id} came again with another content")
        if about != sent.about:
            self.faults.append(f"message {sent.message_id} is about {about} and {sent.about}")
        others = [i for i, a in self.abouts.items() if a is not None and a == sent.about and i != sent.message_id]
        if others:
            self.faults.append(f"fact {sent.about} came as {others} and as {sent.message_id}")


def books(told: Iterable[object] = ()) -> dict[str, Book]:
    """Return the books of all central systems after what was told."""
    every = {name: Book(name) for name in DESTINATIONS}
    words = [what for what in told if isinstance(what, Sent | Decided)]
    for book in every.values():
        book.hear(words)
    return every


def downtime(chance: random.Random) -> float:
    """Return for how long (s) nobody looks: mostly short, sometimes longer than a session is resumed."""
    return chance.choice([1.0, 5.0, 60.0, 2000.0])
