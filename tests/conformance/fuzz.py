"""Frames that no sane central system sends, and a station of its own process that is sent them by the thousand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from ocpp.messages import get_validator
from ocpp.v16.enums import Action
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

T = TypeVar("T")

CORPUS: Final = (Path(__file__).parents[1] / "vectors" / "frames" / "hostile.txt").read_text("utf-8").splitlines()
ACTIONS: Final = sorted(action.value for action in Action)
WITHIN_S: Final = 20.0
TIMES: Final = ("2030-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
IDS: Final = st.sampled_from(["1", "a", "", "x" * 36, "x" * 300, "ünï"]) | st.uuids().map(str)
WORDS: Final = st.sampled_from(["", " ", "CARD1", "1", "true", "-1", *TIMES, "\x00", "\ud7ff"])
NUMBERS: Final = st.sampled_from([0, 1, -1, 2, 2**31, 2**63, 10**400, 1.5, 1e308]) | st.integers()
LEAVES: Final = st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=40) | st.floats(allow_nan=False)


def _holders(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)


JSON: Final = st.recursive(LEAVES, _holders, max_leaves=8)


TEXTS: Final[st.SearchStrategy[Any]] = WORDS | st.text(max_size=30)
SIMPLE: Final[dict[str, st.SearchStrategy[Any]]] = {"integer": NUMBERS, "number": NUMBERS, "boolean": st.booleans()}


def of_schema(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that a schema allows, or nearly."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[-1]]
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | WORDS
    match schema.get("type"):
        case "object":
            members = {name: of_schema(inner, root) | JSON for name, inner in schema.get("properties", {}).items()}
            needed = {name: members.pop(name) for name in schema.get("required", []) if name in members}
            return st.fixed_dictionaries(needed, optional=members)
        case "array":
            return st.lists(of_schema(schema.get("items", {}), root), max_size=4)
        case kind:
            return SIMPLE.get(str(kind), TEXTS)


def _payload(action: str) -> st.SearchStrategy[Any]:
    schema = get_validator(2, action, "1.6", parse_float=Decimal).schema  # the first to ask decides for all
    fits = of_schema(schema, schema)
    if action == "Reset":
        fits = fits.map(lambda payload: {**payload, "type": "Later"})  # a proper one would end the run
    return fits | JSON


def _text(message: object) -> str:
    return json.dumps(message)


CALLS: Final = st.one_of([st.tuples(st.just(2), IDS, st.just(a), _payload(a)).map(_text) for a in ACTIONS])
ODD_CALLS: Final = st.tuples(st.just(2), IDS | JSON, st.text(max_size=60) | JSON, JSON).map(_text)
HEADS: Final = st.tuples(st.sampled_from([3, 4, 5, "3"]), IDS)
ANSWERS: Final = st.tuples(HEADS, st.lists(JSON, max_size=5)).map(lambda parts: _text([*parts[0], *parts[1]]))


@st.composite
def mutations(draw: st.DrawFn) -> str | bytes:
    """Return a frame of the corpus with some of its bytes cut, doubled or changed."""
    data = bytearray(draw(st.sampled_from(CORPUS)).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at, until = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        data[at:until] = draw(st.binary(max_size=6)) + bytes(data[at:until]) * draw(st.integers(0, 2))
        del data[4096:]
    text = draw(st.booleans())
    return data.decode("utf-8", "replace") if text else bytes(data)


NOISE: Final = JSON.map(_text) | st.text(max_size=60) | st.binary(max_size=60)
FRAMES: Final = CALLS | ODD_CALLS | ANSWERS | NOISE | mutations()


class Target:
    """A station as a process of its own, and the central system that it talks to, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.junk: list[Any] = [{}]
        self.probes = itertools.count(1)
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._peer: ServerConnection | None = None
        self._answers: dict[str, asyncio.Future[list[Any]]] = {}
        self._booted = asyncio.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[Target]:
        """Run both until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        server = self.do(self._listen())
        process = self._start(next(iter(server.sockets)).getsockname()[1])
        self.process = process
        try:
            self.do(self._ready())
            yield self
        finally:
            process.terminate()
            process.wait(WITHIN_S)
            self.do(self._close(server))
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the central system's thread."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(2 * WITHIN_S)

    def suffer(self, frames: list[str | bytes]) -> None:
        """Send frames, and see that the station answers a proper CALL after them, on the next link if it hung up."""
        self.do(self._suffer(frames))
        assert self.process.poll() is None, "the process has ended"

    @property
    def rss_kb(self) -> int:
        """The memory that the station has, as the kernel counts it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    async def _suffer(self, frames: list[str | bytes]) -> None:
        async with asyncio.timeout(WITHIN_S):
            with contextlib.suppress(ConnectionClosed):
                for frame in frames:
                    assert self._peer is not None
                    await self._peer.send(frame)
            while not await self._probe():
                await asyncio.sleep(0.05)

    async def _probe(self) -> bool:
        name, peer = f"probe-{next(self.probes)}", self._peer
        answer = self._answers[name] = self._loop.create_future()
        try:
            assert peer is not None
            await peer.send(json.dumps([2, name, "GetConfiguration", {"key": ["NumberOfConnectors"]}]))
            async with asyncio.timeout(3):
                return bool((await answer)[0] == 3)
        except (ConnectionClosed, TimeoutError):
            return False
        finally:
            del self._answers[name]

    async def _listen(self) -> Any:  # noqa: ANN401  # of the library
        return await serve(
            self._serve,
            "127.0.0.1",
            0,
            select_subprotocol=lambda _connection, _offered: Subprotocol("ocpp1.6"),
            compression=None,
            ping_interval=None,
        )

    async def _close(self, server: Any) -> None:  # noqa: ANN401  # of the library
        server.close()
        await server.wait_closed()

    async def _ready(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            await self._booted.wait()

    async def _serve(self, peer: ServerConnection) -> None:
        self._peer = peer
        self.connections += 1
        with contextlib.suppress(ConnectionClosed):
            async for data in peer:
                await self._take(peer, json.loads(data))

    async def _take(self, peer: ServerConnection, message: list[Any]) -> None:
        """Answer the station: properly to its boot, else with whatever comes to mind."""
        if message[0] != 2:
            waiting = self._answers.get(message[1])
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif message[2] == "BootNotification":
            booted = {"status": "Accepted", "currentTime": datetime.now(UTC).isoformat(), "interval": 300}
            await peer.send(json.dumps([3, message[1], booted]))
            self._booted.set()
        else:
            await peer.send(json.dumps([3, message[1], self.junk[next(self.probes) % len(self.junk)]]))

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        configuration = self.folder / "agent.toml"
        configuration.write_text(f"""
[station]
id = "NL-FUZZ-1"
state_dir = "{self.folder / "state"}"
[cloud]
url = "ws://127.0.0.1:{port}/ocpp"
protocols = ["ocpp1.6"]
[rfid]
reader = "none"
[[connector]]
evse_id = "NL*FUZ*E1*1"
meter = {{ model = "eastron_sdm630_v2", transport = "tcp", host = "127.0.0.1", port = 9, address = 1 }}
evse = {{ controller = "evse_din", transport = "tcp", host = "127.0.0.1", port = 9, address = 2 }}
""")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WALLBOX_")}
        with (self.folder / "agent.log").open("wb") as log:
            command = [sys.executable, "-m", "agent", "--config", str(configuration), "run"]
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)
