"""The employer's whole story in a real browser: from the company to the refund in a spreadsheet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import openpyxl
import pytest

from simulators.csms import Csms
from simulators.csms.company import terms_at
from simulators.panel import Panel
from simulators.panel.program import PAGES
from tests.simulators.browser import CHROMIUM, DRIVER, Browser, browser
from tests.simulators.charger import Charger, charger

T = TypeVar("T")
Do = Callable[[Coroutine[Any, Any, T]], T]

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="chromium is not installed (optional): sudo apt install chromium chromium-driver",
    ),
]


def make_the_company(page: Browser, url: str) -> None:
    page.open(url)
    page.type("Name", "Acme BV", "Make the company")
    page.type("Company code", "ACME-7F3K", "Make the company")
    page.type("Refund", "80", "Make the company")
    page.press("Make the company")
    page.expect("Acme BV is made; chargers link with the code ACME-7F3K")


def activate_the_charger(page: Browser) -> None:
    page.open(page.run("return location.origin") + "/ACME-7F3K")
    page.expect("Waiting for activation: NL-HOME-1")
    page.follow("Devices")
    page.expect("NL-HOME-1 gave the company code and waits for its activation")
    page.press("Activate")
    page.expect("NL-HOME-1 is activated")


def add_an_employee_with_a_token(page: Browser) -> None:
    page.follow("Employees")
    page.type("Name", "Eva Smit", "Add the employee")
    page.type("IBAN", "NL91 ABNA 0417 1643 01", "Add the employee")
    page.press("Add the employee")
    page.expect("the check digits of NL91 ABNA 0417 1643 01 are wrong")
    page.type("IBAN", "NL91 ABNA 0417 1643 00", "Add the employee")
    page.press("Add the employee")
    page.expect("Eva Smit is added")
    page.follow("Tokens")
    page.type("UID", "62E3086CED", "Add the token")
    page.type("Visual number", "NL-ACM-C00000042-K", "Add the token")
    page.choose("Employee", "Eva Smit", "Add the token")
    page.press("Add the token")
    page.expect("token NL-ACM-C00000042-K is added")
    page.follow("Distribution")
    page.follow("NL-HOME-1")
    page.expect("NL-ACM-C00000042-K active Taken")


def pay_the_refund(page: Browser) -> None:
    page.follow("Sessions")
    page.expect(
        "1 NL-HOME-1 Eva Smit NL-ACM-C00000042-K 2026-01-15 11:00:00 2026-01-15 13:00:00 2:00:00 10.000 3.51 EUR 2.81"
    )
    page.follow("Billing")
    page.choose("Month", "2026-01", "Show")
    page.press("Show")
    page.expect("Eva Smit NL91 ABNA 0417 1643 00 manual 1 10.000 3.51 EUR 2.81 0.00 to be paid")
    page.press("Mark as paid")
    page.expect("2.81 EUR to Eva Smit, NL91 ABNA 0417 1643 00, is marked as paid")
    page.choose("Month", "2026-01", "Show")
    page.press("Show")
    page.expect("manual 1 10.000 3.51 EUR 2.81 2.81 paid")


def download_the_workbook(page: Browser, folder: Path) -> None:
    page.click("//a[normalize-space()='Excel']")
    file, end = folder / "billing-2026-01.xlsx", time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < end, sorted(folder.iterdir())
        time.sleep(0.05)
    head, row, *_ = openpyxl.load_workbook(file)["2026-01"].iter_rows(values_only=True)
    cells = dict(zip(head, row, strict=True))
    assert (cells["Employee"], cells["kWh"], cells["Cost"], cells["Refund"]) == ("Eva Smit", 10, 3.51, 2.81)
    assert (cells["Paid"], cells["State"]) == (2.81, "paid")


def nothing_is_wider_than_the_window(page: Browser) -> None:
    """Look at every page on a laptop and on a phone."""
    here = page.run("return location.origin")
    for width, height in ((1280, 800), (500, 844)):
        page.resize(width, height)
        for name in PAGES:
            page.open(f"{here}/ACME-7F3K/{name}")
            assert page.run("return document.documentElement.scrollWidth - window.innerWidth") <= 0, (width, name)


def the_story(page: Browser, url: str, folder: Path, *, csms: Csms, cp: Charger, do: Do[Any]) -> None:
    make_the_company(page, url)
    do(cp.give_code("ACME-7F3K"))
    activate_the_charger(page)
    assert cp.link["status"] == "Linked"
    add_an_employee_with_a_token(page)
    assert set(cp.cards) == {"62E3086CED"}
    assert terms_at(csms.state.devices["NL-HOME-1"], csms.state.devices["NL-HOME-1"].since)["refundPercentage"] == "80"
    do(cp.charge("62E3086CED", 10_000, start="2026-01-15T10:00:00Z", stop="2026-01-15T12:00:00Z"))
    pay_the_refund(page)
    download_the_workbook(page, folder)
    nothing_is_wider_than_the_window(page)
    assert csms.violations == []


async def test_from_the_company_to_the_refund_in_a_spreadsheet(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()

    def do(deed: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(deed, loop).result(10)

    async with Csms.start() as csms, Panel(csms, 0) as panel, charger(csms.url) as cp:

        def play() -> None:
            with browser(tmp_path) as page:
                the_story(page, panel.url, tmp_path, csms=csms, cp=cp, do=do)

        await asyncio.to_thread(play)
