"""Floors: what the machine, the interpreter and the libraries cost without a line of the agent."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
import time
import tty
from pathlib import Path

from websockets.asyncio.client import connect

IMPORTS = (
    "import asyncio; from websockets.asyncio.client import connect; from ocpp.v16 import call, enums; "
    "import ocpp.messages; from pymodbus.client import AsyncModbusSerialClient; import aiosqlite, structlog; "
    "from pydantic_settings import BaseSettings"
)
"""The libraries that the agent is made of."""
FRAME = 14
"""Bytes of a card."""
BOOT = [2, "floor", "BootNotification", {"chargePointVendor": "Floor", "chargePointModel": "Floor"}]


async def echo(url: str, messages: list[str]) -> float:
    """Send messages one by one over a bare WebSocket, each after the answer to the last; return the seconds."""
    async with connect(url, subprotocols=["ocpp1.6"], compression=None) as peer:  # type: ignore[list-item]  # a plain string is a Subprotocol
        began = time.perf_counter()
        for message in messages:
            await peer.send(message)
            await peer.recv()
        return time.perf_counter() - began


def start_to_boot(url: str) -> subprocess.Popen[bytes]:
    """Start an interpreter that imports the libraries, connects, and sends a BootNotification."""
    code = (
        f"{IMPORTS}\nimport json\nasync def main():\n"
        f"  async with connect({url!r}, subprotocols=['ocpp1.6'], compression=None) as peer:\n"
        f"    await peer.send({json.dumps(BOOT)!r})\n    await peer.recv()\n    await asyncio.sleep(3600)\n"
        "asyncio.run(main())"
    )
    return subprocess.Popen([sys.executable, "-c", code])


def import_rss() -> float:
    """Return the resident memory (MiB) of an interpreter that has only imported the libraries."""
    code = f"{IMPORTS}\nimport sys\nsys.stdout.write('R')\nsys.stdout.flush()\nsys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    size = rss(process.pid)
    process.kill()
    process.wait()
    return size


def rss(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    message = f"no memory figure for process {pid}"
    raise AssertionError(message)


async def pty_to_modbus(reader: Path, bus: Path, crc: bytes) -> float:
    """Wait for 14 bytes on the reader's tty, then write the limit to the bus; returns when the 14 bytes were complete.

    The shortest way from a card to the controller: no lookup, no record, no answer awaited.
    """
    card, line = os.open(reader, os.O_RDWR | os.O_NOCTTY), os.open(bus, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(card)
    tty.setraw(line)
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    buffer = bytearray()

    def readable() -> None:
        buffer.extend(os.read(card, 64))
        if len(buffer) >= FRAME and not done.done():
            body = struct.pack(">BBHHBH", 2, 16, 1000, 1, 2, 16)
            os.write(line, body + crc)
            done.set_result(time.perf_counter())

    asyncio.get_running_loop().add_reader(card, readable)
    try:
        return await done
    finally:
        asyncio.get_running_loop().remove_reader(card)
        os.close(card)
        os.close(line)
