"""What a central system of OCPP 1.6 answers. The schemas are those of the ``ocpp`` package, the behaviour is ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from ocpp.messages import MessageType, get_validator
from ocpp.v16.enums import Action

from simulators.csms.book import Book
from simulators.csms.company import CompanyLink, used, verdict
from simulators.csms.conduct import BOOT, Conduct
from simulators.csms.log import MessageLog
from simulators.csms.readings import moment
from simulators.csms.state import JsonObject, State
from simulators.errors import SimulatorError

SUBPROTOCOL: Final = "ocpp1.6"
ACTIONS: Final = frozenset(str(action.value) for action in Action)
#: Sent by stations and answered with an empty object.
NOTED: Final = frozenset(
    {
        "FirmwareStatusNotification",
        "DiagnosticsStatusNotification",
        "SecurityEventNotification",
        "LogStatusNotification",
        "SignedFirmwareStatusNotification",
    }
)
#: Schemas with limits of one decimal, which only hold for decimal numbers.
ONE_DECIMAL: Final = frozenset({"SetChargingProfile", "RemoteStartTransaction", "GetCompositeSchedule"})
#: What of a schema is violated -> code of the CALLERROR (OCPP-J 1.6, 4.2.3, with its spelling).
CODES: Final[Mapping[str, str]] = {
    "type": "TypeConstraintViolation",
    "required": "OccurenceConstraintViolation",
    "additionalProperties": "FormationViolation",
}


class CallRefused(SimulatorError):
    """A CALLERROR, ours or a station's."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"CALLERROR {code} {description}".rstrip())
        self.code = code
        self.description = description


@dataclass(slots=True)
class Policy:
    """How stations are received; may be changed at any time.

    registration: Accepted, Pending or Rejected, with the interval in seconds. accept_unknown: cards that are not known
    are accepted. clock_offset_s: how wrong the central system's clock is. zone: of prices and months.
    """

    registration: str = "Accepted"
    interval_s: int = 300
    accept_unknown: bool = False
    clock_offset_s: float = 0.0
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Amsterdam"))


@dataclass(frozen=True, slots=True)
class Wrong:
    """What of a schema is violated, and how."""

    keyword: str
    message: str


def check(action: str, payload: object, *, answer: bool = False) -> Wrong | None:
    """Return how a payload violates the official schema, None where it does not. Raises CallRefused: unknown action."""
    if action not in ACTIONS:
        raise CallRefused("NotImplemented", f"unknown action {action}")
    exact = action in ONE_DECIMAL
    kind = MessageType.CallResult if answer else MessageType.Call
    validator = get_validator(kind, action, "1.6", parse_float=Decimal if exact else float)
    if exact:
        payload = json.loads(json.dumps(payload), parse_float=Decimal)
    errors = validator.iter_errors(payload)
    outermost = min(errors, key=lambda error: len(error.path), default=None)
    return None if outermost is None else Wrong(str(outermost.validator), str(outermost.message))


class V16:
    """The answers to stations. Every message is checked first; what is wrong is noted and refused by its code."""

    def __init__(self, state: State, log: MessageLog, *, book: Book, link: CompanyLink, conduct: Conduct) -> None:
        self.policy = Policy()
        self._sign: Callable[[str, str], bool] = lambda _station, _csr: False
        self._state = state
        self._book = book
        self._link = link
        self._conduct = conduct
        self.log = log
        self._answers: Mapping[str, Callable[[str, str, JsonObject], JsonObject]] = {
            BOOT: self._boot,
            "Heartbeat": lambda *_: {"currentTime": self._now()},
            "Authorize": self._authorize,
            "StatusNotification": self._status,
            "StartTransaction": self._start,
            "StopTransaction": self._stop,
            "MeterValues": self._meter_values,
            "DataTransfer": lambda station, _id, payload: self._link.transfer(station, payload),
            "SignCertificate": self._sign_certificate,
        }

    def on_request(self, sign: Callable[[str, str], bool]) -> None:
        """Let requests for certificates (station, PEM) be taken, or not, by somebody who signs."""
        self._sign = sign

    def answer(self, station: str, id_: str, action: str, payload: JsonObject) -> JsonObject:
        """Return the payload of the answer. Raises CallRefused."""
        self._validate(station, action, payload)
        if not self._conduct.may_send(station, action, self._state.station(station).registration):
            raise CallRefused("SecurityError", "the boot was not accepted")
        if action in NOTED:
            return {}
        answer = self._answers.get(action)
        if answer is None:
            self.log.accuse(station, f"{action} is no message of a station")
            raise CallRefused("NotSupported", action)
        return answer(station, id_, payload)

    def _validate(self, station: str, action: str, payload: JsonObject) -> None:
        try:
            wrong = check(action, payload)
        except CallRefused as refused:
            self.log.accuse(station, refused.description)
            raise
        if wrong is not None:
            self.log.accuse(station, f"{action} violates its schema: {wrong.message}")
            raise CallRefused(CODES.get(wrong.keyword, "PropertyConstraintViolation"), wrong.message)
        for holder in (payload, *payload.get("meterValue", ()), *payload.get("transactionData", ())):
            _check_timestamp(holder)

    def check_answer(self, station: str, action: str, payload: object) -> None:
        """Note where the answer of a station violates its schema."""
        wrong = check(action, payload, answer=True)
        if wrong is not None:
            self.log.accuse(station, f"its answer to {action} violates the schema: {wrong.message}")

    def _now(self) -> str:
        now = datetime.now(UTC) + timedelta(seconds=self.policy.clock_offset_s)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _verdict(self, id_tag: str) -> JsonObject:
        return verdict(self._state, id_tag, datetime.now(UTC), accept_unknown=self.policy.accept_unknown)

    def _authorize(self, _station: str, _id: str, payload: JsonObject) -> JsonObject:
        used(self._state, payload["idTag"], datetime.now(UTC))
        return {"idTagInfo": self._verdict(payload["idTag"])}

    def _boot(self, station: str, _id: str, payload: JsonObject) -> JsonObject:
        known = self._state.station(station)
        known.registration, known.boot = self.policy.registration, payload
        self._conduct.booted(station, self.policy.registration, self.policy.interval_s)
        return {
            "status": self.policy.registration,
            "currentTime": self._now(),
            "interval": self.policy.interval_s,
        }

    def _status(self, station: str, _id: str, payload: JsonObject) -> JsonObject:
        known = self._state.station(station)
        for text in self._conduct.statuses.reported(known, payload):
            self.log.accuse(station, text)
        known.statuses[str(payload["connectorId"])] = payload["status"]
        return {}

    def _start(self, station: str, id_: str, payload: JsonObject) -> JsonObject:
        session = self._book.start(station, id_, payload)
        used(self._state, payload["idTag"], datetime.now(UTC))
        return {"transactionId": session.transaction_id, "idTagInfo": self._verdict(payload["idTag"])}

    def _stop(self, station: str, id_: str, payload: JsonObject) -> JsonObject:
        self._book.stop(station, id_, payload)
        return {"idTagInfo": self._verdict(payload["idTag"])} if "idTag" in payload else {}

    def _sign_certificate(self, station: str, _id: str, payload: JsonObject) -> JsonObject:
        return {"status": "Accepted" if self._sign(station, payload["csr"]) else "Rejected"}

    def _meter_values(self, station: str, _id: str, payload: JsonObject) -> JsonObject:
        self._book.meter_values(station, payload)
        return {}


def _check_timestamp(holder: JsonObject) -> None:
    """Raise CallRefused for a timestamp that is none; the schemas do not look at it."""
    if "timestamp" in holder:
        try:
            moment(holder["timestamp"])
        except ValueError as error:
            raise CallRefused("PropertyConstraintViolation", str(error)) from error
