"""OCPP-J without I/O: frames, one CALL in flight, which answer belongs to which CALL, and CALLs that come twice.

Text goes in as it was received, values come out; what has to be sent is returned as text. The peer's ids mean nothing
on the next connection: a central system that counts from 1 on each one does not repeat itself.
Source: OCPP-J 1.6, section 4; errata sheet, section 3.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NoReturn, TypeAlias

from agent.core.errors import RpcError

JsonObject: TypeAlias = dict[str, object]

CALL: Final = 2
RESULT: Final = 3
ERROR: Final = 4

REMEMBERED: Final = 64
"""So many of the peer's CALLs are known again when they come twice, and so many of ours when they are answered late."""
REMEMBERED_LENGTH: Final = 2**18
"""Characters of the answers that are kept for CALLs that come twice."""
LONGEST_ID: Final = 255
"""OCPP-J 1.6 allows 36; what is longer than this is no id."""
DESCRIPTION_LENGTH: Final = 255
"""OCPP-J 1.6, section 4.2.3."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A CALL of the peer, to be answered by ``result`` or ``error`` with the same id."""

    message_id: str
    action: str
    payload: JsonObject


@dataclass(frozen=True, slots=True)
class Repeated:
    """A CALL that came again: not to be executed; reply: the text that answers it, None until the first is answered."""

    message_id: str
    reply: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The CALLRESULT to a CALL of ours; late: it had timed out before."""

    message_id: str
    payload: JsonObject
    late: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The CALLERROR to a CALL of ours; code: whatever the peer wrote; late: the CALL had timed out before."""

    message_id: str
    code: str
    description: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Garbage:
    """Nothing to act upon; reason: for the log, without the content; reply: a CALLERROR to send, where one is due."""

    reason: str
    reply: str | None = None


Received: TypeAlias = Incoming | Repeated | Answered | Refused | Garbage


@dataclass(slots=True)
class _Known:
    """A CALL of the peer: a digest of what was asked, which may be large, and the answer once there is one."""

    digest: bytes
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class _Flight:
    message_id: str
    deadline: float


class Rpc:
    """Both directions of one connection after the other."""

    def __init__(self, malformed: str = "FormationViolation") -> None:
        """Know nothing yet; malformed: this version's code for a frame that is no message."""
        self._malformed = malformed
        self._flight: _Flight | None = None
        self._expired: OrderedDict[str, None] = OrderedDict()
        self._known: OrderedDict[str, _Known] = OrderedDict()

    @property
    def in_flight(self) -> str | None:
        """The id of the CALL that waits for its answer."""
        return None if self._flight is None else self._flight.message_id

    @property
    def deadline(self) -> float | None:
        """The monotonic second at which the CALL in flight times out."""
        return None if self._flight is None else self._flight.deadline

    def call(self, message_id: str, action: str, payload: JsonObject, *, now: float, timeout: float) -> str:
        """Return the text of a CALL to send now; it is in flight until it is answered or ``expired``."""
        return self.resend(message_id, frame(message_id, action, payload), now=now, timeout=timeout)

    def resend(self, message_id: str, text: str, *, now: float, timeout: float) -> str:
        """Put a CALL in flight whose text is known already, and return the text.

        Raises: AssertionError while another one is in flight (OCPP-J 1.6, section 4.1.1: one at a time).
        """
        if self._flight is not None:
            raise AssertionError(f"{self._flight.message_id} is still in flight")
        self._expired.pop(message_id, None)
        self._flight = _Flight(message_id, now + timeout)
        return text

    def expired(self, now: float) -> str | None:
        """Return the id of the CALL whose time is over; it is not in flight any more, but may be answered late."""
        if self._flight is None or now < self._flight.deadline:
            return None
        message_id = self._flight.message_id
        self._flight = None
        self._expired[message_id] = None
        _bound(self._expired)
        return message_id

    def lost(self) -> None:
        """Forget everything: the connection ended."""
        self._flight = None
        self._expired.clear()
        self._known.clear()

    def result(self, message_id: str, payload: JsonObject) -> str | None:
        """Return the CALLRESULT for a CALL of this connection, None where there is none that waits."""
        return self._reply(message_id, [RESULT, message_id, payload])

    def error(self, message_id: str, error: RpcError) -> str | None:
        """Return the CALLERROR for a CALL of this connection, None where there is none that waits."""
        return self._reply(message_id, error_frame(message_id, error))

    def ignore(self, message_id: str) -> None:
        """Forget a CALL of the peer that gets no answer; when it comes again, it is a new one."""
        self._known.pop(message_id, None)

    def received(self, data: str | bytes) -> Received:
        """Take a frame; never raises, whatever it is."""
        try:
            message = _parse(data)
        except ValueError as error:
            return Garbage(str(error))
        match message:
            case [int(kind), str(message_id), *rest] if type(kind) is int and len(message_id) <= LONGEST_ID:
                return self._route(kind, message_id, rest)
            case _:
                return Garbage("no message type or no message id")

    def _route(self, kind: int, message_id: str, rest: list[object]) -> Received:
        match kind:
            case 2:
                return self._incoming(message_id, rest)
            case 3:
                return self._answered(message_id, rest)
            case 4:
                return self._refused(message_id, rest)
            case _:
                return Garbage(f"unknown message type {kind}")

    def _incoming(self, message_id: str, rest: list[object]) -> Received:
        match rest:
            case [str(action), None]:
                payload: JsonObject = {}
            case [str(action), dict(content)]:
                payload = content
            case _:
                return self._malformed_call(message_id)
        try:
            digest = _digest(action, payload)
        except RecursionError:
            return Garbage("nested too deeply")
        known = self._known.get(message_id)
        if known is not None and known.digest == digest:
            return Repeated(message_id, known.reply)
        self._known.pop(message_id, None)
        self._known[message_id] = _Known(digest)
        self._forget_answered()
        return Incoming(message_id, action, payload)

    def _malformed_call(self, message_id: str) -> Garbage:
        error = RpcError(self._malformed, "a CALL has a message id, an action and an object as payload")
        return Garbage("a CALL of the wrong shape", _dump(error_frame(message_id, error)))

    def _forget_answered(self) -> None:
        """Keep the memory bounded; what is not answered yet is never forgotten."""
        answered = {key: len(known.reply) for key, known in self._known.items() if known.reply is not None}
        length = sum(answered.values())
        for message_id, size in answered.items():
            if len(self._known) <= REMEMBERED and length <= REMEMBERED_LENGTH:
                return
            del self._known[message_id]
            length -= size

    def _answered(self, message_id: str, rest: list[object]) -> Received:
        match rest:
            case [None, *_]:
                payload: JsonObject = {}
            case [dict(content), *_]:
                payload = content
            case _:
                return Garbage("a CALLRESULT without an object as payload")
        late = self._settle(message_id)
        return Garbage("an answer to nothing") if late is None else Answered(message_id, payload, late)

    def _refused(self, message_id: str, rest: list[object]) -> Received:
        match rest:
            case [str(code), str() | None as description, *_]:
                late = self._settle(message_id)
            case _:
                return Garbage("a CALLERROR without code and description")
        if late is None:
            return Garbage("an error to nothing")
        return Refused(message_id, code, (description or "")[:DESCRIPTION_LENGTH], late)

    def _settle(self, message_id: str) -> bool | None:
        """Tell whether an answer is late, None where nobody waits for it."""
        if self._flight is not None and self._flight.message_id == message_id:
            self._flight = None
            return False
        if message_id in self._expired:
            del self._expired[message_id]
            return True
        return None

    def _reply(self, message_id: str, content: list[object]) -> str | None:
        known = self._known.get(message_id)
        if known is None or known.reply is not None:
            return None
        known.reply = _dump(content)
        return known.reply


def frame(message_id: str, action: str, payload: Mapping[str, object]) -> str:
    """Return the text of a CALL."""
    return _dump([CALL, message_id, action, payload])


def error_frame(message_id: str, error: RpcError) -> list[object]:
    """Return a CALLERROR; details are always an object."""
    return [ERROR, message_id, error.code, error.description, error.details]


def _digest(action: str, payload: JsonObject) -> bytes:
    """Return what tells a CALL from another one with the same id."""
    return sha256(json.dumps([action, payload], sort_keys=True).encode()).digest()


def _dump(content: list[object]) -> str:
    return json.dumps(content, separators=(",", ":"))


def _parse(data: str | bytes) -> object:
    """Return what a frame holds. Raises: ValueError for all that is not JSON in proper text."""
    try:
        text = (data.encode() if isinstance(data, str) else data).decode()
        content: object = json.loads(text, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair could not be kept
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeError as error:
        raise ValueError("not UTF-8") from error
    except ValueError as error:
        raise ValueError("not JSON") from error
    return content


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _bound(memory: OrderedDict[str, None]) -> None:
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
