"""The stage of the demo: the agent as a process of its own, and everything it is connected to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from simulators.bus import Bus, Endpoint
from simulators.circuit import Circuit, SimClock
from simulators.csms.rates import day_night
from simulators.csms.server import Csms
from simulators.csms.state import Company, Token, TokenStatus
from simulators.errors import SimulatorError
from simulators.evse import EvseDin
from simulators.meter import Meter
from simulators.rfid import CardReader

STATION: Final = "NL-DEMO-1"
CODE: Final = "ACME-7F3K"
FLEET, BLOCKED, UNKNOWN = "62E3086CED", "0C000621A5", "0000AB12CD"
SPEED: Final = 240.0
"""Simulated seconds of charging in a real one: four minutes' worth of energy each second."""
MOST_W: Final = 13_800
PATIENCE_S: Final = 25.0
ANSWERS_S: Final = 2.0
"""A daemon answers at once; one that was stopped by a signal, never."""
ENDS_S: Final = 15.0
"""After which a daemon that was asked to end is killed: it gives its parts ten seconds."""
ONE_TOUCH_S: Final = 3.4
FLOWING_W: Final = 9_000

CONFIG: Final = """\
[station]
id = "{station}"
timezone = "Europe/Amsterdam"
state_dir = "{folder}/state"

[cloud]
url = "{url}"

[rfid]
reader = "rdm6300"
device = "{folder}/reader"

[[connector]]
evse_id = "NL*DMO*E1*1"
max_current = 16

[connector.meter]
model = "eastron_sdm630_v2"
device = "{folder}/bus"
address = 1
max_power = {most_w}        # the demo's energy flows {speed:g} times faster than real

[connector.evse]
controller = "evse_din"
device = "{folder}/bus"
address = 2
"""


class StoryBroke(SimulatorError):
    """Something did not happen that the story needs; the text says what."""


class Narrator:
    """Tells the story, in colour where the output is a terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._began = time.monotonic()
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        self._say(f"\n{self._paint('1;36', f'{self._chapter}. {title}')}")

    def tell(self, text: str) -> None:
        """Tell what happens, with the seconds since the beginning."""
        stamp = self._paint("2", f"{time.monotonic() - self._began:5.1f} s")
        self._say(f"{stamp}  {text}")

    def good(self, text: str) -> None:
        """Tell what turned out as it should."""
        self.tell(f"{self._paint('32', 'ok')}  {text}")

    def bad(self, text: str) -> None:
        """Tell what did not."""
        self.tell(f"{self._paint('1;31', 'NOT OK')}  {text}")

    def plain(self, text: str) -> None:
        """Print lines as they are."""
        self._say(text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    @staticmethod
    def _say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


@dataclass
class Agent:
    """The product, as a user has it: a configuration file, a process, commands.

    apart: in a process group of its own, so that the terminal's Ctrl-C does not reach it; then who started it ends it.
    """

    folder: Path
    apart: bool = False
    process: asyncio.subprocess.Process | None = None
    config: Path = field(init=False)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.folder / "agent.toml"
        self.log = self.folder / "agent.log"

    async def start(self) -> None:
        """Start the daemon."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command("run"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                process_group=0 if self.apart else None,
            )

    async def kill(self) -> None:
        """Kill it with signal 9, which it cannot notice."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in order."""
        await self._end(signal.SIGTERM)

    async def command(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """Run a command with --json and return its document. Raises StoryBroke where it fails."""
        process = await asyncio.create_subprocess_exec(
            *self._command(*arguments, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
        )
        out, errors = await process.communicate()
        if process.returncode != 0:
            raise StoryBroke(f"wallbox-agent {' '.join(arguments)}: {errors.decode().strip()}")
        return json.loads(out)

    async def status(self) -> dict[str, Any]:
        """Return the status document, an empty one while there is no daemon, or none that answers."""
        try:
            async with asyncio.timeout(ANSWERS_S):
                reader, writer = await asyncio.open_unix_connection(self.folder / "state" / "control.sock")
                with contextlib.closing(writer):
                    writer.write(b'{"command": "status"}\n')
                    answer = json.loads(await reader.readline())
        except (OSError, ValueError):  # TimeoutError, too
            return {}
        return dict(answer["result"])

    async def until(self, what: str, true: Callable[[dict[str, Any]], object], within_s: float = PATIENCE_S) -> None:
        """Wait until the status shows something. Raises StoryBroke where it does not in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            status = await self.status()
            if status and true(status):
                return
            await asyncio.sleep(0.1)
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        raise StoryBroke(
            f"{what}: not within {within_s:g} s; the agent's log ends with\n{textwrap.indent(tail, '    ')}"
        )

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "agent", *arguments, "--config", str(self.config))

    async def _end(self, number: signal.Signals) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(number)
        try:
            async with asyncio.timeout(ENDS_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def _environment() -> dict[str, str]:
    """Return an environment without settings of an agent that may be installed here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WALLBOX_")}


def connector(status: dict[str, Any]) -> dict[str, Any]:
    """Return the connector of a status document."""
    document: dict[str, Any] = status["connectors"][0]
    return document


@dataclass
class Stage:
    """Everything the story needs."""

    agent: Agent
    narrator: Narrator
    csms: Csms
    evse: EvseDin
    reader: CardReader
    _stack: AsyncExitStack
    _tapped: dict[str, float] = field(default_factory=dict)

    @classmethod
    async def build(cls, folder: Path, narrator: Narrator) -> Self:
        """Plug everything in."""
        stack = AsyncExitStack()
        circuit = Circuit(SimClock(SPEED))
        meter, evse = Meter(circuit=circuit), EvseDin(circuit=circuit, power_up_a=0)
        evse.car.wakes_after_s, evse.car.ramp_a_s, evse.car.charged_wh = 60.0, 0.5, 5_000.0
        await stack.enter_async_context(Bus({1: meter, 2: evse}, Endpoint(folder / "bus")))
        reader = await stack.enter_async_context(CardReader(link=folder / "reader"))
        company = Company(CODE, "Acme BV", settings={"refundPercentage": "80"})
        tokens = (
            Token(FLEET, "NL-ACM-C00000042-K"),
            Token(BLOCKED, "NL-ACM-C00000007-X", TokenStatus.BLOCKED),
        )
        tariff = day_night("0.34", "0.27", "21", weekend="0.29")
        csms = await stack.enter_async_context(Csms.start(companies=[company], tokens=tokens, tariff=tariff))
        agent = Agent(folder)
        agent.config.write_text(
            CONFIG.format(station=STATION, folder=folder, url=csms.url, most_w=int(MOST_W * SPEED), speed=SPEED)
        )
        stack.push_async_callback(agent.stop)
        return cls(agent, narrator, csms, evse, reader, stack)

    async def strike(self) -> None:
        """Take everything down."""
        await self._stack.aclose()

    async def plug(self) -> None:
        """Plug the car in, and wait until the agent has seen it."""
        self.evse.car.plug()
        await self.agent.until("the car is seen", lambda s: connector(s)["evse"]["connected"])

    async def unplug(self) -> None:
        """Take the cable out, and wait until the charger is free."""
        self.evse.car.unplug()
        await self.agent.until("the charger is free", lambda s: connector(s)["status"] == "Available")

    async def tap(self, uid: str) -> None:
        """Hold a card to the reader; the same one again only after the time in which readers take it for one touch."""
        await asyncio.sleep(max(self._tapped.get(uid, -ONE_TOUCH_S) + ONE_TOUCH_S - time.monotonic(), 0.0))
        self._tapped[uid] = time.monotonic()
        await self.reader.tap(uid)

    async def charging(self) -> None:
        """Wait until current flows, and the meter tells so."""
        await self.agent.until(
            "the car charges",
            lambda s: connector(s)["status"] == "Charging" and (connector(s)["meter"]["power_w"] or 0) > FLOWING_W,
        )

    async def ended(self) -> None:
        """Wait until no session runs."""
        await self.agent.until("the session is closed", lambda s: connector(s)["session"] is None)
