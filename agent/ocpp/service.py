"""One central system over the whole run of the process: dials for ever, registers, reports, and takes commands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

from agent.core.effects import (
    Answer,
    AskCsms,
    Effect,
    ReportStatus,
    ReportTriggered,
    SendCompanyLink,
    SendCompanyUnlink,
    SendTriggered,
    Trigger,
)
from agent.core.errors import ConfigError, JournalError, LinkLost
from agent.core.events import AuthorizationAnswered, CloudChanged, Event, LinkAnswered, LinkFailure
from agent.core.model import Registration
from agent.ocpp import negotiate
from agent.ocpp.backoff import Backoff, BootDelays
from agent.ocpp.company_link import Linking
from agent.ocpp.connection import Connection
from agent.ocpp.dialect import Identity, StationView
from agent.ocpp.lane import Lane
from agent.ocpp.link import Dialler, Endpoint
from agent.ocpp.registration import Registering
from agent.ocpp.statuses import Statuses
from agent.ports import Clock, Outbox, TimeSink

log = structlog.get_logger(__name__)

STABLE_S: Final = 60.0
"""A connection that held so long was good, whatever was said on it."""


class LinkState(StrEnum):
    """How the link stands, in the words of ``status --json``."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What can be shown of a central system; silent_s: since its last frame, None while there is no connection."""

    state: LinkState
    protocol: str | None
    registration: Registration | None
    queued: int
    last_error: str | None
    silent_s: float | None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """One destination.

    name: the origin of its commands, and the name of its lane. identity: what BootNotification tells; evse_ids and
    serials (of the meters, as known by then) go with LinkCompany. backoff, boot_delays: see ``backoff``.
    """

    name: str
    endpoint: Endpoint
    identity: Callable[[], Identity]
    evse_ids: tuple[str, ...] = ()
    serials: Callable[[], tuple[str, ...]] = tuple
    backoff: Backoff = field(default_factory=Backoff)
    boot_delays: BootDelays = field(default_factory=BootDelays)


@dataclass(slots=True)
class Desk:
    """What is to be sent beside the lane, and what is known of the central system; outlives connections.

    asks: tokens to ask about, never kept for another connection. unlinks: codes that were left; kept until told.
    """

    registering: Registering
    statuses: Statuses
    lane: Lane
    asks: deque[AskCsms] = field(default_factory=deque)
    links: deque[str] = field(default_factory=deque)
    unlinks: deque[str] = field(default_factory=deque)
    triggered: deque[ReportTriggered] = field(default_factory=deque)
    heartbeat_now: bool = False


class OcppService:
    """Implements the port Destination for a central system."""

    def __init__(
        self,
        config: ServiceConfig,
        *,
        clock: Clock,
        outbox: Outbox,
        time_sink: TimeSink,
        post: Callable[[Event], None],
        view: Callable[[], StationView],
        chance: Callable[[], float],
    ) -> None:
        """Serve one central system; opens nothing. post: into the loop; view: settings and company of this moment."""
        self.config = config
        self.clock = clock
        self.time_sink = time_sink
        self.post = post
        self.view = view
        self._chance = chance
        self._dialler = Dialler(config.endpoint)
        lane = Lane(outbox, clock, post, lambda: self.view().settings)
        self.desk = Desk(Registering(config.boot_delays, chance), Statuses(), lane)
        self._connection: Connection | None = None
        self._state = LinkState.CONNECTING
        self._error: str | None = None
        self._uncounted = asyncio.Event()
        self._uncounted.set()

    def perform(self, effect: Effect) -> None:
        """Take an effect; never waits. What only makes sense on a live link is answered at once without one."""
        match effect:
            case ReportStatus():
                minimum = self.view().settings.minimum_status_duration_s
                self.desk.statuses.report(effect, self.clock.now().mono, minimum)
            case Answer():
                self._answer(effect)
            case AskCsms():
                self._ask(effect)
            case SendCompanyLink(code):
                self._link(code)
            case SendCompanyUnlink(code):
                self.desk.links.clear()
                self.desk.unlinks.append(code)
            case ReportTriggered():
                self.desk.triggered.append(effect)
            case SendTriggered(trigger):
                self._trigger(trigger)
            case _:
                return
        self._wake()

    def facts_committed(self) -> None:
        """There may be something new in the lane."""
        self.desk.lane.wake()
        self._uncounted.set()
        self._wake()

    def status(self) -> ServiceStatus:
        """Return how the link stands."""
        open_now = self._connection if self._state is LinkState.CONNECTED else None
        return ServiceStatus(
            state=self._state,
            protocol=open_now.protocol if open_now else None,
            registration=self.desk.registering.status,
            queued=self.desk.lane.queued,
            last_error=self.desk.registering.error if open_now else self._error or self.desk.registering.error,
            silent_s=self.clock.now().mono - open_now.heard_at if open_now else None,
        )

    async def run(self) -> None:
        """Serve for ever; returns only by cancellation."""
        async with asyncio.TaskGroup() as group:  # DEVIATION: of this service alone, so that counting needs no wake-ups
            group.create_task(self._dial_for_ever())
            group.create_task(self._count())

    async def _dial_for_ever(self) -> None:
        while True:
            began = self.clock.now().mono
            try:
                await self._one_connection()
            except (LinkLost, JournalError, ConfigError) as error:
                self._lost(str(error))
            if self.clock.now().mono - began >= STABLE_S:
                self.config.backoff.reset()
            self._state = LinkState.OFFLINE
            await self.clock.sleep_until(self.clock.now().mono + self.config.backoff.next(self._chance()))

    async def _one_connection(self) -> None:
        """Open a connection, and serve it until it is lost. Raises: LinkLost, JournalError, ConfigError."""
        self._state = LinkState.CONNECTING
        async with self._dialler.dial(self.view().company.code) as link:
            dialect = negotiate.dialect(link.subprotocol)
            self._connection = Connection(self, link, dialect)
            self._state, self._error = LinkState.CONNECTED, None
            log.info("connected to the central system", destination=self.config.name, protocol=link.subprotocol)
            try:
                await self._connection.serve()
            finally:
                self._connection = None
                self._state = LinkState.OFFLINE
                self._disconnected()

    def linking(self) -> Linking:
        """Return what LinkCompany tells of the station."""
        config = self.config
        return Linking(config.endpoint.station_id, config.evse_ids, config.serials(), config.identity().firmware)

    def registered(self) -> None:
        """Take that the registration changed, and tell the core."""
        if self.desk.registering.accepted:
            self.config.backoff.reset()
        self.post(CloudChanged(connected=True, registration=self.desk.registering.status))

    def _disconnected(self) -> None:
        """Answer what only a live link could have, and tell the core."""
        self.desk.statuses.silence()
        for ask in self.desk.asks:
            self.post(AuthorizationAnswered(ask.request, None))
        for code in self.desk.links:
            self.post(LinkAnswered(code, LinkFailure.FAILED))
        self.desk.asks.clear()
        self.desk.links.clear()
        self.desk.triggered.clear()
        self.post(CloudChanged(connected=False, registration=self.desk.registering.status))

    def _lost(self, words: str) -> None:
        if words != self._error:
            log.warning("no connection to the central system", destination=self.config.name, cause=words)
        self._error = words

    def _answer(self, effect: Answer) -> None:
        if effect.call.origin == self.config.name and self._connection is not None:
            self._connection.answer(effect)

    def _ask(self, effect: AskCsms) -> None:
        if self._connection is not None and self.desk.registering.accepted:
            self.desk.asks.append(effect)
        else:
            self.post(AuthorizationAnswered(effect.request, None))

    def _link(self, code: str) -> None:
        if self._connection is not None and self.desk.registering.accepted:
            self.desk.links.append(code)
        else:
            self.post(LinkAnswered(code, LinkFailure.FAILED))

    def _trigger(self, trigger: Trigger) -> None:
        if trigger is Trigger.BOOT:
            self.desk.registering.trigger(self.clock.now().mono)
        elif trigger is Trigger.HEARTBEAT:
            self.desk.heartbeat_now = True

    def _wake(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    async def _count(self) -> None:
        """Keep the number of waiting messages right, also while there is no connection."""
        while True:
            await self._uncounted.wait()
            self._uncounted.clear()
            try:
                await self.desk.lane.count()
            except JournalError as error:
                log.warning("the queue cannot be counted", destination=self.config.name, cause=str(error))
