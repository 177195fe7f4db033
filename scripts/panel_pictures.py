#!/usr/bin/env python3
"""Make the pictures of the panel in docs/img: a company in the middle of a month, seen by Chromium.

Needs Chromium: sudo apt install chromium
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from simulators.csms import Company, Csms
from simulators.csms.billing import ended_in, pay
from simulators.csms.rates import Slot, hourly
from simulators.csms.state import Device, Employee, Rate, Reading, Session, State, Terms, Token, TokenKind, TokenStatus
from simulators.csms.store import Store
from simulators.csms.v16 import Policy
from simulators.panel import Panel

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "img"
#: File -> page, width and height.
PICTURES: Final = {
    "panel-dashboard.png": ("", 1200, 780),
    "panel-billing.png": ("billing?month={last}", 1200, 640),
}
ACCOUNTS: Final = (
    ("Eva Smit", "NL91ABNA0417164300"),
    ("Jan de Bos", "DE89370400440532013000"),
    ("Lucia Marín", "ES9121000418450200051332"),
)
SEED: Final = 7
BROWSER: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
)
QUIET: Final = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


def company(now: datetime) -> State:
    """Return the state of a company with three employees who charge at home."""
    day = hourly("Standard", "EUR", "21", slots=[], rest=Slot("", "", "0.29"))
    settings = {"refundPercentage": "80", "tariff": day}
    state = State(companies={"ACME-7F3K": Company("ACME-7F3K", "Acme BV", settings=settings)})
    state.rates = {"ACME-7F3K/Standard": Rate("ACME-7F3K", "Standard", day)}
    for number, (name, account) in enumerate(ACCOUNTS, start=1):
        state.employees[f"E{number}"] = Employee(f"E{number}", "ACME-7F3K", name, str(100 + number), account)
        uid = f"62E30{number}86CE"
        state.tokens[uid] = Token(uid, f"NL-ACM-C0000004{number}", company="ACME-7F3K", employee=f"E{number}")
        device = Device(f"NL-HOME-{number}", "ACME-7F3K", now - timedelta(days=90), "linked", employee=f"E{number}")
        device.told, device.answered, device.terms = "linked", 1, [Terms(device.since, {"version": 1} | settings)]
        state.devices[device.station] = device
    lost = Token("0A11223344", "NL-ACM-C00000039", TokenStatus.BLOCKED, company="ACME-7F3K", employee="E2")
    state.tokens |= {lost.uid: lost, "VIRTUAL-3": Token("VIRTUAL-3", kind=TokenKind.VIRTUAL, company="ACME-7F3K")}
    state.sessions = list(_sessions(state, now))
    state.next_transaction = len(state.sessions) + 1
    zone, last = Policy().zone, f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
    pay(state, [each for each in ended_in(state, last, zone) if each.session.employee == "E1"], last, now=now)
    return state


def _sessions(state: State, now: datetime) -> Iterator[Session]:
    """Yield what was charged in seventy days, and one session that runs."""
    chance, numbers = random.Random(SEED), iter(range(1, 1000))  # noqa: S311 - figures of a picture
    starts = sorted(
        (now - timedelta(days=back, hours=chance.uniform(1, 6)), number)
        for number in range(1, len(ACCOUNTS) + 1)
        for back in range(70)
        if chance.random() < 0.4  # noqa: PLR2004 - of the evenings
    )
    tariff = state.rates["ACME-7F3K/Standard"].tariff
    for start, number in [*starts, (now - timedelta(minutes=47), 1)]:
        wh = Decimal(chance.randint(4_000, 42_000))
        one = Session(f"NL-HOME-{number}", 1, next(numbers), f"62E30{number}86CE", start, Decimal(0), f"s{start}")
        one.tariff, one.refund_percentage = tariff, "80"
        one.company, one.employee = "ACME-7F3K", f"E{number}"
        if start < now - timedelta(minutes=50):
            one.stopped_at, one.meter_stop_wh = start + timedelta(hours=float(wh) / 11_000), wh
        else:
            one.readings = [Reading(now, Decimal(8_617))]
        yield one


async def _station(url: str, name: str, status: str) -> ClientConnection:
    """Connect a charger that agrees to everything."""
    link = await connect(f"{url}/{name}", subprotocols=[Subprotocol("ocpp1.6")], proxy=None)
    boot = {"chargePointVendor": "Generic", "chargePointModel": "Wallbox"}
    told = {"connectorId": 1, "status": status, "errorCode": "NoError"}
    for number, (action, payload) in enumerate((("BootNotification", boot), ("StatusNotification", told))):
        await link.send(json.dumps([2, str(number), action, payload]))
        await link.recv()
    return link


async def _agree(link: ClientConnection) -> None:
    try:
        async for text in link:
            frame = json.loads(text)
            cards = json.loads(frame[3].get("data", "{}")).get("cards", [])
            data = json.dumps({"results": [{"status": "Taken"} for _ in cards]})
            await link.send(json.dumps([3, frame[1], {"status": "Accepted", "data": data}]))
    except ConnectionClosed:
        return


async def _picture(chromium: str, url: str, file: Path, size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as profile:
        options = (f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", f"--screenshot={file}")
        command = (chromium, *BROWSER, *QUIET, *options, url)
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        await process.wait()
    print(file.relative_to(IMAGES.parent.parent))


async def _pictures(chromium: str) -> None:
    now = datetime.now(UTC)
    last = f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
    with Store(None) as store:
        store.load()
        store.save(company(now))
        async with Csms.start(store=store) as csms, Panel(csms, 0) as panel:
            links = [await _station(csms.url, f"NL-HOME-{n}", s) for n, s in ((1, "Charging"), (2, "Available"))]
            agreeing = [asyncio.create_task(_agree(link)) for link in links]
            await asyncio.sleep(3)  # until the cards are there
            for file, (page, *size) in PICTURES.items():
                address = f"{panel.url}ACME-7F3K/{page.format(last=last)}"
                await _picture(chromium, address, IMAGES / file, (size[0], size[1]))
            for link in links:
                await link.close()
            await asyncio.gather(*agreeing)


def main() -> int:
    """Make the pictures; exit status 1 where there is no Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("error: chromium is needed: sudo apt install chromium", file=sys.stderr)
        return 1
    asyncio.run(_pictures(chromium))
    return 0


if __name__ == "__main__":
    sys.exit(main())
