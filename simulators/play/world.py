"""What somebody plays with: the agent as a process of its own, and everything that it is connected to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from simulators.bus import Bus, Endpoint
from simulators.circuit import Circuit, SimClock
from simulators.csms import certificates, show
from simulators.csms.log import Message, Violation
from simulators.csms.rates import day_night
from simulators.csms.server import Csms, Setup
from simulators.csms.state import Company, Token, TokenStatus
from simulators.errors import SimulatorError
from simulators.evse import EvseDin
from simulators.meter import Meter
from simulators.modbus import Device
from simulators.play import changes
from simulators.play.news import LogTail, Newsroom, Who
from simulators.rfid import CardReader
from simulators.stage import Agent

STATION: Final = "NL-PLAY-1"
CODE: Final = "ACME-7F3K"
PASSWORD: Final = "correct-horse-7F3K"  # noqa: S105 - opens a simulator on the loopback
#: Of the three-phase installation, with a margin.
MOST_W: Final = 13_800
BATTERY_WH: Final = 60_000.0
#: A car takes so long to ask for energy after the offer, and to draw all of it.
WAKES_S, FULL_CURRENT_S, MOST_A = 1.0, 1.5, 16.0
TICK_S: Final = 0.25
SAMPLES_S: Final = 10

CONFIG: Final = """\
[station]
id = "{station}"
vendor = "Generic"
model = "Play"
timezone = "Europe/Amsterdam"
state_dir = "{folder}/state"

[cloud]
url = "{url}"
{security}
[rfid]
reader = "rdm6300"
device = "{folder}/reader"

[log]
format = "json"
"""
CONNECTOR: Final = """
[[connector]]
evse_id = "NL*PLY*E1*{number}"
max_current = 16

[connector.meter]
model = "eastron_sdm630_v2"
device = "{folder}/bus"
address = {meter}
max_power = {most_w}        # energy flows {speed:g} times faster than in a real car
meter_grace = 20

[connector.evse]
controller = "evse_din"
device = "{folder}/bus"
address = {evse}
"""
SECURITY: Final = """\
security_profile = 2
password = "{password}"
ca_file = "{authority}"
"""


@dataclass(frozen=True, slots=True)
class Card:
    """A card on the table. local: how the installer tells the agent of it, empty: not at all."""

    uid: str
    what: str
    local: tuple[str, ...] = ()


CARDS: Final = (
    Card("62E3086CED", "fleet", ("--number", "NL-ACM-C00000042-K", "--name", "Fleet card")),
    Card("3A00C4F1B7", "private", ("--profile", "private", "--name", "Neighbour")),
    Card("0C000621A5", "blocked"),
    Card("0000AB12CD", "unknown"),
    Card("62E3086D10", "same group", ("--number", "NL-ACM-C00000043-1", "--name", "Second card of the same driver")),
)
FLEET, _PRIVATE, BLOCKED, _UNKNOWN, SECOND = CARDS
GROUP: Final = "ACME-C42"


@dataclass(frozen=True, slots=True)
class Place:
    """One connector: its controller with the car, and the meter before it."""

    number: int
    evse: EvseDin
    meter: Meter


@dataclass(frozen=True, slots=True)
class Wishes:
    """How somebody wants to play. speed: of car and meter. two: two connectors. secure: wss with a password."""

    speed: float = 60.0
    two: bool = False
    secure: bool = False


class World:
    """Everything, on the loopback and on pseudo-terminals; an asynchronous context manager that also starts the agent.

    ``news`` tells what happens, ``status`` is the agent's status as of a moment ago, empty while it does not answer.
    """

    def __init__(self, folder: Path, wishes: Wishes) -> None:
        self.wishes = wishes
        self.folder = folder
        self.news = Newsroom()
        self.agent = Agent(folder, apart=True)
        self.places = _places(wishes)
        self.reader = CardReader(link=folder / "reader")
        self.csms = Csms(_setup(folder, wishes))
        self.status: dict[str, Any] = {}
        #: What became of the last card, in the agent's words, and of how many it told.
        self.card = ""
        self.cards_told = 0
        #: Whether the agent is meant to run.
        self.alive = False
        self._log = LogTail(self.agent.log)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            units: dict[int, Device] = {}
            for place in self.places:
                units |= {2 * place.number - 1: place.meter, 2 * place.number: place.evse}
            await stack.enter_async_context(Bus(units, Endpoint(self.folder / "bus")))
            await stack.enter_async_context(self.reader)
            await stack.enter_async_context(self.csms)
            self.csms.log.listeners.append(self._heard)
            self.agent.config.write_text(self._configuration())
            await self.start()
            stack.push_async_callback(self.agent.stop)
            watch = asyncio.create_task(self._watch())
            stack.push_async_callback(_ended, watch)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self) -> None:
        """Wait until the station is up, then do what an installer and an operator do once.

        Raises: SimulatorError where it does not come up, or refuses something.
        """
        await self.agent.until("the station is up", lambda status: _is_up(status, len(self.places)))
        await self.agent.command("link", CODE)
        for card in CARDS:
            if card.local:
                await self.agent.command("cards", "add", card.uid, *card.local)
        await self._first_key("MeterValueSampleInterval", str(SAMPLES_S))
        await self.agent.until("the charger is linked", lambda status: status["company"]["state"] == "linked")

    async def start(self) -> None:
        """Start the agent."""
        await self.agent.start()
        self.alive = True

    async def kill(self) -> None:
        """Kill the agent with signal 9."""
        self.alive = False
        await self.agent.kill()
        self.status = {}

    def place(self, number: int) -> Place:
        """Return a connector. Raises: SimulatorError where there is none of that number."""
        for place in self.places:
            if place.number == number:
                return place
        raise SimulatorError(f"there is no connector {number}")

    async def until(self, what: str, true: Callable[[], object], within_s: float) -> None:
        """Wait until something is true, looking at each news and each tick. Raises: SimulatorError."""
        try:
            async with asyncio.timeout(within_s):
                while not true():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(TICK_S):
                            await self.news.changed()
        except TimeoutError:
            raise SimulatorError(f"{what}: not within {within_s:g} s") from None

    async def _first_key(self, key: str, value: str) -> None:
        answer = await self.csms.call(STATION, "ChangeConfiguration", {"key": key, "value": value})
        if answer.get("status") != "Accepted":
            raise SimulatorError(f"the station answers the change of {key} by {answer.get('status')}")

    def _configuration(self) -> str:
        security = ""
        if self.wishes.secure:
            security = SECURITY.format(password=PASSWORD, authority=self.folder / "tls" / "ca.pem")
        text = CONFIG.format(station=STATION, folder=self.folder, url=self.csms.url, security=security)
        most_w = int(MOST_W * max(1.0, self.wishes.speed))
        for place in self.places:
            text += CONNECTOR.format(
                number=place.number,
                folder=self.folder,
                meter=2 * place.number - 1,
                evse=2 * place.number,
                most_w=most_w,
                speed=self.wishes.speed,
            )
        return text

    def _heard(self, entry: Message | Violation) -> None:
        text = show.plain_line(entry)
        if text:
            self.news.tell(Who.CLOUD, text, bad=isinstance(entry, Violation) or entry.kind in {"error", "garbage"})

    async def _watch(self) -> None:
        """Look at the agent again and again, and tell what is new."""
        while True:
            before, self.status = self.status, await self._look()
            for line in self._log.read():
                if line.card:
                    self.card, self.cards_told = line.text, self.cards_told + 1
                self.news.tell(Who.AGENT, line.text, bad=line.bad)
            for change in changes.between(before, self.status):
                self.news.tell(Who.STATION, change.text, bad=change.bad)
            for place in self.places:
                place.evse.circuit.advance()
            await asyncio.sleep(TICK_S)

    async def _look(self) -> dict[str, Any]:
        process = self.agent.process
        if self.alive and process is not None and process.returncode is not None:
            self.alive = False
            self.news.tell(Who.PLAY, f"the agent ended by itself with status {process.returncode}", bad=True)
        return await self.agent.status() if self.alive else {}


def _places(wishes: Wishes) -> tuple[Place, ...]:
    clock = SimClock(wishes.speed)
    places = []
    for number in (1, 2) if wishes.two else (1,):
        circuit = Circuit(clock)
        meter = Meter(circuit=circuit, serial=str(23_004_710 + number))
        evse = EvseDin(circuit=circuit, power_up_a=0)
        car = evse.car
        car.capacity_wh, car.charged_wh = BATTERY_WH, BATTERY_WH / 3
        car.wakes_after_s, car.ramp_a_s = WAKES_S * wishes.speed, MOST_A / FULL_CURRENT_S / wishes.speed
        places.append(Place(number, evse, meter))
    return tuple(places)


def _setup(folder: Path, wishes: Wishes) -> Setup:
    return Setup(
        companies=(Company(CODE, "Acme BV", settings={"refundPercentage": "80"}),),
        tokens=(
            Token(FLEET.uid, "NL-ACM-C00000042-K", parent=GROUP),
            Token(SECOND.uid, "NL-ACM-C00000043-1", parent=GROUP),
            Token(BLOCKED.uid, "NL-ACM-C00000007-X", TokenStatus.BLOCKED),
        ),
        tariff=day_night("0.34", "0.27", "21", weekend="0.29"),
        passwords={STATION: PASSWORD} if wishes.secure else {},
        ssl=_tls(folder) if wishes.secure else None,
    )


def _tls(folder: Path) -> ssl.SSLContext:
    files = certificates.in_folder(folder / "tls", ("127.0.0.1", "localhost"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    return context


def _is_up(status: dict[str, Any], connectors: int) -> bool:
    shown = [each["status"] for each in status["connectors"]]
    accepted = status["cloud"]["registration"] == "Accepted"
    return accepted and bool(status["rfid"]["ok"]) and shown == ["Available"] * connectors


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
