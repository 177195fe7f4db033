"""ReserveNow and CancelReservation of OCPP 1.6 (ed. 2, sections 5.13, 5.2, 6.37 and 7.39)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.core.commands import Outcome, Result
from agent.core.errors import RpcError
from agent.core.model import EvseId, IdToken
from agent.core.reservation_commands import CancelReservation, ReserveNow
from agent.ocpp.dialect import Immediate, StationView, moment
from agent.ocpp.rpc import JsonObject

REJECTED: Final = {"status": "Rejected"}
#: What came of ReserveNow; everything else is Rejected.
STATUSES: Final[Mapping[Result, str]] = {
    Result.ACCEPTED: "Accepted",
    Result.OCCUPIED: "Occupied",
    Result.FAULTED: "Faulted",
    Result.UNAVAILABLE: "Unavailable",
}


def reserve(payload: JsonObject, _station: StationView) -> ReserveNow | Immediate:
    """Read ReserveNow. Raises: RpcError for an expiry that is no time."""
    until = moment(payload["expiryDate"])
    if until is None:
        raise RpcError("PropertyConstraintViolation", "expiryDate: not a time")
    id_tag, group = str(payload["idTag"]), payload.get("parentIdTag")
    if not id_tag.strip():
        return Immediate(dict(REJECTED))
    return ReserveNow(
        reservation=_integer(payload, "reservationId"),
        evse=EvseId(_integer(payload, "connectorId")),
        id_token=IdToken(id_tag),
        group=IdToken(str(group)) if group else None,
        until=until.wall,
    )


def cancel(payload: JsonObject, _station: StationView) -> CancelReservation:
    """Read CancelReservation."""
    return CancelReservation(_integer(payload, "reservationId"))


def answer(outcome: Outcome) -> JsonObject:
    """Return ReserveNow.conf."""
    return {"status": STATUSES.get(outcome.result, "Rejected")}


def _integer(payload: JsonObject, name: str) -> int:
    number = payload[name]
    return int(number) if isinstance(number, int | float) else -1
