"""One open connection to a central system: reads, sends what is due, pings, and answers.

One CALL is in flight at a time; the central system's CALLs are answered meanwhile, in the order in which they came, and
before anything of ours.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from agent.core.commands import CallRef, Command, GetSettings, Outcome, RemoteStart, RemoteStop, Result
from agent.core.effects import Answer
from agent.core.errors import JournalError, LinkLost, RpcError
from agent.core.events import CommandReceived
from agent.core.model import Registration
from agent.core.security_events import SecurityNoticed
from agent.core.security_model import SecurityEventKind
from agent.ocpp.dialect import Dialect, Immediate
from agent.ocpp.errands import NOT_REGISTERED, Errands, Reply
from agent.ocpp.replies import OPEN_CALLS, Replies
from agent.ocpp.rpc import Answered, Garbage, Incoming, Refused, Repeated, Rpc

if TYPE_CHECKING:
    from agent.ocpp.link import Link
    from agent.ocpp.service import OcppService

log = structlog.get_logger(__name__)

SILENT_CALLS: Final = 3
"""So many of our CALLs in a row without an answer, and the connection is taken for dead."""
PONG_S: Final = 30.0
LOOK_S: Final = 30.0
"""A ping interval that was changed elsewhere than over this connection is noticed so long after."""
UNREAD_ANSWERS: Final = 4 * OPEN_CALLS
"""A peer that goes on asking without reading so many answers is given up."""
DIGEST_S: Final = 0.5
"""So long what follows an answer waits until the answer was taken in; a ledger that hangs holds nobody up longer."""
FAREWELL_S: Final = 1.0
"""For answers that are ready when the process ends, the one to Reset above all."""


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
        self._replies = Replies()
        self._answer_due = asyncio.Event()
        self._errands = Errands(service, dialect, self._exchange)
        self._woken = asyncio.Event()
        self._settings_changed = asyncio.Event()
        self._reply: asyncio.Future[Answered | Refused] | None = None
        self._digested = asyncio.Event()
        self._digested.set()
        self._commands: dict[str, Command] = {}
        self._hung_up: str | None = None
        self._silent = 0
        self._sending = asyncio.Lock()
        self.garbage: tuple[float, str] | None = None
        self.heard_at = self._clock.now().mono

    @property
    def protocol(self) -> str:
        """The subprotocol that was agreed on."""
        return self._dialect.subprotocol

    @property
    def booted(self) -> bool:
        """Whether this connection brought an accepted boot."""
        return self._errands.booted

    @property
    def dialect(self) -> Dialect:
        """The dialect that is spoken."""
        return self._dialect

    def wake(self) -> None:
        """Look again for something to send."""
        self._woken.set()

    def hang_up(self, words: str) -> None:
        """End the connection as soon as no CALL is under way."""
        self._hung_up = words
        self.wake()

    def answer(self, effect: Answer) -> None:
        """Answer a command of this connection; one of an earlier connection is answered to nobody.

        A central system may count its messages from 1 on each connection: only the command tells them apart.
        """
        self._settings_changed.set()
        if self._commands.get(effect.call.message_id) == effect.outcome.command:
            del self._commands[effect.call.message_id]
            payload = self._dialect.commands.answer(effect.outcome.command, effect.outcome, self._service.view())
            self._fill(effect.call.message_id, self._rpc.result(effect.call.message_id, payload))

    async def serve(self) -> None:
        """Serve until the connection is lost. Raises: LinkLost. Cancellation sends the answers that are ready."""
        self._errands.begin()
        try:
            await self._serve()
        except asyncio.CancelledError:
            await self._farewell()
            raise
        finally:
            await self._keep_answers()

    async def _serve(self) -> None:
        failures: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:  # DEVIATION: scoped to the connection, whose end ends all four
                for work in (self._read(), self._send_due(), self._ping(), self._send_answers()):
                    group.create_task(work)
                await asyncio.get_running_loop().create_future()  # the group then knows who cancelled what
        except* LinkLost as lost:
            failures = list(lost.exceptions)
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # a group that fails in that very moment forgets that it was told
            raise asyncio.CancelledError
        raise failures[0]

    async def _keep_answers(self) -> None:
        try:
            for lane in self._desk.lanes:
                await lane.flush()
        except JournalError as error:
            log.warning("the last answers could not be kept; their messages are sent again", cause=str(error))

    async def _farewell(self) -> None:
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._flush_answers()
        except (TimeoutError, LinkLost):
            log.debug("answers were not sent before the end")

    async def _read(self) -> None:
        while True:
            data = await self._link.receive()
            self.heard_at = self._clock.now().mono
            if len(self._replies) > UNREAD_ANSWERS:
                raise LinkLost("the central system sends requests without reading the answers")
            match self._rpc.received(data):
                case Incoming() as call:
                    self._called(call)
                case Repeated(message_id, None) if not self._replies.full:
                    self._replies.repeat(message_id)
                case Repeated(_, reply):
                    self._put(reply)
                case Answered() | Refused() as reply:
                    self._replied(reply)
                    await self._wait(self._digested, self.heard_at + DIGEST_S)
                case Garbage(reason, reply):
                    log.info("frame of the central system dropped", cause=reason, bytes=len(data))
                    self._service.post(SecurityNoticed(SecurityEventKind.INVALID_MESSAGES, reason))
                    self.garbage = (self.heard_at, f"the central system sends frames that are dropped: {reason}")
                    self._put(reply)

    def _replied(self, reply: Answered | Refused) -> None:
        """Give an answer to who waits for it; a late one may still say something.

        What the central system says next may rest on its answer (a CALL right behind the one to BootNotification, a
        RemoteStopTransaction with the id it has just given out), so that this is not read before.
        """
        self._silent = 0
        if not reply.late and self._reply is not None:
            self._digested.clear()
            self._reply.set_result(reply)
        elif isinstance(reply, Answered):
            self._errands.late(reply)
            self.wake()

    def _called(self, call: Incoming) -> None:
        """Take a CALL as far as the registration allows (OCPP 1.6 ed. 2, section 4.2)."""
        status = self._desk.registering.status
        if status is Registration.REJECTED:
            self._rpc.ignore(call.message_id)
            return
        full = self._replies.full
        self._replies.expect(call.message_id)
        if status is None:
            self._refuse(call, RpcError(NOT_REGISTERED, "BootNotification has not been answered yet"))
        elif full:
            self._refuse(call, RpcError("InternalError", "too many requests at one time"))
        elif call.action in self._service.config.not_supported:
            self._refuse(call, RpcError("NotSupported", "this central system only listens"))
        else:
            self._take(call, status)

    def _take(self, call: Incoming, status: Registration) -> None:
        """Decode a CALL, and answer it at once or pass it on."""
        try:
            decoded = self._dialect.commands.decode(call, self._service.view())
        except RpcError as refusal:
            self._refuse(call, refusal)
            return
        if status is Registration.PENDING and isinstance(decoded, RemoteStart | RemoteStop):
            outcome = Outcome(decoded, Result.REJECTED)
            decoded = Immediate(self._dialect.commands.answer(decoded, outcome, self._service.view()))
        if isinstance(decoded, GetSettings) and not self._commands and self._errands.interval_kept:
            settings = self._service.view().settings  # nothing that came before it can change them: no need to wait
            outcome = Outcome(decoded, Result.ACCEPTED, settings=settings)
            decoded = Immediate(self._dialect.commands.answer(decoded, outcome, self._service.view()))
        if isinstance(decoded, Immediate):
            self._fill(call.message_id, self._rpc.result(call.message_id, decoded.payload))
        else:
            self._commands[call.message_id] = decoded
            self._service.post(CommandReceived(CallRef(self._service.config.name, call.message_id), decoded))

    def _refuse(self, call: Incoming, error: RpcError) -> None:
        self._fill(call.message_id, self._rpc.error(call.message_id, error))

    def _put(self, text: str | None) -> None:
        """Answer what needs no thought; a station that is rejected answers nobody."""
        if text is not None and self._desk.registering.status is not Registration.REJECTED:
            self._replies.put(text)
            self._answer_due.set()

    def _fill(self, message_id: str, text: str | None) -> None:
        self._replies.fill(message_id, text)
        self._answer_due.set()

    async def _send_answers(self) -> None:
        while True:
            await self._answer_due.wait()
            await self._flush_answers()

    async def _flush_answers(self) -> None:
        """Send the answers that are ready, in order."""
        async with self._sending:
            self._answer_due.clear()
            while (text := self._replies.take()) is not None:
                await self._link.send(text)

    async def _ping(self) -> None:
        """Ping at the interval in force; silence ends the connection."""
        last = self._clock.now().mono
        while True:
            self._settings_changed.clear()
            interval = float(self._service.view().settings.ping_interval_s)
            now = self._clock.now().mono
            if interval and now >= last + interval:
                last = now
                await self._link.ping(min(interval, PONG_S))
                self.heard_at = self._clock.now().mono
                continue
            look = now + LOOK_S
            await self._wait(self._settings_changed, min(last + interval, look) if interval else look)

    async def _send_due(self) -> None:
        """Send one thing after the other, by rank. Raises: LinkLost after too many in a row without an answer."""
        while True:
            self._woken.clear()
            if self._hung_up is not None:
                await self._flush_answers()
                raise LinkLost(self._hung_up)
            now = self._clock.now().mono
            job = self._errands.choose(now)
            if job is None:
                await self._wait(self._woken, self._errands.next_look(now))
            else:
                await job
                self._digested.set()
            if self._silent >= SILENT_CALLS:
                raise LinkLost(f"the central system left {SILENT_CALLS} requests in a row without an answer")

    async def _exchange(self, message_id: str, text: str) -> Reply:
        """Send a CALL and wait for what becomes of it."""
        await self._flush_answers()
        timeout = float(max(self._service.view().settings.message_timeout_s, 1))
        self._reply = asyncio.get_running_loop().create_future()
        text = self._rpc.resend(message_id, text, now=self._clock.now().mono, timeout=timeout)
        async with self._sending:
            await self._link.send(text)
        await asyncio.wait([self._reply], timeout=timeout)  # unlike a time-out it loses no answer that comes just then
        reply, self._reply = self._reply, None
        if reply.done():
            self._desk.trouble = None
            return reply.result()
        self._rpc.expired(float("inf"))
        self._silent += 1
        self._desk.trouble = f"a request was not answered within {timeout:g} s"
        return None

    async def _wait(self, event: asyncio.Event, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - self._clock.now().mono, 0.0)):
                await event.wait()
        except TimeoutError:
            return
