"""The central system's web server for files, and its commands about firmware and logs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simulators.console import Commands
from simulators.csms import Csms
from simulators.csms.certificates import Authority, Key
from simulators.csms.depot import Depot
from simulators.csms.upkeep import Upkeep
from simulators.errors import Misuse


@pytest.fixture
async def upkeep(tmp_path: Path) -> AsyncIterator[Upkeep]:
    async with Csms.start() as csms:
        made = Upkeep(csms, lambda words: words.pop(0) if words and words[0] == "CP" else "CP", tmp_path / "in")
        yield made
        made.close()


def ask(depot: Depot, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", urlsplit(depot.url).port or 0, timeout=5)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        with connection.getresponse() as answer:
            return answer.status, answer.read()
    finally:
        connection.close()


async def test_files_are_offered_and_taken(upkeep: Upkeep, tmp_path: Path) -> None:
    file = tmp_path / "image 1"
    file.write_bytes(b"0123456789")
    path = urlsplit(upkeep.depot.offer(file)).path
    assert ask(upkeep.depot, "GET", path) == (200, b"0123456789")
    assert ask(upkeep.depot, "GET", path, Range="bytes=4-") == (206, b"456789")
    assert ask(upkeep.depot, "GET", "/out/other")[0] == 404
    assert ask(upkeep.depot, "PUT", "/in/../log.zip", b"it")[0] == 201
    assert (tmp_path / "in" / "log.zip").read_bytes() == b"it"


async def test_it_fails_as_it_is_told(upkeep: Upkeep, tmp_path: Path) -> None:
    commands = Commands()
    upkeep.add_to(commands)
    await commands.obey("files-fail 503 1")
    assert ask(upkeep.depot, "PUT", "/in/x", b"it")[0] == 503
    assert ask(upkeep.depot, "PUT", "/in/x", b"it")[0] == 201
    assert "in/x" in await commands.obey("files")
    with pytest.raises(Misuse, match="neither a URL nor a file"):
        await commands.obey("update nothing")
    await commands.obey(f"maker {tmp_path / 'maker.pem'}")
    assert "BEGIN CERTIFICATE" in (tmp_path / "maker.pem").read_text()


async def test_the_maker_signs_what_is_offered() -> None:
    authority, key = Authority.new("maker"), Key.new()
    assert "BEGIN CERTIFICATE" in authority.certify(("signer",), key)
    assert json.dumps(key.sign(b"x").hex())
