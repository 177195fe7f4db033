"""``--panel`` and ``--data`` as a person starts them: processes that are killed and come back."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simulators.console import tell
from tests.simulators.charger import charger
from tests.simulators.visitor import Visitor

HOME = "/ACME-7F3K"


@contextlib.asynccontextmanager
async def started(*arguments: str | Path, lines: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """Start a simulator; yields it with its first lines. Killed at the end, as by a power cut."""
    command = (sys.executable, "-m", "simulators", *map(str, arguments))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        yield process, [(await process.stdout.readline()).decode().rstrip() for _ in range(lines)]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.timeout(30)
async def test_what_was_done_on_the_panel_is_there_after_the_simulator_was_killed(tmp_path: Path) -> None:
    options: tuple[str | Path, ...] = (
        "csms",
        "--quiet",
        "--port",
        "0",
        "--panel",
        "0",
        "--data",
        tmp_path / "panel.db",
    )
    options += ("--control", tmp_path / "csms.sock", "--company", "ACME-7F3K:Acme BV", "--tariff", "flat:0.29:21")
    async with started(*options, lines=2) as (_, banner):
        url = banner[0].removeprefix("central system at ").removesuffix("/STATION-ID")
        visitor = Visitor(banner[1].removeprefix("panel at "))
        await visitor.post(f"{HOME}/employees", "add", name="Eva", number="", iban="NL91 ABNA 0417 1643 00")
        async with charger(url) as cp:
            assert (await cp.give_code("ACME-7F3K"))["status"] == "Linked"
            await visitor.post(f"{HOME}/tokens", "add", uid="62E3086CED", kind="card", employee="E1")
            assert "62E3086CED" in cp.cards
            await cp.charge("62E3086CED", 10_000)
            assert await asyncio.to_thread(tell, tmp_path / "csms.sock", "block 62E3086CED") == 0
            async with asyncio.timeout(8):
                while cp.cards["62E3086CED"]["status"] != "blocked":
                    await asyncio.sleep(0.02)
        pages = [(await visitor.get(f"{HOME}/{name}")).rows for name in ("employees", "tokens", "sessions", "billing")]
    async with started(*options, lines=2) as (_, banner):
        visitor = Visitor(banner[1].removeprefix("panel at "))
        again = [(await visitor.get(f"{HOME}/{name}")).rows for name in ("employees", "tokens", "sessions", "billing")]
    assert again == pages
    assert pages[2][0][7:10] == ["10.000", "3.51 EUR", "3.51"]


@pytest.mark.timeout(30)
async def test_a_play_has_a_panel_beside_it() -> None:
    async with started("play", "--plain", "--panel", "0", lines=1) as (process, (line,)):
        address = urlsplit(line.removeprefix("panel at "))
        assert address.hostname == "127.0.0.1"
        page = await Visitor(address.geturl()).get(HOME)
        assert "Acme BV" in page.text
        await process.communicate(b"quit\n")
        assert process.returncode == 0
