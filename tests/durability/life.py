"""Lives of a station: days that were written down, and days by chance, over several runs of the process.

A life is played on the real ledger while the instrument records. Its runs end in order, by a kill, or by a power cut,
after which it goes on with what the disk had then. The same seed gives the same tape, byte for byte.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Final
from uuid import UUID

from agent.buffer import database as product
from agent.buffer import entries
from agent.buffer.file import LEDGER
from agent.core.commands import (
    BlockCard,
    ChangeAvailability,
    ChangeSetting,
    Command,
    LinkCompany,
    ListEntry,
    PushCompanyLink,
    PushCompanySettings,
    PutCard,
    RemoteStart,
    RemoteStop,
    RemoveCard,
    SendLocalList,
    StopSession,
    UnblockCard,
    UnlinkCompany,
)
from agent.core.company import CompanySettings, LinkAnswer, LinkState
from agent.core.events import AuthorizationAnswered, CardPresented, LinkAnswered, LinkFailure, ShutdownRequested
from agent.core.model import STATION, Profile, TokenInfo, TokenStatus
from agent.core.outbox import Failure
from tests.durability.disk import Data, Disk, Names
from tests.durability.place import laid_out, scratch
from tests.durability.process import Late, Process, Ways, process
from tests.durability.recorder import Recorder
from tests.durability.reference import Reference, content
from tests.durability.tape import PowerCut, Tape, Told
from tests.durability.world import DESTINATIONS, EVSES, Fate, Stood, Survived, World, downtime
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, PRIVATE

CARDS: Final = (ALICE, BOB, PRIVATE)
LAST: Final = 80
"""A run that dies does so within so many entries before the end of its tape."""


class Weakness(StrEnum):
    """What is broken on purpose, to see that it is noticed."""

    NONE = "none"
    OFF = "synchronous=OFF"
    NORMAL = "synchronous=NORMAL"
    SPLIT = "facts and state in two transactions"


class End(StrEnum):
    """How a run of the process ends."""

    ORDER = "in order"
    KILL = "killed"
    CUT = "power cut"


class LifeFault(AssertionError):
    """A life that could not go on as it must, before any trial was made with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a life is made of.

    days: per run the names of its actions in order, or a number of random ones. ends: of the runs, the last of them not
    counted. copied: a second copy follows the ledger. checkpoint: pages of the log after which SQLite checkpoints, None
    for the product's own.
    """

    days: tuple[Sequence[str] | int, ...] = (25, 25, 25)
    ends: tuple[End, ...] = (End.KILL, End.CUT)
    checkpoint: int | None = None
    weakness: Weakness = Weakness.NONE
    copied: bool = False

    @property
    def ways(self) -> Ways:
        """How the ledger is written."""
        return Ways(self.weakness is Weakness.SPLIT, self.copied)


@dataclass(frozen=True, slots=True)
class Life:
    """What is left of a life: its tape, where each run began on it, and how its ledger is written."""

    seed: str
    ways: Ways
    tape: Tape
    runs: tuple[int, ...]


@dataclass
class Driver:
    """Everybody who has to do with the station, driven by chance."""

    process: Process
    chance: random.Random
    version: int = 1

    async def some_time(self) -> None:
        await self.process.run(self.chance.choice([1.0, 3.0, 12.0]))

    async def a_long_time(self) -> None:
        await self.process.run(self.chance.choice([60.0, 150.0]), pace=5.0)

    async def car(self) -> None:
        site = self.process.world.sites[self.chance.choice(EVSES)]
        site.plugged = not site.plugged
        site.charging, site.hungry = site.charging and site.plugged, True
        await self.process.run(1.0)

    async def appetite(self) -> None:
        site = self.process.world.sites[self.chance.choice(EVSES)]
        site.hungry = not site.hungry
        await self.process.run(2.0)

    async def card(self) -> None:
        await self.process.do(CardPresented(self.chance.choice(CARDS)))
        await self._answer_questions()

    async def charge(self) -> None:
        """Let a driver come, hold a card, and charge for a while."""
        site = self.process.world.sites[self.chance.choice(EVSES)]
        site.plugged = site.hungry = True
        await self.process.run(1.0)
        await self.card()
        await self.process.run(self.chance.choice([2.0, 25.0]))

    async def leave(self) -> None:
        """Let every car go."""
        for site in self.process.world.sites.values():
            site.plugged = site.charging = False
        await self.process.run(8.0)

    async def cloud(self) -> None:
        await (self.process.disconnect() if self.process.online else self.process.connect())

    async def deliver(self) -> None:
        """Let some messages go, each to what may become of it."""
        if not self.process.online:
            await self.process.connect()
        for _ in range(self.chance.choice([1, 4, 20])):
            destination = self.chance.choice(DESTINATIONS)
            row = await self.process.send(destination)
            if row is None:
                continue
            luck = self.chance.random()
            if luck < 0.8:
                await self.process.taken(destination, row)
            elif luck < 0.87:
                await self.process.fail(destination, row, Failure.REFUSED)
            else:
                if self.chance.random() < 0.7:
                    self.process.decide(destination, row, Fate.TAKEN)
                    self.process.late.append(Late(destination, row.message.message_id))
                failure = self.chance.choice([Failure.TIMED_OUT, Failure.LINK_LOST])
                await self.process.fail(destination, row, failure)

    async def late_answer(self) -> None:
        if self.process.late:
            await self.process.arrive(self.process.late.pop(0))

    async def list(self) -> None:
        self.version += 1
        tokens = self.chance.sample([ALICE, BOB], self.chance.randint(0, 2))
        entries_ = tuple(ListEntry(t, TokenInfo(self.chance.choice(list(TokenStatus)))) for t in tokens)
        await self.process.command(SendLocalList(self.version, entries_, self.chance.random() < 0.5), "cloud")

    async def cards(self) -> None:
        token = self.chance.choice([ALICE, BOB])
        put = PutCard(token, Profile.FLEET, number=f"NL-{self.chance.randint(0, 99)}", name="card")
        commands: list[Command] = [put, BlockCard(token, "lost"), UnblockCard(token), RemoveCard(token)]
        await self.process.command(self.chance.choice(commands))

    async def setting(self) -> None:
        changes: list[Command] = [
            ChangeSetting("sample_interval_s", self.chance.choice([5, 20, 60])),
            ChangeSetting("clock_aligned_interval_s", self.chance.choice([0, 60, 900])),
            ChangeSetting("stop_sampled_measurands", ("Energy.Active.Import.Register",)),
            ChangeSetting("allow_offline_unknown", self.chance.random() < 0.8),
            ChangeAvailability(self.chance.choice([STATION, *EVSES]), self.chance.random() < 0.8),
        ]
        await self.process.command(self.chance.choice(changes), "cloud")

    async def company(self) -> None:
        self.version += 1
        commands: list[Command] = [
            LinkCompany(self.chance.choice(["ACME", "OTHER"])),
            UnlinkCompany(),
            PushCompanyLink(self.chance.choice(["Linked", "Pending", "Rejected"])),
            PushCompanySettings(CompanySettings(self.version, session_logging=self.chance.random() < 0.8)),
        ]
        await self.process.command(self.chance.choice(commands))

    async def company_answer(self) -> None:
        code = self.process.loop.state.company.code or "NONE"
        answers = [*LinkFailure, LinkAnswer(LinkState.LINKED), LinkAnswer(LinkState.PENDING)]
        await self.process.do(LinkAnswered(code, self.chance.choice(answers)))

    async def remote(self) -> None:
        state = self.process.loop.state
        names = [e.session.transaction for e in state.evses if e.session and e.session.transaction is not None]
        stops: list[Command] = [RemoteStop(names[0])] if names else [StopSession(self.chance.choice(EVSES))]
        command: Command = self.chance.choice(
            [RemoteStart(self.chance.choice(CARDS), self.chance.choice(EVSES)), *stops]
        )
        await self.process.command(command, "cloud")
        await self.process.run(1.0)

    async def act(self, name: str) -> None:
        """Do what an action of this name does."""
        action: Callable[[], Awaitable[None]] = getattr(self, name)
        await action()

    async def _answer_questions(self) -> None:
        while self.process.questions:
            asked = self.process.questions.popleft()
            info = self.chance.choice([ACCEPTED, ACCEPTED, ACCEPTED, TokenInfo(TokenStatus.BLOCKED), None])
            await self.process.do(AuthorizationAnswered(asked.request, info))


#: action -> how often, of a day by chance.
ACTIONS: Final = {
    "some_time": 4,
    "a_long_time": 2,
    "car": 2,
    "appetite": 1,
    "card": 2,
    "charge": 6,
    "leave": 3,
    "cloud": 2,
    "deliver": 6,
    "late_answer": 1,
    "list": 1,
    "cards": 1,
    "setting": 1,
    "company": 1,
    "company_answer": 1,
    "remote": 1,
}

#: Days that were written down.
DAYS: Final[dict[str, tuple[str, ...]]] = {
    "ordinary": ("cloud", "charge", "deliver", "a_long_time", "deliver", "leave", "deliver"),
    "offline": ("setting", "charge", "a_long_time", "leave", "charge", "leave", "list", "cards"),
    "held": ("company", "company_answer", "charge", "a_long_time", "leave", "charge", "company_answer", "deliver"),
    "busy": ("cloud", "charge", "charge", "deliver", "remote", "leave", "deliver", "charge", "late_answer"),
}


def random_day(chance: random.Random, length: int) -> list[str]:
    """Return the names of so many actions."""
    return chance.choices([*ACTIONS], [*ACTIONS.values()], k=length)


@dataclass
class Player:
    """Plays a life under the instrument."""

    recorder: Recorder
    plan: Plan
    seed: str
    tape: Tape = field(default_factory=Tape)
    world: World = field(default_factory=World)
    runs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"life {self.seed}")

    async def play(self) -> Life:
        """Play it to its last run, which ends in order. Raises: LifeFault."""
        self.recorder.vfs.seed(self.chance.getrandbits(32))
        with TemporaryDirectory(dir=scratch()) as name, _weakened(self.plan), numbered(self.chance):
            place = Path(name)
            for number, day in enumerate(self.plan.days):
                end = (*self.plan.ends, End.ORDER)[number]
                self.runs.append(len(self.tape))
                root = place / str(number)
                if number == 0:
                    root.mkdir()
                await self._run(root, day, end)
                if number + 1 < len(self.plan.days):
                    await self._between(root, place / str(number + 1), end)
        return Life(self.seed, self.plan.ways, self.tape, tuple(self.runs))

    async def _run(self, root: Path, day: Sequence[str] | int, end: End) -> None:
        self.recorder.watch(root, self.tape)
        async with process(root, self.world, self.tape, self.seed, self.plan.ways) as begun:
            driver = Driver(begun, self.chance, version=10 * len(self.runs))
            if len(self.runs) == 1:
                await begun.command(PutCard(PRIVATE, Profile.PRIVATE, name="my own"))
                await begun.command(ChangeSetting("allow_offline_unknown", value=True))
            names = random_day(self.chance, day) if isinstance(day, int) else day
            for name in names:
                await driver.act(name)
            if end is End.ORDER:
                await begun.do(ShutdownRequested())
                await begun.end()
            else:
                self._verify()
                self.recorder.unwatch()  # its connection is closed now, which a dead process would not do
        if end is End.ORDER:
            self._verify()
            self.recorder.unwatch()
        self._agree(root)

    def _verify(self) -> None:
        disk = Disk()
        disk.follow(self.tape.entries)
        self.recorder.verify(disk)

    def _agree(self, root: Path) -> None:
        """Check that nothing comes into the ledger but in units of work that are told."""
        reference = Reference()
        with closing(reference), closing(sqlite3.connect(root / "state" / LEDGER)) as connection:
            reference.follow(self.tape.told())
            assert content(connection) == reference.allowed()[-1], "written, but not by Database.write"

    async def _between(self, root: Path, following: Path, end: End) -> None:
        """Let the run be dead, and lay out what the next one finds."""
        if end is End.ORDER:
            os.rename(root, following)  # noqa: PTH104  # nothing else runs on the loop
            self.world.pass_time(downtime(self.chance))
            return
        self.tape.cut(self.chance.randint(max(len(self.tape) - LAST, self.runs[-1]), len(self.tape)))
        disk = Disk()
        disk.follow(self.tape.entries)
        data = Data.ALL if end is End.KILL else self.chance.choice(list(Data))
        image = disk.image(data, self.chance.choice(list(Names)), self.chance)
        laid_out(image, following)
        self.world = last_world(self.tape)
        if end is End.CUT:
            self.tape.note(PowerCut(image))
            self.world.lose_power(downtime(self.chance), clock=self.chance.random() < 0.6)
        else:
            self.world.pass_time(downtime(self.chance))
        with closing(Reference()) as reference:
            reference.follow(self.tape.told())
            self.tape.tell(await survived(image, reference))


def last_world(tape: Tape, length: int | None = None) -> World:
    """Return a copy of the world as it stood last before a place of a tape; a new one where nothing had begun."""
    for entry in reversed(tape.entries[:length]):
        if isinstance(entry, Told) and isinstance(entry.what, Stood):
            return entry.what.world.copy()
    return World()


async def survived(image: Mapping[str, bytes | None], reference: Reference) -> Survived:
    """Tell how much of what was under way at a death is in the ledger. Raises: LifeFault where it is none of that."""
    allowed = reference.allowed()
    with TemporaryDirectory(dir=scratch()) as name:
        laid_out(image, Path(name) / "look")
        async with product.open_database(Path(name) / "look" / "state") as database:
            found = await database._run(content)
    if found not in allowed:
        raise LifeFault("after a run that died, the ledger is none that was acknowledged")
    return Survived(max(units for units, each in enumerate(allowed) if each == found))


@contextmanager
def _weakened(plan: Plan) -> Iterator[None]:
    """Let the ledger be opened with the plan's settings."""
    settings = list(product.SETTINGS)
    if plan.weakness in {Weakness.OFF, Weakness.NORMAL}:
        settings.append(f"PRAGMA {plan.weakness}")
    if plan.checkpoint is not None:
        settings.append(f"PRAGMA wal_autocheckpoint={plan.checkpoint}")
    with _instead(product, "SETTINGS", tuple(settings)):
        yield


@contextmanager
def numbered(chance: random.Random) -> Iterator[None]:
    """Let message ids come from the seed."""
    with _instead(entries, "uuid4", lambda: UUID(int=chance.getrandbits(128), version=4)):
        yield


@contextmanager
def _instead(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Let a module have another value under a name that it has."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
