"""One run of a station in the test's own event loop: the agent's parts joined as its daemon does, devices scripted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path

from agent.buffer.database import Database, open_database
from agent.buffer.deliveries import CLOUD, SECURITY
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.core.effects import Restart, Stop
from agent.core.events import CardPresented, ClockStepped, Event, ShutdownRequested
from agent.core.linking import configured
from agent.core.maintenance_effects import SendLog
from agent.core.model import EvseId, StopReason
from agent.core.policy import Policy
from agent.core.recovery import recover
from agent.core.security_events import SecurityNoticed
from agent.core.security_model import SecurityEventKind
from agent.core.settings import Settings
from agent.core.state import restored
from agent.maintenance.http import Web
from agent.ocpp.backoff import Backoff, BootDelays
from agent.ocpp.dialect import Identity, StationView
from agent.ocpp.link import Endpoint
from agent.ocpp.security import Credentials, tls_context
from agent.ocpp.service import LinkState, OcppService, ServiceConfig
from agent.runtime.clerk import Clerk, Workshop
from agent.runtime.clock import SystemClock
from agent.runtime.commander import Commander
from agent.runtime.foundation import cause_of, new_ledger
from agent.runtime.loop import Loop
from agent.runtime.perform import Performer
from agent.runtime.polling import Poll, ask_evse, ask_meter
from agent.runtime.safekeeping import WALLET
from agent.runtime.workshop import fitted
from agent.trust.wallet import Setup, Wallet
from tests.conformance.devices import Box, Meter, Reader
from tests.conformance.firmware import TestInstaller

POLL_S = 0.01


class Crash(Enum):
    """The run shall end in the middle of what it does."""

    NOW = "now"


@dataclass(slots=True)
class Plan:
    """What a run is made of, and what is the same in the next one.

    boot: the kernel's name of this start of the machine. drain_s: so long a reset waits for what is queued. installer:
    of firmware, None where there is none; roots: PEM of the manufacturers that are trusted. wallet: what
    the configuration says of security.
    """

    folder: Path
    policy: Policy
    endpoint: Callable[[], Endpoint]
    identity: Identity
    boxes: dict[EvseId, Box]
    meters: dict[EvseId, Meter]
    reader: Reader
    boot: str = "boot-1"
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=0.05, spread_s=0.05, doublings=4, quick_s=0.02))
    boot_delays: BootDelays = field(default_factory=lambda: BootDelays(base_s=0.2, most_s=1.0))
    drain_s: float = 1.0
    wallet: Callable[[Endpoint], Setup] = lambda endpoint: Setup(endpoint, "WB-0001")
    chance: Callable[[], float] = random.random
    installer: TestInstaller | None = None
    roots: list[bytes] = field(default_factory=list)


class Run:
    """One run of the process; ``live`` is the whole of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        if plan.installer is not None:
            plan.installer.start()
        self.policy = replace(fitted(plan.policy, plan.installer), version=self.identity.firmware)
        self.begun = asyncio.Event()
        self.ended: asyncio.Future[Restart | Stop | Crash] = asyncio.get_running_loop().create_future()

    async def live(self) -> Restart | Stop | Crash:
        """Run until told to end."""
        plan = self.plan
        async with open_database(plan.folder) as database:
            journal = SqliteJournal(database, (CLOUD,))
            boot = await journal.boot_number(plan.boot)
            clock = SystemClock(boot, ntp=lambda: False)
            previous = await journal.begin_run(plan.boot, self.identity.firmware, clock.now())
            await self._assemble(database, journal, clock, cause_of(previous, boot))
            end = await self._serve()
            if not isinstance(end, Crash):
                await journal.end_run(clock.now())
        return end

    @property
    def identity(self) -> Identity:
        """What the station says it is; its firmware is the installed one."""
        plan = self.plan
        return plan.identity if plan.installer is None else replace(plan.identity, firmware=plan.installer.version)

    def stop(self) -> None:
        """End in order, as a service manager asks for it."""
        self.loop.post(ShutdownRequested())

    def crash(self) -> None:
        """End at once."""
        self._end(Crash.NOW)

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.loop.state.overrides.over(self.plan.policy.settings)

    async def _assemble(
        self, database: Database, journal: SqliteJournal, clock: SystemClock, cause: StopReason
    ) -> None:
        plan, policy = self.plan, self.policy
        self.clock = clock
        slices = await journal.load() or new_ledger()
        state = restored(slices, tuple(e.id for e in policy.evses))
        for box in plan.boxes.values():
            box.clock = clock
        for meter in plan.meters.values():
            meter.clock = clock
        self.commanders = {i: Commander(i, b, self._post, b if b.socket else None) for i, b in plan.boxes.items()}
        self.meter_polls = {i: self._poll(ask_meter(i, meter)) for i, meter in plan.meters.items()}
        self.evse_polls = {i: self._poll(ask_evse(i, box)) for i, box in plan.boxes.items()}
        self.performer = Performer(commanders=self.commanders, meters=self.meter_polls, stop=self._end)
        self.loop = Loop(
            state,
            policy,
            clock=clock,
            journal=journal,
            safety=self.performer.safety,
            perform=self.performer.perform,
            committed=self.performer.committed,
        )
        clock.on_step(lambda: self.loop.post(ClockStepped(clock.stepped_by_s)))
        self.outbox = OutboxStore(database, CLOUD)
        self.wallet = Wallet(plan.folder, plan.wallet(plan.endpoint()), clock=clock, post=self._post)
        self.service = self._service(database, journal)
        self.clerk = Clerk(self._workshop(), clock, self._post)
        self.performer.destinations |= {CLOUD: self.service, "maintenance": self.clerk, WALLET: self.wallet}
        await self.loop.begin(partial(recover, cause=cause), configured)
        self.loop.post(SecurityNoticed(SecurityEventKind.STARTUP))

    def _service(self, database: Database, journal: SqliteJournal) -> OcppService:
        plan = self.plan
        return OcppService(
            ServiceConfig(
                name=CLOUD,
                endpoint=plan.endpoint(),
                identity=lambda: self.identity,
                serials=lambda: tuple(meter.serial for meter in plan.meters.values()),
                backoff=plan.backoff,
                boot_delays=plan.boot_delays,
            ),
            clock=self.clock,
            outbox=self.outbox,
            time_sink=self.clock,
            post=self.loop.post,
            view=self._view,
            chance=plan.chance,
            anchor=journal.anchor,
            alarms=OutboxStore(database, SECURITY),
            access=self.wallet,
        )

    def _workshop(self) -> Workshop:
        plan = self.plan

        def prepare(order: SendLog) -> Callable[[Path], None]:
            text = f"the {order.order.kind} log\n" * 100

            def write(path: Path) -> None:
                path.write_text(text)

            return write

        web = Web("station", lambda: tls_context(Credentials()))
        return Workshop(plan.folder, web, plan.installer, lambda: list(plan.roots), prepare)

    def _view(self) -> StationView:
        has_lock = any(policy.has_lock for policy in self.plan.policy.evses)
        updatable = self.plan.installer is not None
        company = self.loop.state.company
        return StationView(len(self.plan.boxes), self.settings(), company, has_lock, updatable, self.wallet.view())

    async def _serve(self) -> Restart | Stop | Crash:
        services = [self.loop.run(), self.service.run(), self._read_cards(), *self.clerk.services(), self.wallet.run()]
        services += [poll.run() for poll in (*self.meter_polls.values(), *self.evse_polls.values())]
        services += [commander.run() for commander in self.commanders.values()]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(service) for service in services]
            self.begun.set()
            end = await self.ended
            if isinstance(end, Restart):
                await self._drain()
            for task in tasks:
                task.cancel()
        return end

    async def _drain(self) -> None:
        """Let what a reset has ended leave, where there is somebody to take it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.plan.drain_s):
                while self.service.status().state is LinkState.CONNECTED and await self.outbox.count():
                    await asyncio.sleep(POLL_S)

    async def _read_cards(self) -> None:
        async for id_token in self.plan.reader.cards():
            self.loop.post(CardPresented(id_token))

    def _poll(self, ask: Callable[[], Awaitable[Event]]) -> Poll:
        return Poll(ask, interval_s=POLL_S, clock=self.clock, post=self._post)

    def _post(self, event: Event) -> None:
        self.loop.post(event)

    def _end(self, how: Restart | Stop | Crash) -> None:
        if not self.ended.done():
            self.ended.set_result(how)
