"""The sessions of a central system, and what stations do wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from simulators.csms.company import terms_at
from simulators.csms.log import MessageLog
from simulators.csms.readings import moment, registers
from simulators.csms.samples import wrong_with_idle, wrong_with_stop, wrong_with_values
from simulators.csms.state import JsonObject, Reading, Session, State

#: What a station reports about a transaction whose start was never accepted (OCPP 1.6 errata 3.18).
LOST: Final = -1


class Book:
    """Transactions by the messages that report them. ``orphans``: what was reported about transactions unknown here."""

    def __init__(self, state: State, log: MessageLog) -> None:
        self.state = state
        self.orphans: list[JsonObject] = []
        self._log = log

    def start(self, station: str, message: str, payload: JsonObject) -> Session:
        """Open a session; the same one again for a message that is resent."""
        for session in self._of(station):
            if session.start_message == message:
                return session
        session = self._opened(station, message, payload)
        self._check_start(session)
        self.state.sessions.append(session)
        return session

    def _opened(self, station: str, message: str, payload: JsonObject) -> Session:
        started_at, device = moment(payload["timestamp"]), self.state.devices.get(station)
        terms, token = terms_at(device, started_at), self.state.tokens.get(payload["idTag"].upper())
        number = self._next_number()
        return Session(
            station=station,
            connector=payload["connectorId"],
            transaction_id=number,
            id_tag=payload["idTag"],
            started_at=started_at,
            meter_start_wh=Decimal(payload["meterStart"]),
            start_message=message,
            tariff=terms.get("tariff", self.state.tariff),
            refund_percentage=str(terms.get("refundPercentage", "100")),
            automatic_payment=bool(terms.get("automaticPayment", False)),
            company=(device and device.company) or (token and token.company) or "",
            employee=(device and device.employee) or (token and token.employee) or "",
            reservation_id=payload.get("reservationId"),
        )

    def _next_number(self) -> int:
        """Return the number of the next transaction; one that was given already is left out."""
        taken = {session.transaction_id for session in self.state.sessions}
        while self.state.next_transaction in taken:
            self.state.next_transaction += 1
        number, self.state.next_transaction = self.state.next_transaction, self.state.next_transaction + 1
        return number

    def _check_start(self, new: Session) -> None:
        where = f"connector {new.connector}"
        if new.connector < 1:
            self._log.accuse(new.station, f"StartTransaction on {where}")
        earlier = [old for old in self._of(new.station) if old.connector == new.connector]
        if any(_same_start(old, new) for old in earlier):
            self._log.accuse(new.station, f"StartTransaction of {where} doubled under another message id")
        elif any(old.stopped_at is None for old in earlier):
            self._log.accuse(new.station, f"StartTransaction while a transaction of {where} runs")
        elif earlier and new.meter_start_wh < (last := earlier[0].meter_stop_wh or Decimal(0)):
            self._log.accuse(new.station, f"meterStart {new.meter_start_wh} below the last meterStop {last} of {where}")
        self._check_link(new)

    def _check_link(self, session: Session) -> None:
        device = self.state.devices.get(session.station)
        if device is None:
            return
        ended = device.state == "ended" and device.ended_at is not None and session.started_at > device.ended_at
        if device.state in {"pending", "rejected"} or ended:
            self._log.accuse(session.station, f"a transaction although the company link is {device.state}")
        if not terms_at(device, session.started_at).get("sessionLogging", True):
            self._log.accuse(session.station, "a transaction although the company switched session logging off")

    def stop(self, station: str, message: str, payload: JsonObject) -> Session | None:
        """Close a session; None where it is not known."""
        session = self._find(station, payload, "StopTransaction")
        if session is None or session.stop_message == message:
            return session
        stopped_at, stop = moment(payload["timestamp"]), Decimal(payload["meterStop"])
        if session.stop_message is not None:
            same = (session.stopped_at, session.meter_stop_wh) == (stopped_at, stop)
            what = "the same" if same else "another"
            self._log.accuse(station, f"transaction {session.transaction_id} stopped twice, with {what} content")
            return session
        self._accuse(station, wrong_with_stop(session, payload, self.state.station(station)))
        for value in payload.get("transactionData", []):
            self._read(session, value)
        if stop < session.meter_start_wh:
            self._log.accuse(station, f"meterStop {stop} below meterStart {session.meter_start_wh}")
        elif session.readings and stop < int(session.readings[-1].wh):
            self._log.accuse(station, f"meterStop {stop} below a meter value {session.readings[-1].wh}")
        if stopped_at < session.started_at:
            self._log.accuse(station, f"transaction {session.transaction_id} stopped before it started")
        session.stopped_at, session.meter_stop_wh, session.stop_message = stopped_at, stop, message
        session.stop_reason, session.stop_id_tag = payload.get("reason", "Local"), payload.get("idTag")
        return session

    def unlocked(self, station: str, connector: int, answer: str) -> None:
        """Take the answer to an UnlockConnector: it binds the reason by which a running transaction ends."""
        for session in self._of(station):
            if session.connector == connector and session.stop_message is None:
                session.unlock = answer

    def meter_values(self, station: str, payload: JsonObject) -> None:
        """Take the readings of a session; values without a transaction are not kept."""
        self._accuse(station, wrong_with_values(payload, self.state.station(station)))
        if "transactionId" not in payload:
            same = [session for session in self._of(station) if session.connector == payload["connectorId"]]
            self._accuse(station, wrong_with_idle(payload, same))
            return
        session = self._find(station, payload, "MeterValues")
        if session is None:
            return
        if session.stop_message is not None:
            self._log.accuse(station, f"MeterValues of transaction {session.transaction_id} after its StopTransaction")
        if session.connector != payload["connectorId"]:
            what = f"MeterValues of transaction {session.transaction_id}"
            self._log.accuse(station, f"{what} name connector {payload['connectorId']}, it is {session.connector}")
        for value in payload["meterValue"]:
            self._read(session, value)

    def _accuse(self, station: str, texts: Iterable[str]) -> None:
        for text in texts:
            self._log.accuse(station, text)

    def _read(self, session: Session, value: JsonObject) -> None:
        """Add the register of one meterValue; one that was there already changes nothing."""
        for reading in registers(value):
            later = [other for other in session.readings if other.at <= reading.at]
            if any(other.at == reading.at and other.wh == reading.wh for other in later):
                continue
            floor = max((int(other.wh) for other in later), default=int(session.meter_start_wh))
            if reading.wh < floor:
                self._log.accuse(session.station, f"meter value {reading.wh} Wh after {floor} Wh: it ran back")
            session.readings.append(reading)
            session.readings.sort(key=lambda each: each.at)

    def _find(self, station: str, payload: JsonObject, what: str) -> Session | None:
        number = payload["transactionId"]
        for session in self._of(station):
            if session.transaction_id == number:
                return session
        self.orphans.append({"station": station, "action": what} | payload)
        if number != LOST or not self.state.station(station).failed_starts:
            self._log.accuse(station, f"{what} of unknown transaction {number}")
        return None

    def _of(self, station: str) -> Iterator[Session]:
        return (session for session in reversed(self.state.sessions) if session.station == station)


def _same_start(one: Session, other: Session) -> bool:
    return (one.started_at, one.id_tag, one.meter_start_wh) == (other.started_at, other.id_tag, other.meter_start_wh)


def readings_of(session: Session) -> list[Reading]:
    """Return all readings of a closed session in order of time, its start and stop first and last."""
    if session.stopped_at is None or session.meter_stop_wh is None:
        return []
    inside = [each for each in session.readings if session.started_at < each.at < session.stopped_at]
    start = Reading(session.started_at, session.meter_start_wh, "Transaction.Begin")
    return [start, *inside, Reading(session.stopped_at, session.meter_stop_wh, "Transaction.End")]
