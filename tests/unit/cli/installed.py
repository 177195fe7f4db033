"""A station as the command line finds it: configuration, state directory, and perhaps a daemon behind the socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.annotation import Annotation, Annotator, Change
from agent.buffer.chain import Station as Signing
from agent.buffer.database import open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.sealing import Sealer
from agent.cli.client import ask
from agent.cli.main import main
from agent.core.events import CommandReceived, Event
from agent.core.facts import Fact, SessionEnded, SessionStarted, StartTrigger
from agent.core.instant import Instant
from agent.core.model import EvseId, IdToken, Profile, Quality, Reading, Reporting, SessionId, StopReason, Wh
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import EvseState, StationState, durable
from agent.core.station import step
from agent.ocpp.dialect import StationView
from agent.runtime.control import ControlServer
from agent.runtime.status import ServiceViews, status_document

WALL = datetime(2026, 11, 21, 20, 15, 3, 120_000, tzinfo=UTC)
POLICY = Policy(evses=(EvsePolicy(EvseId(1)),))

CONFIG = """
[station]
id = "NL-ACME-000123"
timezone = "Europe/Amsterdam"
state_dir = "{state_dir}"
[cloud]
url = "ws://127.0.0.1:1/ocpp"
security_profile = 1
password = "hunter2-hunter2-hunter2"
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
transport = "tcp"
host = "127.0.0.1"
[connector.evse]
controller = "evse_din"
transport = "tcp"
host = "127.0.0.2"
"""


def instant(seconds: float = 0.0) -> Instant:
    return Instant(100.0 + seconds, WALL + timedelta(seconds=seconds))


class Station:
    """A daemon's control socket and core in a thread, and the program called from this one."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state_dir = folder / "state"
        self.state_dir.mkdir(mode=0o750)
        self.path = folder / "agent.toml"
        self.path.write_text(CONFIG.format(state_dir=self.state_dir))
        self.state = StationState((EvseState(EvseId(1)),))
        self.afterwards: list[Event] = []
        self.uptime_s = 12.3
        self._serving: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._thread: threading.Thread | None = None
        self._capsys = capsys

    def call(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit status, output and errors of a command."""
        status = main([*arguments, "--config", str(self.path)])
        return status, *self._capsys.readouterr()

    def json(self, *arguments: str) -> Any:  # noqa: ANN401  # a document, taken apart where it is asserted
        """Return the document of a command that succeeds."""
        status, out, err = self.call(*arguments, "--json")
        assert (status, err) == (0, ""), (out, err)
        return json.loads(out)

    def refusal(self, *arguments: str, status: int = 1) -> str:
        """Return the one line of a command that fails, in text and as JSON alike."""
        for more in ([], ["--json"]):
            seen, out, err = self.call(*arguments, *more)
            assert (seen, out) == (status, "")
            assert err.count("\n") == 1
        return err.removeprefix("wallbox-agent: ").removesuffix("\n")

    def daemon_is_asked(self, command: str, **members: object) -> object:
        """Return the daemon's result of a request."""
        return ask(self.state_dir, {"command": command, **members})

    def view(self) -> StationView:
        """Return what decides how keys may be changed."""
        return StationView(1, self.state.overrides.over(POLICY.settings), self.state.company)

    async def resend(self, session: str) -> int:
        """Return how many messages of a session are put back: of the first one three, of others none."""
        return 3 if session.endswith("1") else 0

    async def annotate(self, session: str, change: Change) -> Annotation:
        """Change what stands beside a session, as a daemon does with its ledger."""
        async with open_database(self.state_dir) as database:
            journal = SqliteJournal(database, ("cloud",), Sealer(database, self.state_dir, Signing("NL-1", "1.0.0")))
            return await Annotator(database, journal, lambda: instant(30_000)).annotate(session, change)

    def status(self) -> dict[str, object]:
        """Return the status document of this moment."""
        return status_document(self.state, ServiceViews("NL-ACME-000123", "1.0.0", self.uptime_s))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve the control socket meanwhile."""
        begun = threading.Event()

        async def serve() -> None:
            server = ControlServer(
                self.state_dir,
                lambda event: self._post(event, server),
                self.status,
                view=self.view,
                resend=self.resend,
                annotate=self.annotate,
            )
            task = asyncio.create_task(server.run())
            self._serving = (asyncio.get_running_loop(), task)
            await server.listening.wait()
            begun.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self._thread.start()
        assert begun.wait(5)
        try:
            yield
        finally:
            self.stop_serving()

    def stop_serving(self) -> None:
        """End the daemon; once more does nothing."""
        if self._serving is not None and self._thread is not None:
            loop, task = self._serving
            self._serving = None
            loop.call_soon_threadsafe(task.cancel)
            self._thread.join(5)

    def _post(self, event: Event, server: ControlServer) -> None:
        """Step the core as soon as an event is posted; after a command comes what happens ``afterwards``."""
        assert isinstance(event, CommandReceived)
        for one in (event, *self.afterwards):
            result = step(self.state, one, instant(), POLICY)
            self.state = result.state
            for effect in result.effects:
                server.perform(effect)
        self.afterwards.clear()


def reading(seconds: float, register: str) -> Reading:
    return Reading(instant(seconds), Wh(Decimal(register)), serial="23004711")


def one_session(number: int, *, closed: bool) -> list[Fact]:
    name, evse = SessionId(f"019a1234-0000-7000-8000-00000000000{number}"), EvseId(1)
    start = SessionStarted(
        name,
        0,
        evse,
        IdToken("04A1B2C3D4E5F6"),
        Profile.FLEET,
        StartTrigger.CARD,
        instant(),
        reading(0, "1234567"),
        Reporting.REPORT,
        company_code=None,
        terms=None,
    )
    end = SessionEnded(
        name,
        1,
        evse,
        instant(12415.88),
        Wh(Decimal("1242089.0")),
        StopReason.EV_DISCONNECTED,
        None,
        (Quality.MEASURED,),
    )
    return [start, end] if closed else [start]


def write_ledger(state_dir: Path, state: StationState, *facts: Sequence[Fact]) -> None:
    """Write a ledger as a daemon leaves it; facts: one commit each."""

    async def write() -> None:
        async with open_database(state_dir) as database:
            journal = SqliteJournal(database, ("cloud",))
            await journal.load()
            await journal.begin_run("boot", "1.0.0", instant())
            for number, commit in enumerate(facts or ((),)):
                await journal.commit(durable(state), commit, instant(20_000 + number))

    asyncio.run(write())
