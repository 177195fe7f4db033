"""Cards sent to chargers: what each has to know, what it was sent, and what it took (``Cards``, ``GetCards``)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from simulators.csms.desk import CompanyDesk, NotTaken
from simulators.csms.state import Delivery, Device, JsonObject, State, Token, TokenStatus
from simulators.csms.v16 import CallRefused

TAKEN, FAILED, WAITING = "Taken", "Failed", "Waiting"
#: At most so many cards are in one message.
BATCH: Final = 1000


def content(state: State, token: Token) -> JsonObject:
    """Return a card as it is sent; what is not known is left out."""
    employee = state.employees.get(token.employee)
    parts = {
        "uid": token.uid,
        "status": str(token.status),
        "number": token.number,
        "emaId": token.ema_id,
        "name": "" if employee is None else employee.name,
        "kind": str(token.kind),
        "reason": token.reason,
        "validFrom": _moment(token.valid_from),
        "validTo": _moment(token.valid_to),
        "replaces": token.replaces,
    }
    return {name: value for name, value in parts.items() if value}


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat().replace("+00:00", "Z")


def of_company(state: State, company: str) -> list[Token]:
    """Return the cards that the chargers of a company know: its own, and those of nobody in particular."""
    return [token for token in state.tokens.values() if token.company in {"", company}]


def standing(state: State, station: str, token: Token) -> Delivery:
    """Return how a card stands at a charger: as it was sent last, or Waiting where that is not how it is now."""
    last = state.deliveries.get(f"{station} {token.uid}")
    wanted = content(state, token)
    if last is not None and last.sent == wanted:
        return last
    return Delivery(station, token.uid, wanted, WAITING, datetime.now(UTC), tries=0)


def due(state: State, device: Device) -> list[Token]:
    """Return the cards that a charger has to be sent: new ones, and those that changed. What failed waits for a retry.

    A card that was deactivated before the charger ever knew it stays unknown to it.
    """
    if device.state != "linked":
        return []
    known = {sent.uid for sent in state.deliveries.values() if sent.station == device.station}
    return [
        token
        for token in of_company(state, device.company)
        if standing(state, device.station, token).status == WAITING
        and (token.status is not TokenStatus.DEACTIVATED or token.uid in known)
    ]


def failed(state: State, device: Device) -> list[Token]:
    """Return the cards that a charger did not take as they are now."""
    tokens = of_company(state, device.company)
    return [token for token in tokens if standing(state, device.station, token).status == FAILED]


class CardPost:
    """Sends cards to chargers and keeps what became of each."""

    def __init__(self, desk: CompanyDesk) -> None:
        self._desk = desk
        self._state = desk.state

    async def send(self, station: str, tokens: Sequence[Token], *, full: bool = False) -> None:
        """Send cards; full: these and no others. Raises as ``Csms.call``; what a charger refuses is only noted."""
        device = self._desk.device(station)
        for start in range(0, max(len(tokens), 1), BATCH):
            await self._send(device, tokens[start : start + BATCH], full=full and start == 0)

    async def _send(self, device: Device, tokens: Sequence[Token], *, full: bool) -> None:
        device.cards_version = max(device.cards_version + 1, int(time.time()))  # also newer than one that was forgotten
        sent = [content(self._state, token) for token in tokens]
        message = {"version": device.cards_version, "updateType": "Full" if full else "Differential", "cards": sent}
        try:
            answer = await self._desk.transfer(device.station, "Cards", message)
        except (NotTaken, CallRefused) as refused:
            outcomes = [(FAILED, str(refused))] * len(sent)
        else:
            outcomes = list(_outcomes(answer.get("results"), len(sent)))
        for card, (status, reason) in zip(sent, outcomes, strict=True):
            self._keep(device.station, card, status, reason=reason)

    def _keep(self, station: str, card: JsonObject, status: str, *, reason: str) -> None:
        key = f"{station} {card['uid']}"
        last = self._state.deliveries.get(key)
        tries = last.tries + 1 if last is not None and last.sent == card else 1
        self._state.deliveries[key] = Delivery(station, card["uid"], card, status, datetime.now(UTC), reason, tries)

    async def ask(self, station: str) -> dict[str, str]:
        """Return the cards that a charger says it has, with their status there. Raises as ``CompanyDesk.transfer``.

        One that was activated there is active here, too.
        """
        answer = await self._desk.transfer(station, "GetCards")
        held = answer.get("cards")
        if not isinstance(held, list) or not all(isinstance(card, dict) for card in held):
            raise NotTaken(f"{station} answers GetCards without a list of cards")
        for card in held:
            token = self._state.tokens.get(str(card.get("uid")).upper())
            if token is not None and card.get("activated") is True and token.status is TokenStatus.INACTIVE:
                self._desk.set_status(token.uid, TokenStatus.ACTIVE, "")
        return {str(card.get("uid")): str(card.get("status")) for card in held}


def _outcomes(results: Any, count: int) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield status and reason of each card; one that the answer says nothing of has failed."""
    told = results if isinstance(results, list) and len(results) == count else [None] * count
    for result in told:
        if isinstance(result, dict) and result.get("status") == TAKEN:
            yield TAKEN, ""
        else:
            yield FAILED, str(result.get("reason", "")) if isinstance(result, dict) else "the answer says nothing of it"
