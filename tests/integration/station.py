"""A station under test: the daemon as a process, a wall of bytes around it, a scripted central system above it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from employer import Employer
from wall import CardReader, PtyLine, Wall

FLEET, OTHER, BLOCKED = "62E3086CED", "0C000621A5", "0000AB12CD"

CONFIG = """
[station]
id = "NL-TEST-1"
serial_number = "WB123"
timezone = "Europe/Amsterdam"
state_dir = "{state}"
[cloud]
url = "{url}"
protocols = ["ocpp1.6"]
{cloud}
[rfid]
reader = "rdm6300"
device = "{reader}"
[[connector]]
evse_id = "NL*TST*E1*1"
max_current = 16
phases = 3
[connector.meter]
model = "eastron_sdm630_v2"
{meter}
address = 1
max_power = {max_power}
{meter_more}
[connector.evse]
controller = "evse_din"
{evse}
address = 2
[tariff]
currency = "EUR"
vat_percentage = 21
energy = 0.29
[log]
level = "debug"
"""


@dataclass
class Station:
    """One station in a folder of its own."""

    folder: Path
    employer: Employer
    wall: Wall = field(default_factory=Wall)
    process: subprocess.Popen[bytes] | None = None
    _tapped: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.line = PtyLine(self.wall, self.folder / "bus")
        self.reader = CardReader(self.folder / "reader")
        self.config = self.folder / "agent.toml"
        self.log = self.folder / "log.txt"

    def configure(
        self,
        *,
        port: str | None = None,
        cloud: str = "",
        meter_more: str = "",
        max_power: int = 13_800,
        url: str | None = None,
    ) -> None:
        """Write the configuration; port: lines that say where the bus is, the pseudo-terminal otherwise.

        url: of another central system than the scripted one.
        """
        where = port or f'transport = "rtu"\ndevice = "{self.line.path}"'
        text = CONFIG.format(
            state=self.folder / "state",
            url=url or self.employer.url,
            reader=self.reader.path,
            meter=where,
            evse=where,
            cloud=cloud,
            meter_more=meter_more,
            max_power=max_power,
        )
        self.config.write_text(text)

    def start(self) -> None:
        """Start the daemon."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "agent", "run", "--config", str(self.config)]
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )

    def kill(self) -> None:
        """Kill the daemon as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self, within: float = 10.0) -> int:
        """End the daemon in order, and return its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    async def cli(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; returns exit status, output, errors."""
        command = [sys.executable, "-m", "agent", *arguments, "--config", str(self.config)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def json(self, *arguments: str) -> Any:  # noqa: ANN401  # JSON
        """Run a command with --json and return its document."""
        status, out, err = await self.cli(*arguments, "--json")
        assert status == 0, (arguments, status, out, err, self.tail())
        return json.loads(out)

    async def status(self) -> dict[str, Any]:
        """Ask the control socket directly, which is quicker than a process."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "state" / "control.sock")
        writer.write(b'{"command": "status"}\n')
        answer = json.loads(await reader.readline())
        writer.close()
        return dict(answer["result"])

    async def until(self, condition: Callable[[dict[str, Any]], object], within: float = 15.0) -> dict[str, Any]:
        """Wait until the status document fulfils a condition."""
        deadline = asyncio.get_running_loop().time() + within
        last: dict[str, Any] = {}
        while asyncio.get_running_loop().time() < deadline:
            try:
                last = await self.status()
                if condition(last):
                    return last
            except (OSError, ValueError):
                pass
            await asyncio.sleep(0.1)
        message = f"not within {within} s; last status: {json.dumps(last, indent=1)}\n{self.tail()}"
        raise AssertionError(message)

    async def ready(self) -> dict[str, Any]:
        """Wait until everything is seen and accepted."""
        return await self.until(
            lambda s: (
                s["cloud"]["registration"] == "Accepted"
                and connector(s)["meter"]["ok"]
                and connector(s)["evse"]["ok"]
                and connector(s)["status"] == "Available"
                and s["rfid"]["ok"]
            )
        )

    async def tap(self, uid: str) -> None:
        """Hold a card to the reader; the same one again only when the reader takes it for a new touch."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(self._tapped.get(uid, -9.0) + 3.3 - now, 0.0))
        self._tapped[uid] = asyncio.get_running_loop().time()
        await asyncio.to_thread(self.reader.tap, uid)

    def tail(self, lines: int = 40) -> str:
        """Return the end of the daemon's log."""
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""


def connector(status: dict[str, Any], number: int = 1) -> dict[str, Any]:
    """Return one connector of a status document."""
    return next(c for c in status["connectors"] if c["id"] == number)


@asynccontextmanager
async def a_station(folder: Path, **options: Any) -> AsyncIterator[Station]:  # noqa: ANN401  # of ``configure``
    """Run a station with everything plugged in, and take it down afterwards."""
    async with Employer() as employer:
        station = Station(folder, employer)
        station.configure(**options)
        station.line.plug_in()
        station.reader.plug_in()
        station.start()
        try:
            yield station
        finally:
            station.kill()
            station.line.pull_out()
            station.reader.pull_out()
