"""One connection of a station: OCPP-J frames both ways, CALLs of both sides, and what faults make of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import textwrap
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from simulators.csms.conduct import Conduct
from simulators.csms.faults import HUGE_BYTES, LATE_S, SOUND, UNDONE, Deed, Faults, Rule, distorted, grown
from simulators.csms.log import Kind, MessageLog
from simulators.csms.state import JsonObject
from simulators.csms.v16 import CallRefused
from simulators.errors import SimulatorError

CALL, RESULT, ERROR = 2, 3, 4
LONGEST_ID: Final = 36
LONGEST_DESCRIPTION: Final = 255
DEEPEST: Final = 16
#: Codes of a CALLERROR (OCPP-J 1.6, 4.2.3, with its spelling; errata 5.1).
ERROR_CODES: Final = frozenset(
    {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
    }
)


class NotConnected(SimulatorError):
    """The station has no connection, or lost it while it was asked."""


class Central(Protocol):
    """What a connection needs of the central system."""

    log: MessageLog
    faults: Faults
    conduct: Conduct

    def answer(self, station: str, id_: str, action: str, payload: JsonObject) -> JsonObject:
        """Return the answer to a CALL. Raises CallRefused."""
        ...

    def answered(self, station: str, action: str, payload: JsonObject, answer: object) -> None:
        """Take the answer of a station to a CALL, before anything that it sends after it."""
        ...

    def unanswered(self, station: str, action: str) -> None:
        """A CALL of a station got a CALLERROR, no answer, or a wrong one."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A CALL of ours that waits for its answer."""

    action: str
    payload: JsonObject
    answer: asyncio.Future[JsonObject]


@dataclass(slots=True)
class _Sent:
    """A CALL of ours as it was sent. more: answers that may come beside the first; answer: the first one's frame."""

    id: str
    action: str
    payload: JsonObject
    text: str
    more: int = 0
    answer: list[Any] | None = None


class Link:
    """A connection from its handshake to its end. ``run`` returns when it is closed."""

    def __init__(self, station: str, socket: ServerConnection, central: Central) -> None:
        self.station = station
        self.socket = socket
        self._central = central
        self._calls: asyncio.Queue[tuple[str, str, JsonObject]] = asyncio.Queue()
        self._asked: dict[str, _Asked] = {}
        self._last: _Sent | None = None
        self._repeated: dict[str, _Sent] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # one CALL of ours at a time (OCPP-J 1.6, 4.1.1)

    async def run(self) -> None:
        """Serve the station until the connection ends."""
        self._central.conduct.connected(self.station)
        worker = asyncio.create_task(self._serve())
        try:
            async for text in self.socket:
                self._received(text)
        except ConnectionClosed:
            pass
        finally:
            for task in (worker, *self._late):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                    await task
            for asked in self._asked.values():
                if not asked.answer.done():
                    asked.answer.set_exception(NotConnected(f"{self.station} closed its connection"))

    async def call(self, action: str, payload: JsonObject, timeout: float) -> JsonObject:  # noqa: ASYNC109 - part of the interface
        """Send a CALL and return the answer. Raises CallRefused, NotConnected, TimeoutError."""
        id_ = str(uuid.uuid4())
        asked = _Asked(action, payload, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(timeout), self._turn:
                self._asked[id_] = asked
                self._last = _Sent(id_, action, payload, json.dumps([CALL, id_, action, payload]))
                await self._send("call", [CALL, id_, action, payload], action, payload)
                if self._central.faults.calls_twice:
                    await self.repeat()
                return await asked.answer
        except TimeoutError:
            raise TimeoutError(f"{self.station} did not answer {action} within {timeout:g} s") from None
        finally:
            self._asked.pop(id_, None)

    async def repeat(self) -> None:
        """Send the last CALL again, byte for byte: to be done once, answered alike. Raises NotConnected."""
        sent = self._last
        if sent is None:
            raise NotConnected(f"no CALL was sent on this connection of {self.station}")
        self._repeated[sent.id] = sent
        sent.more += 1
        self._central.log.add(
            self.station, "call", inbound=False, action=sent.action, id_=sent.id, payload=sent.payload, text=sent.text
        )
        await self.send_text(sent.text)

    async def send_text(self, text: str | bytes) -> None:
        """Send any text, or bytes in a binary frame. Raises NotConnected."""
        try:
            await self.socket.send(text)
        except ConnectionClosed:
            raise NotConnected(f"{self.station} is not connected") from None

    async def _send(self, kind: Kind, frame: list[Any], action: str, payload: object) -> None:
        text = json.dumps(frame)
        self._central.log.add(
            self.station, kind, inbound=False, action=action, id_=str(frame[1]), payload=payload, text=text
        )
        await self.send_text(text)

    # -- what comes in

    def _received(self, text: str | bytes) -> None:
        frame = _parse(text)
        if self._answered_again(frame, text):
            return
        match frame:
            case [2, str(id_), str(action), dict(payload)] if len(id_) <= LONGEST_ID:
                self._note("call", id_, action, payload, text=text)
                self._central.conduct.called(self.station, id_, action, payload)
                self._calls.put_nowait((id_, action, payload))
            case [3, str(id_), payload] if id_ in self._asked:
                self._answered(self._asked[id_], id_, payload, text)
            case [4, str(id_), str(code), str(description), details] if id_ in self._asked:
                asked = self._asked[id_]
                error = {"code": code, "description": description, "details": details}
                self._note("error", id_, asked.action, error, text=text)
                self._check_error(asked.action, code, description, details=details)
                _settle(asked, CallRefused(code, description))
            case _:
                self._garbage(frame, text)

    def _answered_again(self, frame: object, text: str | bytes) -> bool:
        """Tell whether a frame answers a repeated CALL that had its first answer; another one than that is noted."""
        sent = self._repeated_by(frame)
        if sent is None or not isinstance(frame, list):
            return False
        if sent.answer is None:
            sent.answer = frame
            return False
        if not sent.more:
            return False
        sent.more -= 1
        kind: Kind = "result" if frame[0] == RESULT else "error"
        self._note(kind, sent.id, sent.action, _payload(frame), text=text)
        if frame != sent.answer:
            self._central.log.accuse(self.station, f"answers {sent.action} that was sent again with something else")
        return True

    def _repeated_by(self, frame: object) -> _Sent | None:
        """Return the CALL that a frame answers, where it is the last one or was sent again."""
        match frame:
            case [3 | 4, str(id_), _, *_]:
                return self._last if self._last is not None and self._last.id == id_ else self._repeated.get(id_)
            case _:
                return None

    def _check_error(self, action: str, code: str, description: str, *, details: object) -> None:
        what = f"its CALLERROR to {action}"
        if code not in ERROR_CODES:
            self._central.log.accuse(self.station, f"{what} has the unknown code {_short(code)}")
        if len(description) > LONGEST_DESCRIPTION:
            self._central.log.accuse(self.station, f"{what} has a description of {len(description)} characters")
        if not isinstance(details, dict):
            self._central.log.accuse(self.station, f"{what} has details that are no object")

    def _answered(self, asked: _Asked, id_: str, payload: object, text: str | bytes) -> None:
        self._note("result", id_, asked.action, payload, text=text)
        self._central.answered(self.station, asked.action, asked.payload, payload)
        _settle(asked, payload if isinstance(payload, dict) else CallRefused("FormationViolation", "no object"))

    def _garbage(self, frame: object, text: str | bytes) -> None:
        self._note("garbage", "", "", frame, text=text)
        late = isinstance(frame, list) and frame[:1] in ([RESULT], [ERROR]) and len(frame) > 1
        what = "an answer that nobody waits for" if late else "what is no OCPP-J message"
        self._central.log.accuse(self.station, f"sends {what}: {_short(text)}")

    def _note(self, kind: Kind, id_: str, action: str, payload: object, *, text: str | bytes) -> None:
        shown = text if isinstance(text, str) else text.hex()
        self._central.log.add(self.station, kind, inbound=True, action=action, id_=id_, payload=payload, text=shown)

    # -- what goes out

    async def _serve(self) -> None:
        while True:
            id_, action, payload = await self._calls.get()
            if self._central.faults.mute:
                continue
            rule = self._central.faults.take(action)
            with contextlib.suppress(NotConnected):
                await self._serve_one(id_, action, payload, rule)

    async def _serve_one(self, id_: str, action: str, payload: JsonObject, rule: Rule | None) -> None:
        if rule is not None and rule.deed not in SOUND:
            self._central.unanswered(self.station, action)
        try:
            undone = rule is not None and rule.deed in UNDONE
            answer = {} if undone else self._central.answer(self.station, id_, action, payload)
        except CallRefused as refused:
            await self._refuse(id_, action, refused)
            return
        if rule is None:
            await self._answer(id_, action, answer)
        elif rule.deed is Deed.LATE:
            seconds = LATE_S if rule.value is None else rule.value
            late = asyncio.create_task(self._answer_late(id_, action, answer, seconds))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        else:
            await self._spoil(id_, action, answer, rule)

    async def _spoil(self, id_: str, action: str, answer: JsonObject, rule: Rule) -> None:
        """Do to an answer what a rule wants."""
        match rule.deed:
            case Deed.IGNORE | Deed.LOSE:
                return
            case Deed.CLOSE:
                await self.socket.close(1011)
            case Deed.ERROR:
                await self._refuse(id_, action, CallRefused(rule.code, "simulated"))
            case Deed.GARBAGE | Deed.BINARY | Deed.NULL:
                await self._answer_raw(id_, answer, rule.deed)
            case Deed.WRONG_ID:
                await self._answer(str(uuid.uuid4()), action, answer)
            case Deed.DUPLICATE:
                await self._answer(id_, action, answer)
                await self._answer(id_, action, answer)
            case _:
                await self._answer(id_, action, _spoiled(answer, rule))

    async def _answer_raw(self, id_: str, answer: JsonObject, deed: Deed) -> None:
        """Answer by a text that is no right OCPP-J message."""
        await asyncio.sleep(self._central.faults.answer_delay_s)
        self._central.conduct.answered(self.station, id_)
        texts: dict[Deed, str | bytes] = {
            Deed.GARBAGE: f'[3,"{id_}",{{"sta',
            Deed.BINARY: json.dumps([RESULT, id_, answer]).encode(),
            Deed.NULL: json.dumps([RESULT, id_, None]),
        }
        await self.send_text(texts[deed])

    async def _answer_late(self, id_: str, action: str, answer: JsonObject, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(NotConnected):
            await self._answer(id_, action, answer)

    async def _answer(self, id_: str, action: str, answer: JsonObject) -> None:
        await asyncio.sleep(self._central.faults.answer_delay_s)
        self._central.conduct.answered(self.station, id_)
        await self._send("result", [RESULT, id_, answer], action, answer)

    async def _refuse(self, id_: str, action: str, refused: CallRefused) -> None:
        await asyncio.sleep(self._central.faults.answer_delay_s)
        self._central.conduct.answered(self.station, id_)
        self._central.unanswered(self.station, action)
        error = {"code": refused.code, "description": refused.description, "details": {}}
        await self._send("error", [ERROR, id_, refused.code, refused.description[:255], {}], action, error)


def _spoiled(answer: JsonObject, rule: Rule) -> JsonObject:
    """Return what becomes of an answer whose frame is a right one."""
    match rule.deed:
        case Deed.EXTRA_FIELDS:
            return dict(grown(answer))
        case Deed.HUGE:
            return answer | {"padding": "x" * int(HUGE_BYTES if rule.value is None else rule.value)}
        case Deed.WRONG_TYPES:
            return dict(distorted(answer))
        case _:
            return {}


def _payload(frame: list[Any]) -> object:
    """Return the payload of an answer as the log has it."""
    if frame[0] == RESULT:
        return frame[2]
    code, description, details = (*frame[2:5], "", "")[:3]
    return {"code": code, "description": description, "details": details}


def _settle(asked: _Asked, answer: JsonObject | CallRefused) -> None:
    if asked.answer.done():
        return
    if isinstance(answer, CallRefused):
        asked.answer.set_exception(answer)
    else:
        asked.answer.set_result(answer)


def _parse(text: str | bytes) -> object:
    """Return a JSON text, None where it is none or nested deeper than any message."""
    try:
        frame = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    layer = [frame]
    for _ in range(DEEPEST):
        layer = [entry for each in layer if isinstance(each, (dict, list)) for entry in _entries(each)]
    return None if layer else frame


def _entries(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _short(text: str | bytes) -> str:
    shown = text if isinstance(text, str) else repr(text)
    return textwrap.shorten(shown, 80)
