"""What is said on a connection, by rank, and what the answers mean; how it is said is the connection's affair.

Rank: BootNotification, Authorize, StatusNotification, triggered messages, company link, the lanes, Heartbeat.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import uuid4

import structlog

from agent.core.commands import CallRef, ChangeSetting
from agent.core.effects import AskCsms
from agent.core.errors import JournalError
from agent.core.events import AuthorizationAnswered, CommandReceived, LinkAnswered, LinkFailure, TokenTold, UnlinkTold
from agent.core.model import Registration
from agent.core.outbox import Failure
from agent.core.sampling import corrected
from agent.core.security_events import RequestAnswered
from agent.ocpp import company_link
from agent.ocpp.alarms import is_unwanted
from agent.ocpp.dialect import Call, Dialect
from agent.ocpp.hangups import WORDS
from agent.ocpp.rpc import Answered, JsonObject, Refused, frame
from agent.ocpp.statuses import Due
from agent.ports import OutboxRow

if TYPE_CHECKING:
    from agent.core.company import LinkAnswer
    from agent.ocpp.lane import Lane
    from agent.ocpp.service import OcppService

log = structlog.get_logger(__name__)

DAY_S: Final = 86_400.0
"""At least one Heartbeat in so long, for the clock (OCPP 1.6 ed. 2, section 4.6)."""
BOOT: Final = "BootNotification"
"""Stands in place of a message id where its answer changes a setting."""
REMEMBERED: Final = 32
NOT_REGISTERED: Final = "SecurityError"
"""How a central system says that it has lost the registration (OCPP-J 1.6 errata 3.10)."""

Reply: TypeAlias = Answered | Refused | None
"""What became of a CALL of ours; None: it timed out."""


class Errands:
    """The CALLs of one connection."""

    def __init__(
        self, service: OcppService, dialect: Dialect, exchange: Callable[[str, str], Awaitable[Reply]]
    ) -> None:
        """Speak ``dialect``; exchange: sends a CALL (id, text) and waits for what becomes of it."""
        self._service = service
        self._desk = service.desk
        self._dialect = dialect
        self._clock = service.clock
        self._send = exchange
        self._late: deque[Answered] = deque()
        self._asked: OrderedDict[str, AskCsms] = OrderedDict()
        self._boots: deque[str] = deque(maxlen=REMEMBERED)
        now = self._clock.now().mono
        self._sent_at = self._beat_at = now
        self._interval: int | None = None
        self.booted = False

    def begin(self) -> None:
        """Plan for a new connection."""
        now = self._clock.now().mono
        self._desk.registering.connected(now)
        self._desk.online()
        if self._desk.registering.accepted:
            self._desk.statuses.listen(now, everything=False)
        self._service.registered()

    def late(self, answered: Answered) -> None:
        """Take an answer that came after its time-out; the one to BootNotification at once, CALLs may follow on it."""
        if answered.message_id in self._boots:
            self._booted(answered.payload)
        else:
            self._late.append(answered)

    def choose(self, now: float) -> Awaitable[None] | None:  # noqa: C901, PLR0911  # one line per rank
        """Return the next thing to be done, None where nothing is due. Awaiting it raises: LinkLost."""
        desk = self._desk
        if self._late:
            return self._take_late(self._late.popleft())
        if desk.registering.boot_at is not None and now >= desk.registering.boot_at:
            return self._boot()
        if desk.registering.accepted and desk.asks:
            return self._authorize(desk.asks.popleft())
        due = desk.statuses.take(now)
        if due is not None:
            return self._tell_status(due)
        if desk.triggered and desk.registering.status in {Registration.ACCEPTED, Registration.PENDING}:
            return self._send_triggered(desk.triggered.popleft())
        if desk.csr is not None and desk.registering.status in {Registration.ACCEPTED, Registration.PENDING}:
            return self._have_signed(desk.csr)
        if not desk.registering.accepted:
            return None
        if (left := desk.transfers.take_unlink(now)) is not None:
            return self._unlink(left)
        if (code := desk.transfers.take_link(now, complete=self._service.serials_known())) is not None:
            return self._link(code)
        for lane in desk.lanes:
            if lane.ready(now):
                return self._deliver(lane, now)
        return self._heartbeat() if now >= self._beat_due() else None

    def next_look(self, now: float) -> float:
        """Return the monotonic second at which something is due by the clock alone."""
        desk = self._desk
        dues = [desk.registering.boot_at]
        if desk.registering.accepted:
            dues += [desk.statuses.ready_at, desk.transfers.due(now), self._beat_due()]
            dues += [lane.wait_until for lane in desk.lanes]
        return min((due for due in dues if due is not None), default=now + DAY_S)

    def _beat_due(self) -> float:
        interval = self._service.view().settings.heartbeat_interval_s
        return min(self._sent_at + max(interval, 1), self._beat_at + DAY_S)

    async def _call(self, call: Call) -> Reply:
        message_id = str(uuid4())
        return await self._exchange(message_id, frame(message_id, call.action, call.payload))

    async def _exchange(self, message_id: str, text: str) -> Reply:
        self._sent_at = self._clock.now().mono
        return await self._send(message_id, text)

    def _failed(self, reply: Refused | None) -> str:
        """Return why a CALL failed in words; a lost registration is begun anew (OCPP-J 1.6 errata 3.10)."""
        if reply is None:
            return "no answer in time"
        words = f"{reply.code}: {reply.description}" if reply.description else reply.code
        self._desk.trouble = f"a request was refused: {words}"
        if reply.code == NOT_REGISTERED and self._desk.registering.accepted:
            log.warning("the central system does not know this station any more")
            self._desk.registering.lost(self._clock.now().mono)
            self._desk.statuses.silence()
            self._service.nobody_to_ask()
            self._service.registered()
        return words

    async def _boot(self) -> None:
        registering = self._desk.registering
        registering.sent()
        call, message_id = self._dialect.requests.boot(self._service.config.identity()), str(uuid4())
        self._boots.append(message_id)
        reply = await self._exchange(message_id, frame(message_id, call.action, call.payload))
        if isinstance(reply, Answered):
            self._booted(reply.payload)
        else:
            registering.failed(self._failed(reply), self._clock.now().mono)

    def _booted(self, result: JsonObject) -> None:
        """Take the answer to BootNotification, also a late one: else a slow central system could accept nobody."""
        registering, now = self._desk.registering, self._clock.now()
        if registering.accepted:
            return
        try:
            booted = self._dialect.results.booted(result)
        except ValueError as error:
            registering.failed(f"the answer cannot be used: {error}", now.mono)
            return
        registering.answered(booted, now.mono)
        if booted.time is not None:
            self._service.time_sink.told("ocpp", booted.time, now)
        log.info("registration", status=str(booted.registration), interval_s=booted.interval_s)
        if registering.accepted:
            self.booted = True
            self._keep_interval(booted.interval_s)
            self._desk.statuses.listen(now.mono, everything=True)
            self._desk.online()
            self._desk.transfers.booted(now.mono)
        self._service.registered()

    def _keep_interval(self, interval_s: int) -> None:
        """Make the central system's heartbeat interval the setting in force (OCPP 1.6 ed. 2, section 4.2)."""
        if interval_s > 0 and interval_s != self._service.view().settings.heartbeat_interval_s:
            self._interval = interval_s
            reference = CallRef(self._service.config.name, BOOT)
            self._service.post(CommandReceived(reference, ChangeSetting("heartbeat_interval_s", interval_s)))

    @property
    def interval_kept(self) -> bool:
        """Whether the settings are as the answer to BootNotification has made them."""
        if self._interval == self._service.view().settings.heartbeat_interval_s:
            self._interval = None
        return self._interval is None

    async def _heartbeat(self) -> None:
        await self._send_triggered(self._dialect.requests.heartbeat())
        self._beat_at = self._clock.now().mono

    async def _send_triggered(self, call: Call) -> None:
        """Send a request from whose answer at most the time is of use."""
        reply = await self._call(call)
        if isinstance(reply, Answered):
            told = self._dialect.results.told_time(reply.payload)
            if told is not None:
                self._service.time_sink.told("ocpp", told, self._clock.now())
        else:
            self._failed(reply)

    async def _authorize(self, ask: AskCsms) -> None:
        call = self._dialect.requests.authorize(ask.id_token)
        message_id = str(uuid4())
        self._asked[message_id] = ask
        while len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)
        answered = False
        try:
            reply = await self._exchange(message_id, frame(message_id, call.action, call.payload))
            if isinstance(reply, Answered):
                answered = self._verdict(message_id, reply.payload)
            elif reply is not None:
                self._asked.pop(message_id, None)
                self._failed(reply)
        finally:
            if not answered:
                self._service.post(AuthorizationAnswered(ask.request, None))

    def _verdict(self, message_id: str, payload: JsonObject) -> bool:
        """Pass a verdict on, for the token that was asked about; returns False where there is none in the answer."""
        ask = self._asked.pop(message_id, None)
        if ask is None:
            return False
        try:
            info = self._dialect.results.verdict(payload)
        except ValueError as error:
            log.warning("the answer to Authorize cannot be used", cause=str(error))
            return False
        self._service.post(AuthorizationAnswered(ask.request, info))
        self._service.post(TokenTold(ask.id_token, info))
        return True

    async def _tell_status(self, due: Due) -> None:
        at = corrected(due.report.at, self._clock.now())
        reply = await self._call(self._dialect.requests.status(due.report, at.wall))
        if reply is None:
            self._desk.statuses.unanswered(due)
            return
        self._desk.statuses.told(due)
        if isinstance(reply, Refused):
            self._failed(reply)

    async def _unlink(self, code: str) -> None:
        """Tell that a company was left, until somebody has answered who knows this station."""
        reply = await self._data(company_link.UNLINK, company_link.unlink_data(code))
        if reply is None or not self._desk.registering.accepted:
            self._desk.transfers.unlink_failed(self._clock.now().mono)
        else:
            self._desk.transfers.unlink_told(code)
            self._service.post(UnlinkTold(code))

    async def _link(self, code: str) -> None:
        """Ask for a link; whatever happens, the core gets an answer."""
        company = self._service.view().company
        data = company_link.link_data(code, self._service.linking(), company.settings_version)
        answer: LinkAnswer | LinkFailure = LinkFailure.FAILED
        try:
            answer = self._link_answer(await self._data(company_link.LINK, data))
        finally:
            self._service.post(LinkAnswered(code, answer))

    async def _data(self, message: str, data: str) -> Reply:
        reply = await self._call(self._dialect.requests.transfer(company_link.VENDOR, message, data))
        if isinstance(reply, Refused):
            self._failed(reply)
        return reply

    def _link_answer(self, reply: Reply) -> LinkAnswer | LinkFailure:
        if isinstance(reply, Refused):
            return company_link.link_refused(reply.code)
        if reply is None:
            return LinkFailure.FAILED
        try:
            return company_link.link_answer(self._dialect.results.transferred(reply.payload))
        except ValueError as error:
            log.warning("the answer to LinkCompany cannot be used", cause=str(error))
            return LinkFailure.UNSUPPORTED

    async def _have_signed(self, csr: str) -> None:
        """Ask for a certificate of the station; a request that found nobody is sent again on the next connection."""
        reply = await self._call(self._dialect.requests.sign(csr))
        if csr == self._desk.csr:
            self._desk.csr = None
        accepted = None
        if isinstance(reply, Answered):
            try:
                accepted = self._dialect.results.signing(reply.payload)
            except ValueError as error:
                log.warning("the answer to the request for a certificate cannot be used", cause=str(error))
        else:
            self._failed(reply)
        self._service.post(RequestAnswered(accepted))

    async def _deliver(self, lane: Lane, now: float) -> None:
        """Send the next message of a lane, and keep what became of it; a ledger at fault stops the lane alone."""
        try:
            prepared = await lane.next(self._dialect, now)
            if prepared is None:
                return
            row, text = prepared
            hangups = self._desk.hangups
            if hangups.blames(row.message.row):
                await lane.failed(row, Failure.REFUSED, WORDS)
                return
            hangups.sent(row.message.row, self._clock.now().mono)
            reply = await self._exchange(row.message.message_id, text)
            hangups.settled()
            if isinstance(reply, Answered):
                self._desk.suspect = None
                await lane.answered(row, reply.payload, self._dialect)
            elif is_unwanted(row, reply):
                await lane.answered(row, {}, self._dialect)
            else:
                await self._not_taken(lane, row, reply)
        except JournalError as error:
            self._stand_still(lane, error)

    async def _not_taken(self, lane: Lane, row: OutboxRow, reply: Refused | None) -> None:
        """Take that a message of the lane was refused or not answered.

        A lost registration costs it no attempt, unless it was the very message that seemed to have cost the last one.
        """
        words = self._failed(reply)
        if not self._desk.registering.accepted and self._desk.suspect != row.message.row:
            self._desk.suspect = row.message.row
            failure = Failure.LINK_LOST
        else:
            failure = Failure.TIMED_OUT if reply is None else Failure.REFUSED
        await lane.failed(row, failure, words)

    async def _take_late(self, answered: Answered) -> None:
        """Use an answer that came after its time-out, where it still says something."""
        for lane in self._desk.lanes:
            try:
                if await lane.late(answered.message_id, answered.payload, self._dialect):
                    return
            except JournalError as error:
                self._stand_still(lane, error)
                return
        self._verdict(answered.message_id, answered.payload)

    def _stand_still(self, lane: Lane, error: JournalError) -> None:
        log.warning("the lane stands still", destination=self._service.config.name, cause=str(error))
        lane.stand_still(str(error))
