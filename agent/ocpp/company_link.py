"""The company link over DataTransfer, the same in every version: data to send, and what is made of data received.

Source: contract, section 5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from agent.core.commands import (
    GetCards,
    Outcome,
    PushCards,
    PushCompanyLink,
    PushCompanySettings,
    PushDayAheadPrices,
    PushPayment,
    Result,
)
from agent.core.company import CompanySettings, LinkAnswer, LinkState
from agent.core.events import LinkFailure
from agent.core.ocpi import tariff_from_json
from agent.core.payments import MESSAGE as PAID_PUSH
from agent.core.payments import payment_from_json
from agent.core.prices_push import MESSAGE as PRICES_PUSH
from agent.core.prices_push import block_from_json
from agent.ocpp import card_messages
from agent.ocpp.dialect import Transferred, TransferStatus

VENDOR: Final = "org.wallbox-agent"
LINK: Final = "LinkCompany"
UNLINK: Final = "UnlinkCompany"
SETTINGS_PUSH: Final = "CompanySettings"
LINK_PUSH: Final = "CompanyLink"
CARDS_PUSH: Final = "Cards"
CARDS_QUERY: Final = "GetCards"

Pushed: TypeAlias = PushCompanySettings | PushCompanyLink | PushDayAheadPrices | PushPayment | PushCards | GetCards

CODE: Final = re.compile(r"[A-Z0-9-]{4,36}")
TEXT_LENGTH: Final = 255
"""Names and reasons are shown to people; what is longer is cut off."""
VERSION_MOST: Final = 2**63 - 1
PERCENT: Final = Decimal(100)
PERCENTAGE_PLACES: Final = 4

STATES: Final = {"linked": LinkState.LINKED, "pending": LinkState.PENDING, "rejected": LinkState.REJECTED}
#: CALLERROR codes and DataTransfer statuses by which a central system says that it knows no company links.
UNKNOWN: Final = frozenset({
    "NotImplemented", "NotSupported", TransferStatus.UNKNOWN_MESSAGE_ID.value, TransferStatus.UNKNOWN_VENDOR_ID.value,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Linking:
    """What the station tells of itself; meter_serials: those that are known, in the order of the EVSEs."""

    station_id: str
    evse_ids: tuple[str, ...]
    meter_serials: tuple[str, ...]
    version: str


def normalise_code(text: str) -> str:
    """Return a company code in upper case. Raises: ValueError where it is none."""
    code = text.strip().upper() if text.isascii() else ""
    if not CODE.fullmatch(code):
        raise ValueError(f"{text[:40]!r} is not a company code: 4 to 36 letters A-Z, digits and hyphens")
    return code


def link_data(code: str, station: Linking, settings_version: int | None) -> str:
    """Return the data of LinkCompany; settings_version: of the settings in force, null without any."""
    return _dump({
        "companyCode": code,
        "stationId": station.station_id,
        "evseIds": list(station.evse_ids),
        "meterSerialNumbers": list(station.meter_serials),
        "agentVersion": station.version,
        "settingsVersion": settings_version,
    })  # fmt: skip


def unlink_data(code: str) -> str:
    """Return the data of UnlinkCompany."""
    return _dump({"companyCode": code})


def refusal(reason: str) -> str:
    """Return the data of an answer that refuses a push."""
    return _dump({"reason": reason})


def link_answer(answer: Transferred) -> LinkAnswer | LinkFailure:
    """Return what the answer to LinkCompany says; one that cannot be read is that of a system without company links.

    Settings in it that are not valid are left out whole, with the reason in words; the link counts all the same.
    """
    if answer.status.value in UNKNOWN:
        return LinkFailure.UNSUPPORTED
    content = _object(answer.data)
    if answer.status is TransferStatus.REJECTED:
        return LinkAnswer(LinkState.REJECTED, _words(content, "reason"))
    status = _status(content)
    if status is None:
        return LinkFailure.UNSUPPORTED
    reason, name = _words(content, "reason"), _words(content, "companyName")
    try:
        return LinkAnswer(status, reason, name, _settings_within(content))
    except ValueError as error:
        return LinkAnswer(status, f"settings refused: {error}", name)


def link_refused(code: str) -> LinkFailure:
    """Return what a CALLERROR to LinkCompany means."""
    return LinkFailure.UNSUPPORTED if code in UNKNOWN else LinkFailure.FAILED


def answer_data(outcome: Outcome) -> str | None:
    """Return the data of the answer to a push: why it is refused, or what came of the cards; None without any."""
    if outcome.result is not Result.ACCEPTED:
        return refusal(outcome.reason) if outcome.reason else None
    return None if outcome.cards is None else _dump(card_messages.report(outcome.cards))


def pushed(message: str, data: str) -> Pushed | None:
    """Return the command that the central system pushes, None for a message that is not known.

    Raises: ValueError in words where the data are not valid: they are refused whole.
    """
    if message == CARDS_QUERY:
        return GetCards()
    if message not in PUSHES:
        return None
    content = _object(data)
    if not content:
        raise ValueError("data is not a JSON object")
    return PUSHES[message](content)


def _link_pushed(content: Mapping[str, object]) -> PushCompanyLink:
    status = _status(content)
    if status is None:
        raise ValueError("status must be Linked, Pending or Rejected")
    settings = _settings_within(content)
    return PushCompanyLink(status.value, _words(content, "companyName"), _words(content, "reason"), settings)


def settings_from_json(content: object) -> CompanySettings:
    """Return settings; only the version must be there. Raises: ValueError naming what is wrong."""
    if not isinstance(content, Mapping):
        raise ValueError("settings must be an object")  # noqa: TRY004  # the content is at fault, not the caller
    version = content.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version <= VERSION_MOST:
        raise ValueError("version must be a whole number, 0 or more")
    tariff = content.get("tariff")
    return CompanySettings(
        version=version,
        session_logging=_boolean(content, "sessionLogging", default=True),
        automatic_payment=_boolean(content, "automaticPayment", default=False),
        refund_percentage=_percentage(content.get("refundPercentage")),
        tariff=None if tariff is None else tariff_from_json(tariff),
    )


#: What the data of each message that the central system pushes become.
PUSHES: Final[Mapping[str, Callable[[Mapping[str, object]], Pushed]]] = {
    CARDS_PUSH: card_messages.sent,
    SETTINGS_PUSH: lambda content: PushCompanySettings(settings_from_json(content)),
    PRICES_PUSH: lambda content: PushDayAheadPrices(block_from_json(content)),
    PAID_PUSH: lambda content: PushPayment(payment_from_json(content)),
    LINK_PUSH: _link_pushed,
}


def _settings_within(content: Mapping[str, object]) -> CompanySettings | None:
    settings = content.get("settings")
    return None if settings is None else settings_from_json(settings)


def _object(data: str | None) -> Mapping[str, object]:
    """Return the object that a JSON text is, an empty one where it is none; numbers keep their digits."""
    try:
        content = json.loads(data or "", parse_float=Decimal)
        json.dumps(content, ensure_ascii=False, default=str).encode()  # half a surrogate pair could not be kept
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _status(content: Mapping[str, object]) -> LinkState | None:
    status = content.get("status")
    return STATES.get(status.lower()) if isinstance(status, str) else None


def _words(content: Mapping[str, object], name: str) -> str | None:
    text = content.get(name)
    return text[:TEXT_LENGTH] if isinstance(text, str) and text.strip() else None


def _boolean(content: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = content.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")  # noqa: TRY004  # as above
    return value


def _percentage(value: object) -> Decimal:
    """Return a percentage from its digits, with at most four places: endless ones would fill the memory when shown."""
    if value is None:
        return PERCENT
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or not 0 <= number <= PERCENT:
        raise ValueError("refundPercentage must be between 0 and 100")
    if int(number.as_tuple().exponent) < -PERCENTAGE_PLACES:
        raise ValueError(f"refundPercentage must have at most {PERCENTAGE_PLACES} decimal places")
    return number


def _dump(content: Mapping[str, object]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)
