"""The composition root: configuration -> adapters -> one TaskGroup. Nothing is decided here."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import structlog

from agent import launch
from agent.buffer.annotation import Annotator
from agent.buffer.deliveries import CLOUD
from agent.buffer.owner import claim
from agent.buffer.upkeep import Limits, Upkeep, words_of
from agent.core.effects import Restart, Stop
from agent.core.errors import AgentError, JournalCorrupt, JournalError, ReaderLost
from agent.core.events import CardPresented, ClockStepped, Event, ReaderChanged, ShutdownRequested
from agent.core.linking import configured
from agent.core.model import EvseId, MilliAmp
from agent.core.recovery import recover
from agent.core.security_events import SecurityNoticed
from agent.core.security_model import SecurityEventKind
from agent.core.settings import Settings
from agent.core.state import restored
from agent.fieldbus.bus import Wires
from agent.ocpp.dialect import StationView
from agent.ports import Destination
from agent.runtime.clock import SystemClock
from agent.runtime.clouds import Clouds, endpoint_of
from agent.runtime.clouds import Site as Central
from agent.runtime.config import AgentConfig
from agent.runtime.control import ControlServer, ControlUnavailable
from agent.runtime.delivering import office_of
from agent.runtime.foundation import new_ledger, version
from agent.runtime.halls import Site, card_reader, devices, installed
from agent.runtime.loop import Loop
from agent.runtime.notify import Notifier, watchdog_interval
from agent.runtime.opening import Ledger, no_ledger, open_ledger, try_ledger
from agent.runtime.perform import Performer
from agent.runtime.possession import StateDirUnusable, StateDirUnwritable, acquire
from agent.runtime.recent import Recent
from agent.runtime.requests import Request, delivery_of
from agent.runtime.safekeeping import WALLET, wallet_of
from agent.runtime.status import ClockView, CloudState, ReaderView, ServiceViews, status_document
from agent.runtime.supervise import supervise
from agent.runtime.workshop import Sources, clerk, fitted, installer

log = structlog.get_logger(__name__)

Work: TypeAlias = Coroutine[None, None, None]

STEADY_S: Final = 60.0
"""A process that finds its ledger damaged sooner than that ends, and its supervisor waits before the next."""
RETRY_S: Final = 5.0
"""A ledger that could not be opened is tried again after so long at the earliest."""
DRAIN_S: Final = 5.0
"""So long a reset waits for what is queued to be delivered, where the central system is there to take it."""


class Daemon:
    """Everything that one run of the process is made of."""

    def __init__(self, config: AgentConfig, ledger: Ledger, recent: Recent | None = None) -> None:
        """Keep the foundations; ``assemble`` builds on them. recent: has the newest lines of the log."""
        kept, clock = config.document.ledger, ledger.clock
        limits = Limits.of(kept.keep_details_days, kept.max_size_mb)
        state_dir = config.station.state_dir
        self.upkeep = Upkeep(ledger.database, state_dir, limits, clock=clock, unchecked=not ledger.whole)
        self.config = config
        self.clock = clock
        self.database = ledger.database
        self.journal = ledger.journal
        self.cause = ledger.cause
        self.began = clock.mono()
        self.version = version()
        self.ended: asyncio.Future[Restart | Stop] = asyncio.get_running_loop().create_future()
        self.reader_error: str | None = None
        self.recent = recent
        self.installer = installer(config)

    async def assemble(self) -> None:
        """Load the state, build the adapters, and take up what was found open."""
        config, policy = self.config, fitted(self.config.policy(), self.installer)
        slices = await self.journal.load() or new_ledger()
        state = restored(slices, tuple(e.id for e in policy.evses))
        self.wires = Wires(self.clock)
        site = Site(self.clock, self._post)
        self.halls = {EvseId(n): devices(EvseId(n), c, self.wires, site) for n, c in enumerate(config.connectors, 1)}
        self.performer = Performer(
            commanders={i: h.commander for i, h in self.halls.items() if h.commander is not None},
            meters={i: h.meter_poll for i, h in self.halls.items()},
            stop=self.end,
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
        endpoint = endpoint_of(config, config.cloud, config.credentials())
        self.wallet = wallet_of(config, endpoint, self.clock, self.loop.post)
        self.clouds = Clouds(
            Central(
                config, self.clock, self.database, self.journal, self.halls, self.loop.post, self._view, self.wallet
            )
        )
        self.control = ControlServer(
            config.station.state_dir,
            self.loop.post,
            self.status,
            view=self._view,
            resend=self.clouds.resend,
            annotate=Annotator(self.database, self.journal, self.clock.now).annotate,
            deliver=self._deliver,
            recent=tuple if self.recent is None else self.recent.lines,
        )
        sources = Sources(self.status, self.recent, self.wallet.log.text)
        self.clerk = clerk(config, self.installer, sources, clock=self.clock, post=self.loop.post)
        self.office = office_of(config, self.database, self.clock)
        own: dict[str, Destination] = {"control": self.control, "maintenance": self.clerk, WALLET: self.wallet}
        self.performer.destinations |= {CLOUD: self.clouds.commanding, **own, **self.clouds.listeners}
        await self.loop.begin(partial(recover, cause=self.cause), configured)
        self.loop.post(SecurityNoticed(SecurityEventKind.STARTUP, f"version {self.version}, after {self.cause}"))

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
        clock, clouds = self.clock.view(), self.clouds.views()
        views = ServiceViews(
            station_id=self.config.station.id,
            version=self.version,
            uptime_s=self.clock.mono() - self.began,
            cloud=replace(
                clouds.pop(CLOUD),
                security_profile=self.settings().security_profile,
                warnings=self.wallet.warnings(),
            ),
            report_to=clouds,
            clock=ClockView(clock.synchronised, clock.source),
            rfid=ReaderView(self.reader is None or self.reader.ok, self.reader_error),
            installed={i: installed(h) for i, h in self.halls.items()},
            ledger_error=self.loop.journal_error,
            ledger=self.upkeep.view(),
            deliveries=self.office.view(),
        )
        return status_document(self.loop.state, views)

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.loop.state.overrides.over(self.config.policy().settings)

    def _services(self, notifier: Notifier) -> list[Work]:
        services: list[Work] = [self.loop.run(), self._control(notifier)]
        services += [service.run() for service in self.clouds.services]
        services += [self.journal.seal_due(self.clock.now), *self.clerk.services(), self.wallet.run()]
        services.append(self.office.tidy())
        services += (
            self.supervised("delivery", courier.run, (JournalError,), lambda e: log.debug(str(e)))
            for courier in self.office.couriers
        )
        for hall in self.halls.values():
            services.append(hall.meter_poll.run())
            services += [hall.evse_poll.run()] if hall.evse_poll else []
            services += [hall.commander.run()] if hall.commander else []
        if self.reader is not None:
            services.append(self.supervised("card reader", self._read_cards, (ReaderLost,), self._reader_failed))
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

        await self.supervised("control socket", serve, (ControlUnavailable,), lambda e: log.warning(str(e)))

    async def _ready(self, notifier: Notifier) -> None:
        await self.control.listening.wait()
        notifier.ready()
        notifier.status(self.loop.journal_error or "")
        log.info("ready", station=self.config.station.id, version=self.version)

    def supervised(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        failures: tuple[type[Exception], ...],
        failed: Callable[[Exception], None],
    ) -> Work:
        """Return the service that runs for ever, again after the failures that are listed."""
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

    def end(self, effect: Restart | Stop) -> None:
        """End the process, or start it anew; the first word counts."""
        if not self.ended.done():
            self.ended.set_result(effect)

    async def _before_the_end(self, end: Restart | Stop) -> None:
        """Let a reset's messages leave where they can, and do with the controllers what was chosen for the exit."""
        if isinstance(end, Restart) and self.clouds.commanding.status().state.value == CloudState.CONNECTED:
            until = self.clock.mono() + DRAIN_S
            while self.clock.mono() < until and await self.clouds.outboxes[CLOUD].count():
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

    async def _deliver(self, request: Request) -> object:
        zone = ZoneInfo(self.config.station.timezone)
        return await self.office.ask(*delivery_of(request, self.clock.now().wall, zone))

    def _view(self) -> StationView:
        state = self.loop.state
        has_lock = any(policy.has_lock for policy in self.config.policy().evses)
        connectors, updatable = len(self.config.connectors), self.installer is not None
        return StationView(connectors, self.settings(), state.company, has_lock, updatable, self.wallet.view())


async def run(config: AgentConfig, path: Path, recent: Recent | None = None) -> int:
    """Run the daemon until it is told to end; return the exit status.

    path: of the configuration, for the log; recent: has its newest lines, which are kept beside the ledger at the end.
    A reset starts the program anew in the same process. Raises: AgentError where it cannot begin at all.
    """
    for note in config.notes_at(SystemClock(0).now().wall):
        log.warning(note)
    log.info("starting", config=str(path), version=version())
    try:
        end = await _run(config, recent)
    finally:
        if recent is not None:
            recent.save(config.station.state_dir, sys.exception())
    if isinstance(end, Restart):
        log.info("starting again", hard=end.hard)
        launch.again(sys.argv[1:])
    return 0


async def _run(config: AgentConfig, recent: Recent | None) -> Restart | Stop:
    """Work with the ledger, or wait for it where it cannot be opened yet. Raises: AgentError."""
    notifier = Notifier.from_environ(os.environ)
    state_dir = config.station.state_dir
    try:
        lock = acquire(state_dir)
    except StateDirUnwritable as error:
        return await _wait(config, notifier, recent, str(error), locked=False)
    with lock:
        claim(state_dir, config.station.id)
        async with AsyncExitStack() as held:
            try:
                ledger = await held.enter_async_context(open_ledger(config, notifier.extend))
            except JournalCorrupt:
                raise
            except JournalError as error:
                refused = str(error)
            else:
                return await _work(config, notifier, ledger, recent)
        return await _wait(config, notifier, recent, refused, locked=True)


async def _work(config: AgentConfig, notifier: Notifier, ledger: Ledger, recent: Recent | None) -> Restart | Stop:
    daemon = Daemon(config, ledger, recent)
    await daemon.assemble()
    async with daemon.wires.open():
        end = await _served(daemon, notifier, daemon.upkeep.run())
    notifier.stopping()
    try:
        await ledger.journal.end_run(ledger.clock.now())
    except JournalError as error:
        log.warning("the ledger does not take that the agent ends in order", cause=str(error))
    return end


async def _wait(
    config: AgentConfig, notifier: Notifier, recent: Recent | None, refused: str, *, locked: bool
) -> Restart | Stop:
    """Serve without a ledger: no card is taken and no current offered; end for a new start once it can be opened."""
    async with no_ledger(config.station.state_dir, refused) as (ledger, journal):
        daemon = Daemon(config, ledger, recent)
        await daemon.assemble()
        daemon.loop.refuse(refused)

        async def attempt() -> None:
            await daemon.clock.sleep_until(daemon.clock.mono() + RETRY_S)
            await try_ledger(config, notifier.extend, locked=locked)
            log.info("the ledger can be opened")
            daemon.end(Restart(hard=False))
            await asyncio.get_running_loop().create_future()

        def failed(error: Exception) -> None:
            if str(error) != journal.error:
                log.warning("the ledger still cannot be opened", cause=str(error))
            journal.error = str(error)

        async with daemon.wires.open():
            waiting = daemon.supervised("ledger", attempt, (JournalError, StateDirUnusable), failed)
            end = await _served(daemon, notifier, waiting)
    notifier.stopping()
    return end


async def _served(daemon: Daemon, notifier: Notifier, keeping: Work) -> Restart | Stop:
    """Run beside what looks after the ledger; where that finds it damaged, the next start makes it anew, at once."""
    ends: list[Restart | Stop] = []
    damage: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(keeping)
            ends.append(await daemon.serve(notifier))
            kept.cancel()
    except* JournalCorrupt as found:
        damage.append(words_of(found))
    if damage and daemon.clock.mono() - daemon.began < STEADY_S:
        raise JournalCorrupt(damage[0])
    for words in damage:
        log.warning("the ledger is damaged: it is made anew", cause=words)
    return ends[0] if ends else Restart(hard=False)
