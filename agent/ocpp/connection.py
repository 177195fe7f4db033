"""One open connection to a central system: reads, sends what is due by rank, pings, and answers.

Rank: answers, BootNotification, Authorize, StatusNotification, company link, triggered values, the lane, Heartbeat. One
CALL is in flight at a time; the central system's CALLs are answered meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog

from agent.core.commands import CallRef, ChangeSetting, Outcome, RemoteStart, RemoteStop, Result
from agent.core.company import LinkAnswer
from agent.core.effects import Answer, AskCsms
from agent.core.errors import JournalError, LinkLost, RpcError
from agent.core.events import AuthorizationAnswered, CommandReceived, LinkAnswered, LinkFailure, TokenTold
from agent.core.model import Registration
from agent.core.outbox import Failure
from agent.ocpp import company_link
from agent.ocpp.dialect import Call, Dialect, Immediate
from agent.ocpp.rpc import Answered, Garbage, Incoming, JsonObject, Refused, Repeated, Rpc, frame
from agent.ocpp.statuses import Due
from agent.ports import OutboxRow

if TYPE_CHECKING:
    from agent.ocpp.link import Link
    from agent.ocpp.service import OcppService

log = structlog.get_logger(__name__)

SILENT_CALLS: Final = 3
"""So many of our CALLs in a row without an answer, and the connection is taken for dead."""
PONG_S: Final = 30.0
LOOK_S: Final = 1.0
"""So often a changed ping interval is noticed."""
DAY_S: Final = 86_400.0
"""At least one Heartbeat in so long, for the clock (OCPP 1.6 ed. 2, section 4.6)."""
REMEMBERED: Final = 32

Reply = Answered | Refused | None
"""What became of a CALL of ours; None: it timed out."""


class Connection:
    """Serves one connection of a service until it is lost."""

    def __init__(self, service: OcppService, link: Link, dialect: Dialect) -> None:
        """Serve ``link`` in the words of ``dialect``."""
        self._service = service
        self._desk = service.desk
        self._link = link
        self._dialect = dialect
        self._clock = service.clock
        self._rpc = Rpc()
        self._answers: deque[str] = deque()
        self._answer_due = asyncio.Event()
        self._woken = asyncio.Event()
        self._reply: asyncio.Future[Reply] | None = None
        self._late: deque[Answered] = deque()
        self._asked: OrderedDict[str, AskCsms] = OrderedDict()
        self._silent = 0
        self._sending = asyncio.Lock()
        now = self._clock.now().mono
        self._sent_at = self._beat_at = now
        self.heard_at = now

    @property
    def protocol(self) -> str:
        """The subprotocol that was agreed on."""
        return self._dialect.subprotocol

    def wake(self) -> None:
        """Look again for something to send."""
        self._woken.set()

    def answer(self, effect: Answer) -> None:
        """Answer a command of this connection; one of an earlier connection is answered to nobody."""
        if self._rpc.waits_for(effect.call.message_id):
            payload = self._dialect.commands.answer(effect.outcome.command, effect.outcome, self._service.view())
            self._put(self._rpc.result(effect.call.message_id, payload))

    async def serve(self) -> None:
        """Serve until the connection is lost. Raises: LinkLost, JournalError."""
        now = self._clock.now().mono
        self._desk.registering.connected(now)
        self._desk.lane.restart()
        if self._desk.registering.accepted:
            self._desk.statuses.listen(now, everything=False)
        self._service.registered()
        failures: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:  # DEVIATION: scoped to the connection, whose end ends all four
                for work in (self._read(), self._send_due(), self._ping(), self._send_answers()):
                    group.create_task(work)
        except* (LinkLost, JournalError) as lost:
            failures = list(lost.exceptions)
        finally:
            await self._desk.lane.flush()
        raise failures[0]

    async def _read(self) -> None:
        while True:
            data = await self._link.receive()
            self.heard_at = self._clock.now().mono
            match self._rpc.received(data):
                case Incoming() as call:
                    self._called(call)
                case Repeated(_, reply):
                    self._put(reply)
                case Answered() | Refused() as reply:
                    self._replied(reply)
                case Garbage(reason, reply):
                    log.info("frame of the central system dropped", cause=reason, bytes=len(data))
                    self._put(reply)

    def _replied(self, reply: Answered | Refused) -> None:
        """Give an answer to who waits for it; a late one may still say something."""
        self._silent = 0
        if isinstance(reply, Answered) and reply.late:
            self._late.append(reply)
            self.wake()
        elif not reply.late and self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def _called(self, call: Incoming) -> None:
        """Take a CALL as far as the registration allows (OCPP 1.6 ed. 2, section 4.2)."""
        status = self._desk.registering.status
        if status is Registration.REJECTED:
            self._rpc.ignore(call.message_id)
            return
        if status is None:
            error = RpcError("SecurityError", "BootNotification has not been answered yet")
            self._put(self._rpc.error(call.message_id, error))
            return
        try:
            decoded = self._dialect.commands.decode(call, self._service.view())
        except RpcError as refusal:
            self._put(self._rpc.error(call.message_id, refusal))
            return
        if isinstance(decoded, Immediate):
            self._put(self._rpc.result(call.message_id, decoded.payload))
        elif status is Registration.PENDING and isinstance(decoded, RemoteStart | RemoteStop):
            outcome = Outcome(decoded, Result.REJECTED)
            self._put(
                self._rpc.result(call.message_id, self._dialect.commands.answer(decoded, outcome, self._service.view()))
            )
        else:
            self._service.post(CommandReceived(CallRef(self._service.config.name, call.message_id), decoded))

    def _put(self, text: str | None) -> None:
        if text is not None:
            self._answers.append(text)
            self._answer_due.set()

    async def _send_answers(self) -> None:
        while True:
            await self._answer_due.wait()
            await self._flush_answers()

    async def _flush_answers(self) -> None:
        """Send the answers that wait, in order."""
        async with self._sending:
            self._answer_due.clear()
            while self._answers:
                await self._link.send(self._answers.popleft())

    async def _ping(self) -> None:
        """Ping at the interval in force; silence ends the connection."""
        last = self._clock.now().mono
        while True:
            interval = self._service.view().settings.ping_interval_s
            now = self._clock.now().mono
            if interval and now >= last + interval:
                await self._link.ping(min(float(interval), PONG_S))
                last = now
            due = last + interval if interval else now + LOOK_S
            await self._clock.sleep_until(min(max(due, now), now + LOOK_S))

    async def _send_due(self) -> None:
        """Send one thing after the other, by rank."""
        while True:
            self._woken.clear()
            now = self._clock.now().mono
            job = self._choose(now)
            if job is None:
                await self._wait(self._next_look(now))
            else:
                await job

    def _choose(self, now: float) -> Awaitable[None] | None:  # noqa: C901, PLR0911  # one line per rank
        desk = self._desk
        if self._late:
            return self._take_late(self._late.popleft())
        if desk.registering.boot_at is not None and now >= desk.registering.boot_at:
            return self._boot()
        if not desk.registering.accepted:
            return None
        if desk.asks:
            return self._authorize(desk.asks.popleft())
        due = desk.statuses.take(now)
        if due is not None:
            return self._tell_status(due)
        if desk.unlinks or desk.links:
            return self._transfer()
        if desk.triggered:
            return self._send_triggered()
        if desk.lane.ready(now):
            return self._deliver(now)
        return self._heartbeat() if now >= self._beat_due() else None

    def _next_look(self, now: float) -> float:
        desk = self._desk
        dues = [desk.registering.boot_at]
        if desk.registering.accepted:
            dues += [desk.statuses.ready_at, desk.lane.wait_until, self._beat_due()]
        return min((due for due in dues if due is not None), default=now + DAY_S)

    def _beat_due(self) -> float:
        if self._desk.heartbeat_now:
            return 0.0
        interval = self._service.view().settings.heartbeat_interval_s
        return min(self._sent_at + max(interval, 1), self._beat_at + DAY_S)

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - self._clock.now().mono, 0.0)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _call(self, call: Call) -> Reply:
        message_id = str(uuid4())
        return await self._exchange(message_id, frame(message_id, call.action, call.payload))

    async def _exchange(self, message_id: str, text: str) -> Reply:
        """Send a CALL and wait for what becomes of it. Raises: LinkLost after too many in a row without an answer."""
        await self._flush_answers()
        timeout = float(self._service.view().settings.message_timeout_s)
        self._reply = asyncio.get_running_loop().create_future()
        now = self._clock.now().mono
        self._sent_at = now
        text = self._rpc.resend(message_id, text, now=now, timeout=timeout)
        async with self._sending:
            await self._link.send(text)
        try:
            async with asyncio.timeout(timeout):
                return await self._reply
        except TimeoutError:
            self._rpc.expired(float("inf"))
            self._silent += 1
            if self._silent >= SILENT_CALLS:
                raise LinkLost(f"the central system left {SILENT_CALLS} requests in a row without an answer") from None
            return None

    def _failed(self, reply: Refused | None) -> str:
        """Return why a CALL failed in words; a lost registration is begun anew (OCPP-J 1.6 errata 3.10)."""
        if reply is None:
            return "no answer in time"
        if reply.code == "SecurityError" and self._desk.registering.accepted:
            self._desk.registering.lost(self._clock.now().mono)
            self._desk.statuses.silence()
            self._service.registered()
        return f"{reply.code}: {reply.description}" if reply.description else reply.code

    async def _boot(self) -> None:
        registering = self._desk.registering
        registering.sent()
        reply = await self._call(self._dialect.requests.boot(self._service.config.identity()))
        now = self._clock.now()
        if not isinstance(reply, Answered):
            registering.failed(self._failed(reply), now.mono)
            return
        try:
            booted = self._dialect.results.booted(reply.payload)
        except ValueError as error:
            registering.failed(f"the answer cannot be used: {error}", now.mono)
            return
        registering.answered(booted, now.mono)
        if booted.time is not None:
            self._service.time_sink.told("ocpp", booted.time, now)
        log.info("registration", status=str(booted.registration), interval_s=booted.interval_s)
        if registering.accepted:
            self._keep_interval(booted.interval_s)
            self._desk.statuses.listen(now.mono, everything=True)
            self._desk.lane.restart()
        self._service.registered()

    def _keep_interval(self, interval_s: int) -> None:
        """Make the central system's heartbeat interval the setting in force (OCPP 1.6 ed. 2, section 4.2)."""
        if interval_s > 0 and interval_s != self._service.view().settings.heartbeat_interval_s:
            reference = CallRef(self._service.config.name, "BootNotification")
            self._service.post(CommandReceived(reference, ChangeSetting("heartbeat_interval_s", interval_s)))

    async def _heartbeat(self) -> None:
        self._desk.heartbeat_now = False
        reply = await self._call(self._dialect.requests.heartbeat())
        now = self._clock.now()
        self._beat_at = now.mono
        if isinstance(reply, Answered):
            told = self._dialect.results.told_time(reply.payload)
            if told is not None:
                self._service.time_sink.told("ocpp", told, now)
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
        reply = await self._call(self._dialect.requests.status(due.report, due.report.at.wall))
        if reply is None:
            self._desk.statuses.unanswered(due)
            return
        self._desk.statuses.told(due)
        if isinstance(reply, Refused):
            self._failed(reply)

    async def _transfer(self) -> None:
        """Send UnlinkCompany, or LinkCompany; the first is kept until it was told."""
        if self._desk.unlinks:
            code = self._desk.unlinks[0]
            data = company_link.unlink_data(code)
            await self._call(self._dialect.requests.transfer(company_link.VENDOR, company_link.UNLINK, data))
            self._desk.unlinks.popleft()
            return
        code = self._desk.links[0]
        company = self._service.view().company
        data = company_link.link_data(code, self._service.linking(), company.settings_version)
        reply = await self._call(self._dialect.requests.transfer(company_link.VENDOR, company_link.LINK, data))
        if code in self._desk.links:
            self._desk.links.remove(code)
        self._service.post(LinkAnswered(code, self._link_answer(reply)))

    def _link_answer(self, reply: Reply) -> LinkAnswer | LinkFailure:
        if isinstance(reply, Refused):
            self._failed(reply)
            return company_link.link_refused(reply.code)
        if reply is None:
            return LinkFailure.FAILED
        try:
            return company_link.link_answer(self._dialect.results.transferred(reply.payload))
        except ValueError as error:
            log.warning("the answer to LinkCompany cannot be used", cause=str(error))
            return LinkFailure.FAILED

    async def _send_triggered(self) -> None:
        wanted = self._desk.triggered.popleft()
        transaction = None
        call = self._dialect.requests.triggered(
            int(wanted.evse), wanted.reading, transaction, self._service.view().settings
        )
        if call is not None:
            await self._call(call)

    async def _deliver(self, now: float) -> None:
        """Send the next message of the lane, and keep what became of it."""
        lane = self._desk.lane
        prepared = await lane.next(self._dialect, now)
        if prepared is None:
            return
        row, text = prepared
        reply = await self._exchange(row.message.message_id, text)
        if isinstance(reply, Answered):
            await lane.answered(row, reply.payload, self._dialect)
        else:
            await self._not_taken(row, reply)

    async def _not_taken(self, row: OutboxRow, reply: Refused | None) -> None:
        """Take that a message of the lane was refused or not answered; a lost registration costs it no attempt."""
        words = self._failed(reply)
        if not self._desk.registering.accepted:
            failure = Failure.LINK_LOST
        else:
            failure = Failure.TIMED_OUT if reply is None else Failure.REFUSED
        await self._desk.lane.failed(row, failure, words)

    async def _take_late(self, answered: Answered) -> None:
        """Use an answer that came after its time-out, where it still says something."""
        if not await self._desk.lane.late(answered.message_id, answered.payload, self._dialect):
            self._verdict(answered.message_id, answered.payload)
