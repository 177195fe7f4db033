"""Reservations as data: who an EVSE is kept for, until when, and whether a token is meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId, IdToken


@dataclass(frozen=True, slots=True)
class Reservation:
    """An EVSE, or one of them whichever (0), that is kept for a token and its group; durable.

    id: the central system's; group: None where it named none; made: when it was made here; until: UTC, when it is over.
    """

    id: int
    evse: EvseId
    id_token: IdToken
    group: IdToken | None
    made: Instant
    until: datetime


@dataclass(frozen=True, slots=True)
class Booked:
    """The reservation that a session used: the central system's id of it, and when it was made."""

    id: int
    since: Instant


class Fit(IntEnum):
    """How a token and the reservations of an EVSE go together, the best first.

    OWN: the EVSE is kept for the token or its group; OPEN: no reservation is in its way; UNSURE: it is kept for a
    group, and nobody has said whether the token is one of it; CLOSED: it is kept for others.
    """

    OWN = 0
    OPEN = 1
    UNSURE = 2
    CLOSED = 3


def fits(reservation: Reservation, id_token: IdToken, group: IdToken | None) -> Fit:
    """Tell whether a reservation is a token's: OWN, UNSURE or CLOSED.

    The name of the group presented as a token is not one of the group (OCPP 1.6 ed. 2, section 3.10).
    """
    if reservation.id_token.key == id_token.key:
        return Fit.OWN
    if reservation.group is None:
        return Fit.CLOSED
    if group is None:
        return Fit.UNSURE
    return Fit.OWN if reservation.group.key == group.key else Fit.CLOSED


def remaining_s(reservation: Reservation, at: Instant) -> float:
    """Return for how long (s) a reservation goes on; it is over at 0.

    A machine that does not know the time yet lets it go on as long as it was made for, at most.
    """
    if at.status is not TimeStatus.UNKNOWN:
        return (reservation.until - at.wall).total_seconds()
    lasts = (reservation.until - reservation.made.wall).total_seconds()
    return lasts - (at.mono - reservation.made.mono if reservation.made.boot == at.boot else at.mono)
