"""The composition root: configuration -> adapters -> one TaskGroup. Nothing is decided here."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from agent.buffer.database import Database, open_database
from agent.buffer.deliveries import SECURITY
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.owner import claim
from agent.buffer.reserve import Reserve
from agent.buffer.sealing import Sealer
from agent.buffer.upkeep import Limits, Upkeep, prepare, words_of
from agent.core.effects import Restart, Stop
from agent.core.errors import AgentError, JournalCorrupt, JournalError, ReaderLost
from agent.core.events import CardPresented, ClockStepped, Event, ReaderChanged, ShutdownRequested
from agent.core.model import EvseId, MilliAmp, SessionId, StopReason
from agent.core.recovery import recover
from agent.core.security_events import SecurityNoticed
from agent.core.security_model import SecurityEventKind
from agent.core.settings import Settings
from agent.core.state import restored
from agent.fieldbus.bus import Wires
from agent.ocpp.dialect import Identity, StationView
from agent.ocpp.link import Endpoint
from agent.ocpp.negotiate import offered
from agent.ocpp.service import OcppService, ServiceConfig
from agent.runtime.clock import SystemClock, boot_id
from agent.runtime.config import AgentConfig
from agent.runtime.control import ControlServer, ControlUnavailable, acquire
from agent.runtime.foundation import cause_of, new_ledger, signing, version
from agent.runtime.halls import Site, card_reader, devices, installed
from agent.runtime.loop import Loop
from agent.runtime.notify import Notifier, watchdog_interval
from agent.runtime.perform import Performer
from agent.runtime.safekeeping import WALLET, wallet_of
from agent.runtime.status import ClockView, CloudState, CloudView, ReaderView, ServiceViews, status_document
from agent.runtime.supervise import supervise

log = structlog.get_logger(__name__)

Work: TypeAlias = Coroutine[None, None, None]

CLOUD: Final = "cloud"
STEADY_S: Final = 60.0
"""A process that finds its ledger damaged sooner than that ends, and its supervisor waits before the next."""
DRAIN_S: Final = 5.0
"""So long a reset waits for what is queued to be delivered, where the central system is there to take it."""


class Daemon:
    """Everything that one run of the process is made of."""

    def __init__(
        self, config: AgentConfig, clock: SystemClock, database: Database, journal: SqliteJournal, *, whole: bool = True
    ) -> None:
        """Keep the foundations; ``assemble`` builds on them. whole: the ledger was read through, or need not be."""
        kept = config.document.ledger
        limits = Limits.of(kept.keep_details_days, kept.max_size_mb)
        self.upkeep = Upkeep(database, config.station.state_dir, limits, clock=clock, unchecked=not whole)
        self.config = config
        self.clock = clock
        self.database = database
        self.journal = journal
        self.began = clock.mono()
        self.version = version()
        self.ended: asyncio.Future[Restart | Stop] = asyncio.get_running_loop().create_future()
        self.reader_error: str | None = None

    async def assemble(self, cause: StopReason) -> None:
        """Load the state, build the adapters, and take up what was found open."""
        config, policy = self.config, self.config.policy()
        slices = await self.journal.load() or new_ledger()
        state = restored(slices, tuple(e.id for e in policy.evses))
        self.wires = Wires(self.clock)
        site = Site(self.clock, self._post)
        self.halls = {EvseId(n): devices(EvseId(n), c, self.wires, site) for n, c in enumerate(config.connectors, 1)}
        self.performer = Performer(
            commanders={i: h.commander for i, h in self.halls.items() if h.commander is not None},
            meters={i: h.meter_poll for i, h in self.halls.items()},
            stop=self._stop,
        )
        self.loop = Loop(
            state,
            policy,
            clock=self.clock,
            journal=self.journal,
            safety=self.performer.safety,
            perform=self.performer.perform,
            committed=self.performer.committed,
        )
        self.clock.on_step(lambda: self.loop.post(ClockStepped(self.clock.stepped_by_s)))
        self.reader = card_reader(config.rfid, self.clock, self._reader_opened)
        self.outbox = OutboxStore(self.database, CLOUD)
        self.wallet = wallet_of(config, self._endpoint(), self.clock, self.loop.post)
        self.service = self._service()
        self.control = ControlServer(
            config.station.state_dir, self.loop.post, self.status, view=self._view, resend=self._resend
        )
        self.performer.destinations.update({CLOUD: self.service, "control": self.control, WALLET: self.wallet})
        await self.loop.apply(recover(state, self.clock.now(), policy, cause))
        self.loop.post(SecurityNoticed(SecurityEventKind.STARTUP, f"version {self.version}, after {cause}"))

    async def serve(self, notifier: Notifier) -> Restart | Stop:
        """Run until told to end; then everything is cancelled, and the ledger is whole."""
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self.loop.post, ShutdownRequested())
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in self._services(notifier)]
                end = await self.ended
                await self._before_the_end(end)
                for task in tasks:
                    task.cancel()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                running.remove_signal_handler(number)
        return end

    def status(self) -> dict[str, object]:
        """Return the ``status --json`` document of this moment."""
        cloud, clock = self.service.status(), self.clock.view()
        views = ServiceViews(
            station_id=self.config.station.id,
            version=self.version,
            uptime_s=self.clock.mono() - self.began,
            cloud=CloudView(
                CloudState(cloud.state),
                cloud.protocol,
                cloud.registration,
                cloud.queued,
                cloud.last_error,
                self.settings().security_profile,
                self.wallet.warnings(),
            ),
            clock=ClockView(clock.synchronised, clock.source),
            rfid=ReaderView(self.reader is None or self.reader.ok, self.reader_error),
            installed={i: installed(h) for i, h in self.halls.items()},
            ledger_error=self.loop.journal_error,
            ledger=self.upkeep.view(),
        )
        return status_document(self.loop.state, views)

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.loop.state.overrides.over(self.config.policy().settings)

    def _services(self, notifier: Notifier) -> list[Work]:
        services: list[Work] = [self.loop.run(), self.service.run(), self._control(notifier)]
        services += [self.journal.seal_due(self.clock.now), self.wallet.run()]
        for hall in self.halls.values():
            services.append(hall.meter_poll.run())
            services += [hall.evse_poll.run()] if hall.evse_poll else []
            services += [hall.commander.run()] if hall.commander else []
        if self.reader is not None:
            services.append(self._supervised("card reader", self._read_cards, (ReaderLost,), self._reader_failed))
        interval = watchdog_interval(os.environ)
        if interval is not None:
            services.append(self._feed_watchdog(notifier, interval))
        return services

    async def _control(self, notifier: Notifier) -> None:
        """Serve the control socket; readiness means configuration, ledger and this socket (contract, section 3)."""

        async def serve() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ready(notifier))
                await self.control.run()

        await self._supervised("control socket", serve, (ControlUnavailable,), lambda e: log.warning(str(e)))

    async def _ready(self, notifier: Notifier) -> None:
        await self.control.listening.wait()
        notifier.ready()
        log.info("ready", station=self.config.station.id, version=self.version)

    def _supervised(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        failures: tuple[type[Exception], ...],
        failed: Callable[[Exception], None],
    ) -> Work:
        return supervise(name, run, clock=self.clock, failures=failures, failed=failed, chance=random.random)

    async def _read_cards(self) -> None:
        reader = self.reader
        if reader is None:
            return
        async for id_token in reader.cards():
            self.loop.post(CardPresented(id_token))

    def _reader_opened(self) -> None:
        if self.reader_error is not None:
            log.info("card reader is back")
            self.reader_error = None
            self.loop.post(ReaderChanged(None))

    def _reader_failed(self, error: Exception) -> None:
        if self.reader_error != str(error):
            log.warning("card reader lost", cause=str(error))
        self.reader_error = str(error)
        self.loop.post(ReaderChanged(str(error)))

    async def _feed_watchdog(self, notifier: Notifier, interval_s: float) -> None:
        """Feed the watchdog with completed steps only: a loop that hangs is ended and started again."""
        fed = -1
        while True:
            if self.loop.steps != fed:
                fed = self.loop.steps
                notifier.watchdog()
            await self.clock.sleep_until(self.clock.mono() + interval_s)

    def _stop(self, effect: Restart | Stop) -> None:
        if not self.ended.done():
            self.ended.set_result(effect)

    async def _before_the_end(self, end: Restart | Stop) -> None:
        """Let a reset's messages leave where they can, and do with the controllers what was chosen for the exit."""
        if isinstance(end, Restart) and self.service.status().state.value == CloudState.CONNECTED:
            until = self.clock.mono() + DRAIN_S
            while self.clock.mono() < until and await self.outbox.count():
                await self.clock.sleep_until(self.clock.mono() + 0.05)
        for number, connector in enumerate(self.config.connectors, 1):
            evse = self.halls[EvseId(number)].evse
            choice = connector.evse.on_exit
            if evse is None or choice in {None, "keep"} or isinstance(end, Restart):
                continue
            limit = 0 if choice == "pause" else int(connector.evse.failsafe_current * 1000)
            try:
                await evse.set_limit(MilliAmp(limit))
            except AgentError as error:
                log.warning("the controller did not take its exit limit", connector=number, cause=str(error))

    def _post(self, event: Event) -> None:
        """Take an event of a device; the loop is built after the devices."""
        self.loop.post(event)

    def _service(self) -> OcppService:
        return OcppService(
            ServiceConfig(
                name=CLOUD,
                endpoint=self._endpoint(),
                identity=self._identity,
                evse_ids=tuple(c.evse_id for c in self.config.connectors if c.evse_id is not None),
                serials=lambda: tuple(h.meter.serial for h in self.halls.values() if h.meter.serial is not None),
            ),
            clock=self.clock,
            outbox=self.outbox,
            time_sink=self.clock,
            post=self.loop.post,
            view=self._view,
            chance=random.random,
            anchor=self.journal.anchor,
            alarms=OutboxStore(self.database, SECURITY),
            access=self.wallet,
        )

    def _endpoint(self) -> Endpoint:
        """Return where the configuration file says that the central system is."""
        return Endpoint(
            url=self.config.cloud.url,
            station_id=self.config.station.id,
            protocols=offered(self.config.cloud.protocols),
            credentials=self.config.credentials(),
            user_agent=f"wallbox-agent/{self.version}",
        )

    def _identity(self) -> Identity:
        station, first = self.config.station, self.halls[EvseId(1)].meter
        return Identity(
            vendor=station.vendor,
            model=station.model,
            firmware=self.version,
            serial_number=station.serial_number,
            meter_type=first.model,
            meter_serial=first.serial,
        )

    async def _resend(self, session: str) -> int:
        messages = await self.outbox.resend(SessionId(session))
        self.service.facts_committed()
        return messages

    def _view(self) -> StationView:
        state = self.loop.state
        has_lock = any(policy.has_lock for policy in self.config.policy().evses)
        connectors = len(self.config.connectors)
        return StationView(connectors, self.settings(), state.company, has_lock, self.wallet.view())


async def run(config: AgentConfig, path: Path) -> int:
    """Run the daemon until it is told to end; return the exit status.

    path: of the configuration, for the log. A reset starts the program anew in the same process. Raises: AgentError
    where it cannot begin at all.
    """
    for note in config.notes:
        log.warning(note)
    log.info("starting", config=str(path), version=version())
    with acquire(config.station.state_dir):
        claim(config.station.state_dir, config.station.id)
        end = await _run(config)
    if isinstance(end, Restart):
        log.info("starting again", hard=end.hard)
        os.execv(sys.executable, [sys.executable, "-m", "agent", *sys.argv[1:]])  # noqa: S606  # no shell is wanted
    return 0


async def _run(config: AgentConfig) -> Restart | Stop:
    notifier = Notifier.from_environ(os.environ)
    state_dir = config.station.state_dir
    found = prepare(state_dir, (CLOUD,), SystemClock(0).now().wall, alive=notifier.extend)
    async with open_database(state_dir, copied=True, relief=Reserve(state_dir).give_up) as database:
        sealer = Sealer(database, state_dir, signing(config), config.hourly())
        journal = SqliteJournal(database, (CLOUD,), sealer)
        boot = await journal.boot_number(boot_id())
        clock = SystemClock(boot)
        previous = await journal.begin_run(boot_id(), version(), clock.now())
        for notice in sealer.notices:
            log.warning(notice)
        daemon = Daemon(config, clock, database, journal, whole=not found.unchecked)
        await daemon.assemble(cause_of(previous, boot))
        async with daemon.wires.open():
            end = await _served(daemon, notifier)
        notifier.stopping()
        try:
            await journal.end_run(clock.now())
        except JournalError as error:
            log.warning("the ledger does not take that the agent ends in order", cause=str(error))
    return end


async def _served(daemon: Daemon, notifier: Notifier) -> Restart | Stop:
    """Run, and look after the ledger; one that turns out to be damaged is made anew by the next start, at once."""
    ends: list[Restart | Stop] = []
    damage: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(daemon.upkeep.run())
            ends.append(await daemon.serve(notifier))
            keeping.cancel()
    except* JournalCorrupt as found:
        damage.append(words_of(found))
    if damage and daemon.clock.mono() - daemon.began < STEADY_S:
        raise JournalCorrupt(damage[0])
    for words in damage:
        log.warning("the ledger is damaged: it is made anew", cause=words)
    return ends[0] if ends else Restart(hard=False)
