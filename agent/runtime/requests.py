"""What the control socket may be asked: a request's members checked, and the command of the core that they come to.

The command line uses the same checks, so that a wrong argument is told without a daemon. Errors are ValueError with
words for the person who typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final, NoReturn, TypeAlias

from agent.buffer.annotation import Annotation, Change
from agent.core.card import CardKind, Limit
from agent.core.card_ids import ema_id, limit, number, uid
from agent.core.commands import (
    ActivateCard,
    BlockCard,
    Command,
    DeactivateCard,
    LearnCard,
    LinkCompany,
    PutCard,
    RemoteStart,
    RemoveCard,
    ReplaceCard,
    StopLearning,
    StopSession,
    UnblockCard,
    UnlinkCompany,
)
from agent.core.model import EvseId, IdToken, Profile
from agent.statement.month import Month, month_of

Request: TypeAlias = Mapping[str, object]

SOCKET: Final = "control.sock"
"""Name of the control socket in the state directory."""
TEXT_LENGTH: Final = 100
"""Names, numbers and reasons; enough for a line on a screen."""
SHOWN: Final = 40
"""Characters of a wrong value that a message repeats."""
VALUE_LENGTH: Final = 500
"""OCPP 1.6 ed. 2, section 7.29 (KeyValue)."""
STATUS: Final = "status"
RESEND: Final = "resend"
ANNOTATE: Final = "annotate"
OF_SESSIONS: Final = (RESEND, ANNOTATE)
NOTE_LENGTH: Final = 255
ODOMETER: Final = re.compile("[0-9]{1,7}")
"""Whole kilometres alone: in 48.123 one country reads a point and another thousands."""
CLEARABLE: Final = {"odometer": "odometer_km", "note": "note"}
"""What may be taken away from a session again, as it is typed, and as documents have it."""
DELIVER: Final = "deliver"
DIAGNOSTICS: Final = "diagnostics"
SESSION_ID: Final = re.compile(r"[0-9a-f-]{36}")
COMPANY_CODE: Final = re.compile(r"[A-Z0-9-]{4,36}")


class Refused(ValueError):
    """A request is well formed and is not granted; the command line ends with status 1, not 2."""


@dataclass(frozen=True, slots=True)
class SettingRequest:
    """A configuration key is to be changed; value None: back to what it was before it was ever changed."""

    key: str
    value: str | None


def id_token(text: str) -> IdToken:
    """Return the id token that somebody typed, as readers report cards. Raises: ValueError."""
    return uid(text)


def company_code(text: str) -> str:
    """Return a company code in upper case (contract, section 5). Raises: ValueError."""
    code = text.strip().upper()
    if not COMPANY_CODE.fullmatch(code):
        _refuse(f"{text!r} is not a company code: 4 to 36 letters A-Z, digits and hyphens, as the employer gave it")
    return code


def session_of(request: Request) -> str:
    """Return the id of the session that a request is about. Raises: ValueError."""
    session = request.get("session")
    if not isinstance(session, str) or not SESSION_ID.fullmatch(session):
        _refuse("session: give the whole id, as `wallbox-agent sessions list --json` has it")
    return session


def annotation_of(request: Request) -> Change:
    """Return what a request makes of what stands beside a session. Raises: ValueError."""
    odometer = None if request.get("odometer") is None else _odometer(request["odometer"])
    note = None if request.get("note") is None else _note(request["note"])
    clear = request.get("clear") or []
    if not isinstance(clear, list) or any(not isinstance(name, str) or name not in CLEARABLE for name in clear):
        _refuse(f"clear is {clear!r}, allowed are {' and '.join(CLEARABLE)}")
    for name, given in (("odometer", odometer), ("note", note)):
        if given is not None and name in clear:
            _refuse(f"{name} is given, and to be cleared: leave one of the two out")
    if odometer is None and note is None and not clear:
        _refuse("nothing to add: give an odometer reading, a note, or what to clear")
    return Change(Annotation(odometer, note), frozenset(CLEARABLE[name] for name in clear))


def _odometer(typed: object) -> Decimal:
    if not isinstance(typed, str) or not ODOMETER.fullmatch(typed.strip()):
        _refuse(f"odometer is {str(typed)[:SHOWN]!r}, allowed are whole km from 0 to 9999999, digits alone, like 48123")
    return Decimal(int(typed))


def _note(typed: object) -> str:
    if not isinstance(typed, str) or not typed.strip():
        _refuse("note is empty: write something, or clear the note")
    note = typed.strip()
    if not note.isprintable():
        _refuse("note must be one line without control characters")
    if len(note) > NOTE_LENGTH:
        _refuse(f"note has {len(note)} characters, at most {NOTE_LENGTH} are allowed")
    return note


def delivery_of(request: Request, now: datetime, zone: tzinfo) -> tuple[Month, str | None]:
    """Return the month whose statement is to be delivered, and to whom, None for all. Raises: ValueError."""
    return begun(_text(request, "month"), now, zone), _optional(request, "name")


def begun(typed: str, now: datetime, zone: tzinfo) -> Month:
    """Return a month that was typed, and has begun. Raises: ValueError."""
    try:
        month = month_of(typed)
    except ValueError as error:
        message = f"{typed!r} is no month: write one like 2026-11, or `compare`"
        raise ValueError(message) from error
    if month.begin(zone) > now:
        _refuse(f"{month} has not begun yet: name a month that has")
    return month


def command_of(request: Request) -> Command | SettingRequest:
    """Return the command that a request asks for, or the key that it changes. Raises: ValueError."""
    name = request.get("command")
    if not isinstance(name, str) or (name not in BUILDERS and name not in SETTINGS):
        known = ", ".join((STATUS, DELIVER, *OF_SESSIONS, *BUILDERS, *SETTINGS))
        _refuse(f"unknown command {name!r}: known are {known}")
    if name in SETTINGS:
        return SettingRequest(_text(request, "key"), _value(request) if name == CONFIG_SET else None)
    return BUILDERS[name](request)


def _link(request: Request) -> Command:
    return LinkCompany(company_code(_text(request, "code")))


def _unlink(_request: Request) -> Command:
    return UnlinkCompany()


def _start(request: Request) -> Command:
    evse = None if request.get("connector") is None else _connector(request)
    return RemoteStart(id_token(_text(request, "card")), evse)


def _stop(request: Request) -> Command:
    return StopSession(_connector(request))


def _put_card(request: Request) -> Command:
    profile = _optional(request, "profile") or Profile.FLEET.value
    if profile not in set(Profile):
        _refuse(f"profile is {profile!r}, allowed are {' and '.join(Profile)}")
    contract = _optional(request, "ema_id")
    return PutCard(
        id_token(_text(request, "uid")),
        Profile(profile),
        number=_number(request),
        ema_id=None if contract is None else ema_id(contract),
        name=_optional(request, "name"),
        kind=_kind(request),
        valid_from=_limit(request, "valid_from"),
        valid_until=_limit(request, "valid_until"),
    )


def _block_card(request: Request) -> Command:
    return BlockCard(id_token(_text(request, "uid")), _optional(request, "reason"))


def _unblock_card(request: Request) -> Command:
    return UnblockCard(id_token(_text(request, "uid")))


def _remove_card(request: Request) -> Command:
    return RemoveCard(id_token(_text(request, "uid")))


def _deactivate_card(request: Request) -> Command:
    return DeactivateCard(id_token(_text(request, "uid")), _optional(request, "reason"))


def _replace_card(request: Request) -> Command:
    old, new = id_token(_text(request, "uid")), id_token(_text(request, "new_uid"))
    return ReplaceCard(old, new, _number(request), _optional(request, "reason"))


def _activate_card(request: Request) -> Command:
    return ActivateCard(_text(request, "number"))


def _learn_card(request: Request) -> Command:
    return LearnCard(_text(request, "learner"))


def _stop_learning(request: Request) -> Command:
    return StopLearning(_text(request, "learner"))


#: Name of a request -> what builds its command.
BUILDERS: Final[Mapping[str, Callable[[Request], Command]]] = {
    "link": _link,
    "unlink": _unlink,
    "start": _start,
    "stop": _stop,
    "cards add": _put_card,
    "cards block": _block_card,
    "cards unblock": _unblock_card,
    "cards remove": _remove_card,
    "cards deactivate": _deactivate_card,
    "cards replace": _replace_card,
    "cards activate": _activate_card,
    "cards learn": _learn_card,
    "cards learn-stop": _stop_learning,
}
CONFIG_SET: Final = "config set"
CONFIG_RESET: Final = "config reset"
SETTINGS: Final = (CONFIG_SET, CONFIG_RESET)


def _connector(request: Request) -> EvseId:
    number = request.get("connector")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        _refuse(f"connector is {number!r}, allowed are the numbers that `wallbox-agent status` shows")
    return EvseId(number)


def _kind(request: Request) -> CardKind | None:
    kind = _optional(request, "kind")
    if kind is not None and kind not in set(CardKind):
        _refuse(f"kind is {kind!r}, allowed are {', '.join(CardKind)}")
    return None if kind is None else CardKind(kind)


def _limit(request: Request, member: str) -> Limit:
    text = _optional(request, member)
    if text is None:
        return None
    try:
        return limit(text)
    except ValueError as error:
        message = f"{member}: {error}"
        raise ValueError(message) from error


def _number(request: Request) -> str | None:
    text = _optional(request, "number")
    return None if text is None else number(text)


def _optional(request: Request, member: str) -> str | None:
    return None if request.get(member) is None else _text(request, member)


def _text(request: Request, member: str) -> str:
    value = request.get(member)
    if not isinstance(value, str) or not value.strip():
        _refuse(f"{member} is missing")
    if not value.isprintable() or len(value) > TEXT_LENGTH:
        _refuse(f"{member} must be one line of at most {TEXT_LENGTH} characters")
    return value.strip()


def _value(request: Request) -> str:
    """Return a setting's new value, which may be empty: a list without members."""
    value = request.get("value")
    if not isinstance(value, str):
        _refuse("value is missing")
    if not value.isprintable():
        _refuse("value must be one line without control characters")
    if len(value) > VALUE_LENGTH:
        _refuse(f"value has {len(value)} characters, at most {VALUE_LENGTH} are allowed")
    return value


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
