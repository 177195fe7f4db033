"""One central system over the whole run of the process: dials for ever, registers, reports, and takes commands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

from agent.core.effects import (
    Answer,
    AskCsms,
    Effect,
    Reconnect,
    ReportStatus,
    ReportTriggered,
    SendCompanyLink,
    SendCompanyUnlink,
    SendRequest,
    SendTriggered,
)
from agent.core.errors import ConfigError, JournalError, LinkLost
from agent.core.events import AuthorizationAnswered, CloudChanged, Event, LinkAnswered, LinkFailure
from agent.core.instant import Instant
from agent.core.maintenance_effects import SendNotice
from agent.core.model import Registration
from agent.core.sampling import corrected
from agent.core.security_events import ConnectFailed
from agent.core.trigger_commands import Trigger
from agent.ocpp import negotiate
from agent.ocpp.access import Access, FixedAccess
from agent.ocpp.alarms import EVENTS, of_events
from agent.ocpp.backoff import Backoff, BootDelays
from agent.ocpp.company_link import Linking
from agent.ocpp.connection import Connection
from agent.ocpp.dialect import Call, Identity, Requests, StationView
from agent.ocpp.hangups import Hangups
from agent.ocpp.lane import Lane
from agent.ocpp.link import Dialler, Endpoint, address
from agent.ocpp.registration import Registering
from agent.ocpp.statuses import Statuses
from agent.ocpp.transfers import Transfers
from agent.ports import Clock, Outbox, TimeSink

log = structlog.get_logger(__name__)

GARBAGE_TOLD_S: Final = 60.0
STABLE_S: Final = 60.0
"""A connection that held so long was good, whatever was said on it."""
TRIGGERED_MOST: Final = 50
"""More triggered messages than this do not wait at one time."""
LOOK_S: Final = 1.0
"""So often a company code is looked for that leads to another address."""
LEDGER_S: Final = 5.0
"""A queue that could not be counted is counted again so long after."""


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
    serials (of the meters, as known by then) go with LinkCompany. not_supported: actions that are answered so, whatever
    they ask for. backoff, boot_delays: see ``backoff``.
    """

    name: str
    endpoint: Endpoint
    identity: Callable[[], Identity]
    evse_ids: tuple[str, ...] = ()
    serials: Callable[[], tuple[str, ...]] = tuple
    not_supported: frozenset[str] = frozenset()
    backoff: Backoff = field(default_factory=Backoff)
    boot_delays: BootDelays = field(default_factory=BootDelays)


@dataclass(slots=True)
class Desk:
    """What is to be sent beside the lane, and what is known of the central system; outlives connections.

    asks, triggered: never kept for another connection. suspect: row of the message that seemed to have cost the
    registration. trouble: what went wrong last with an ordinary request, in words. alarms: the lane of security
    events; csr: a certificate that the station asks for.
    """

    registering: Registering
    statuses: Statuses
    lane: Lane
    asks: deque[AskCsms] = field(default_factory=deque)
    transfers: Transfers = field(default_factory=Transfers)
    triggered: deque[Call] = field(default_factory=lambda: deque(maxlen=TRIGGERED_MOST))
    hangups: Hangups = field(default_factory=Hangups)
    suspect: int | None = None
    trouble: str | None = None
    alarms: Lane | None = None
    csr: str | None = None

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes, the more urgent first."""
        return (self.lane,) if self.alarms is None else (self.alarms, self.lane)

    @property
    def error(self) -> str | None:
        """What is wrong although the link is up, in words."""
        lanes = (lane.error for lane in (self.lane, *self.lanes))
        return self.registering.error or next(filter(None, lanes), None) or self.trouble

    def online(self) -> None:
        """Begin anew with what has to be told on a connection, or after a boot."""
        for lane in self.lanes:
            lane.restart()
        self.transfers.connected()


async def nothing_to_anchor(_at: Instant) -> None:
    """Do nothing: no ledger waits for the time."""


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
        anchor: Callable[[Instant], Awaitable[None]] = nothing_to_anchor,
        alarms: Outbox | None = None,
        access: Access | None = None,
    ) -> None:
        """Serve one central system; opens nothing.

        post: into the loop; view: settings and company of this moment; chance: numbers in [0, 1); anchor: awaited
        before the lane is read, so that stamps made before the time was known are corrected first; alarms: the security
        events; access: how the endpoint is reached, None for as the configuration has it.
        """
        self.config = config
        self.clock = clock
        self.time_sink = time_sink
        self.post = post
        self.view = view
        self._chance = chance
        self._dialler = Dialler(config.endpoint)
        self.access = access or FixedAccess(config.endpoint)
        lane = Lane(outbox, clock, post, lambda: self.view().settings, anchor=anchor)
        self.desk = Desk(Registering(config.boot_delays, chance), Statuses(), lane)
        if alarms is not None:
            self.desk.alarms = Lane(
                alarms, clock, post, lambda: self.view().settings, anchor=anchor, policy=of_events, what=EVENTS
            )
        self._profile: int | None = None
        self._dialling: int | None = None
        self._connection: Connection | None = None
        self._state = LinkState.OFFLINE
        self._error: str | None = None
        self._by_code = "{company_code}" in config.endpoint.url
        self._dialled: str | None = None
        self._address: str | None = None
        self._redial = asyncio.Event()
        self._told: CloudChanged | None = None
        self._uncounted = asyncio.Event()
        self._uncounted.set()

    def perform(self, effect: Effect) -> None:  # noqa: C901  # one line per effect
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
                self.desk.transfers.unlink(code)
            case ReportTriggered() | SendTriggered() | SendNotice():
                self._out_of_turn(effect)
            case SendRequest(csr):
                self.desk.csr = csr
            case Reconnect(why):
                self.config.backoff.reset()
                self._move(why)
            case _:
                return
        self._wake()

    def facts_committed(self) -> None:
        """There may be something new in the lane."""
        for lane in self.desk.lanes:
            lane.wake()
        self._uncounted.set()
        self._wake()

    def status(self) -> ServiceStatus:
        """Return how the link stands."""
        open_now = self._connection if self._state is LinkState.CONNECTED else None
        return ServiceStatus(
            state=self._state,
            protocol=open_now.protocol if open_now else None,
            registration=self.desk.registering.status,
            queued=sum(lane.queued for lane in self.desk.lanes),
            last_error=self._trouble(open_now),
            silent_s=self.clock.now().mono - open_now.heard_at if open_now else None,
        )

    def _trouble(self, open_now: Connection | None) -> str | None:
        """Return what is wrong with the central system in words; frames that were dropped are told for a minute."""
        if open_now is None:
            return self._error or self.desk.error
        dropped = open_now.garbage
        recent = dropped is not None and self.clock.now().mono - dropped[0] < GARBAGE_TOLD_S
        return self.desk.error or (dropped[1] if dropped is not None and recent else None)

    async def run(self) -> None:
        """Serve for ever; returns only by cancellation."""
        try:
            async with asyncio.TaskGroup() as group:  # DEVIATION: of this service alone: counting needs no wake-ups
                group.create_task(self._dial_for_ever())
                group.create_task(self._count())
        finally:
            self._state = LinkState.OFFLINE

    async def _dial_for_ever(self) -> None:
        while True:
            self._redial.clear()
            try:
                await self._one_connection()
            except (LinkLost, ConfigError) as error:
                self._lost(error)
            self._state = LinkState.OFFLINE
            await self._pause(self.clock.now().mono + self.config.backoff.next(self._chance()))

    async def _pause(self, until: float) -> None:
        """Wait before the next try; a company code that leads to another address is tried at once.

        The core asks for a link only while there is a connection, so that without one the code has to be looked at.
        """
        while (now := self.clock.now().mono) < until and not self._redial.is_set():
            if self._by_code and self._code != self._dialled:
                return
            try:
                async with asyncio.timeout(min(until - now, LOOK_S) if self._by_code else until - now):
                    await self._redial.wait()
            except TimeoutError:
                continue

    async def _one_connection(self) -> None:
        """Open a connection, and serve it until it is lost. Raises: LinkLost, ConfigError."""
        self._state = LinkState.CONNECTING
        code = self._dialled = self._code
        dialled = address(self.config.endpoint, code)
        if self._address not in {None, dialled}:
            self.desk.registering.moved()
        self._address = dialled
        profile = self.view().settings.security_profile
        self._dialling = profile
        self._dialler.aim(self.access.endpoint(profile))
        async with self._dialler.dial(code) as link:
            self._dialling = None
            if profile != self.view().settings.security_profile:
                raise LinkLost("another security profile is to be used")
            self._profile = profile
            self.access.connected(link.chain)
            connection = Connection(self, link, negotiate.dialect(link.subprotocol))
            began, self._connection = self.clock.now().mono, connection
            self._state, self._error = LinkState.CONNECTED, None
            log.info("connected to the central system", destination=self.config.name, protocol=link.subprotocol)
            try:
                await connection.serve()
            finally:
                if connection.booted or self.clock.now().mono - began >= STABLE_S:
                    self.config.backoff.reset()
                self._connection = None
                self._state = LinkState.OFFLINE
                self._disconnected()

    @property
    def _code(self) -> str | None:
        """The company code of the address; who was left is still told of the status (contract, section 5)."""
        company = self.view().company
        return company.code or company.left

    def linking(self) -> Linking:
        """Return what LinkCompany tells of the station."""
        config = self.config
        return Linking(config.endpoint.station_id, config.evse_ids, config.serials(), config.identity().firmware)

    def serials_known(self) -> bool:
        """Tell whether the meters of all connectors have told their serial numbers."""
        return len(self.config.serials()) >= self.view().connectors

    def registered(self) -> None:
        """Take that the registration changed, and tell the core."""
        self._tell(CloudChanged(True, self.desk.registering.status, self._profile))

    def nobody_to_ask(self) -> None:
        """Answer what waits for somebody who listens: there is nobody now."""
        asks, code = tuple(self.desk.asks), self.desk.transfers.drop_link()
        self.desk.asks.clear()
        self.desk.triggered.clear()
        for ask in asks:
            self.post(AuthorizationAnswered(ask.request, None))
        if code is not None:
            self.post(LinkAnswered(code, LinkFailure.FAILED))

    def _disconnected(self) -> None:
        """Answer what only a live link could have, and tell the core."""
        self.desk.statuses.silence()
        self.desk.hangups.lost(self.clock.now().mono)
        self.desk.trouble = None
        self.nobody_to_ask()
        self._tell(CloudChanged(connected=False, registration=self.desk.registering.status))

    def _tell(self, told: CloudChanged) -> None:
        if told != self._told:
            self._told = told
            self.post(told)

    def _lost(self, error: LinkLost | ConfigError) -> None:
        """Take that there is no connection, or none any more; the core counts those that could not be opened."""
        words, kind = str(error), error.kind if isinstance(error, LinkLost) else None
        if self._dialling is not None:
            self.access.failed(kind)
            self.post(ConnectFailed(self._dialling, kind, words))
            self._dialling = None
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
        """Ask for a link; where the code is part of the address, the central system is asked there."""
        if self._by_code and address(self.config.endpoint, code) != self._address:
            self._move("the company code has changed, and the address with it")
        if self._connection is not None and self.desk.registering.accepted:
            self.desk.transfers.link(code)
        else:
            self.post(LinkAnswered(code, LinkFailure.FAILED))

    def _out_of_turn(self, effect: ReportTriggered | SendTriggered | SendNotice) -> None:
        """Put a message that was asked for in turn; only for who asked, and not for another connection."""
        if self._connection is None or effect.origin != self.config.name:
            return
        requests = self._connection.dialect.requests
        match effect:
            case ReportTriggered(_, evse, transaction, reading):
                self.desk.triggered.append(requests.triggered(evse, reading, transaction, self.view().settings))
            case SendNotice(told):
                self.desk.triggered.append(requests.notice(told))
            case SendTriggered():
                self._trigger(effect, requests)

    def _trigger(self, effect: SendTriggered, requests: Requests) -> None:
        now = self.clock.now()
        match effect.trigger:
            case Trigger.BOOT:
                self.desk.registering.trigger(now.mono)
            case Trigger.HEARTBEAT:
                self.desk.triggered.append(requests.heartbeat())
            case Trigger.STATUS:
                shown = self.desk.statuses.current(effect.evse)
                self.desk.triggered.extend(requests.status(s, corrected(s.at, now).wall) for s in shown)
            case _:
                log.debug("comes as an effect of its own", message=effect.trigger.value)

    def _move(self, why: str) -> None:
        self._redial.set()
        if self._connection is not None:
            self._connection.hang_up(why)

    def _wake(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    async def _count(self) -> None:
        """Keep the number of waiting messages right, also while there is no connection."""
        while True:
            await self._uncounted.wait()
            self._uncounted.clear()
            try:
                for lane in self.desk.lanes:
                    await lane.count()
            except JournalError as error:
                log.warning("the queue cannot be counted", destination=self.config.name, cause=str(error))
                await self.clock.sleep_until(self.clock.now().mono + LEDGER_S)
                self._uncounted.set()
