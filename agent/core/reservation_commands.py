"""Commands about reservations; one union, so that who passes commands on need not know them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from agent.core.model import EvseId, IdToken


@dataclass(frozen=True, slots=True)
class ReserveNow:
    """Keep an EVSE, or one of them whichever (0), for a token and its group until a moment (UTC).

    The same id again replaces the reservation.
    """

    reservation: int
    evse: EvseId
    id_token: IdToken
    group: IdToken | None
    until: datetime


@dataclass(frozen=True, slots=True)
class CancelReservation:
    """Keep what was reserved under this id no longer."""

    reservation: int


ReservationCommand: TypeAlias = ReserveNow | CancelReservation
