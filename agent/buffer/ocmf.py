"""Closed sessions as OCMF texts, signed with the station's key (Open Charge Metering Format 1.x, SAFE e.V.).

One text per session has its first and its last reading. It is made from the session's evidence record, so it can be
made again at any time, byte for byte. Format version 1.0 is written, since nothing of a later one is used: transparency
software that knows any 1.x reads it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final
from xml.sax.saxutils import escape

from agent.buffer.evidence import all_records
from agent.buffer.keyring import Stored
from agent.buffer.records import JsonObject, Kind
from agent.buffer.signing import ALGORITHM, Signer
from agent.core.facts import StartTrigger
from agent.core.instant import TimeStatus
from agent.core.model import Profile, Quality, StopReason

VERSION: Final = "1.0"
FORMAT: Final = "OCMF"
GATEWAY: Final = "wallbox-agent"
OBIS: Final = "01-00:01.08.00*FF"
"""Active energy import, total (1-0:1.8.0), in the form of OCMF 1.4 that older readers take too."""
TWO_PLACES: Final = -2
"""Exponent of the least places of a kWh that OCMF recommends."""
WHOLE_WH: Final = -3
"""Exponent of the places of a kWh that are billed."""

#: Why a session ended -> reason of its last reading (OCMF, table 7); an end that is not listed is plain.
ENDS: Final[Mapping[str, str]] = {
    StopReason.LOCAL: "L",
    StopReason.REMOTE: "R",
    StopReason.DE_AUTHORIZED: "R",
    StopReason.UNLOCK_COMMAND: "R",
    StopReason.HARD_RESET: "R",
    StopReason.SOFT_RESET: "R",
    StopReason.EMERGENCY_STOP: "A",
    StopReason.REBOOT: "A",
    StopReason.POWER_LOSS: "P",
}
#: Quality of a session -> (state of the meter, what is not to be billed) at its last reading (OCMF, tables 7 and 10),
#: the worst first; a mark that is not listed is another error.
STATES: Final[Mapping[str, tuple[str, str]]] = {
    Quality.METER_CHANGED: ("X", "E"),
    Quality.IMPLAUSIBLE: ("O", "E"),
    Quality.METER_GAP: ("T", "E"),
    Quality.RECONSTRUCTED: ("S", "t"),
    Quality.MEASURED: ("G", ""),
}
#: What began a session -> level and flags of its user (OCMF, tables 11, 13 and 14).
USERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    StartTrigger.CARD: ("HEARSAY", ("RFID_PLAIN",)),
    StartTrigger.REMOTE: ("TRUSTED", ("RFID_NONE", "OCPP_RS")),
    StartTrigger.INSTALLER: ("HEARSAY", ("RFID_NONE", "OCPP_NONE")),
}
#: What began a session other than a card -> kind of its id (OCMF, table 17); a card's follows from its length.
KINDS: Final[Mapping[str, str]] = {StartTrigger.REMOTE: "CENTRAL", StartTrigger.INSTALLER: "LOCAL"}
ISO14443: Final = re.compile(r"(?:[0-9A-F]{8}|[0-9A-F]{14})")
ISO15693: Final = re.compile(r"[0-9A-F]{16}")

SIGNED: Final = "SELECT text FROM signed_reading WHERE session = ? AND format = ? ORDER BY place"
KEEP: Final = "INSERT INTO signed_reading (session, place, format, text) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One OCMF text; own: the station signed it, and not the meter."""

    session: str
    text: bytes
    own: bool = True


def receipts(
    connection: sqlite3.Connection, signer: Signer, *, only: frozenset[str] | None = None, private: bool = False
) -> list[Receipt]:
    """Return the texts of an open ledger's closed sessions, in the order of their records.

    Texts that a meter signed are passed on as they are, in place of our own. only: ids of sessions; private: those of
    private cards too. Raises: KeyDamaged, JournalError.
    """
    records = all_records(connection)
    corrected = {r.session: r.body for r in records if r.body is not None and r.body.get("kind") == Kind.CORRECTION}
    found: list[Receipt] = []
    for page, body in enumerate(_sessions(records), start=1):
        session = body["session"]
        if (only is not None and session not in only) or (body["profile"] == Profile.PRIVATE and not private):
            continue
        passed = [Receipt(session, bytes(text), own=False) for (text,) in connection.execute(SIGNED, (session, FORMAT))]
        found += passed or [Receipt(session, receipt(body, corrected.get(session, body), page, signer))]
    return found


def receipt(body: JsonObject, times: JsonObject, page: int, signer: Signer) -> bytes:
    """Return the text of a session's record; times: the record that has them best; page: its place in the count T."""
    payload = _object(
        FV=_json(VERSION),
        GI=_json(GATEWAY),
        GS=_json(body["station"]),
        GV=_json(body["agent"]),
        PG=_json(f"T{page}"),
        **({} if body["meter_model"] is None else {"MM": _json(body["meter_model"])}),
        MS=_json(body["meter_serial"] or ""),
        **_user(body),
        **_place(body),
        RD=f"[{_begin(body, times)},{_end(body, times)}]",
        UN=_json(body["number"]),
    )
    signature = _object(
        SA=_json(ALGORITHM),
        SE=_json("hex"),
        SM=_json("application/x-der"),
        SD=_json(signer.sign(payload.encode()).upper()),
    )
    return f"{FORMAT}|{payload}|{signature}".encode()


def container(texts: Sequence[Receipt], public: bytes) -> bytes:
    """Return texts as the XML file that transparency software opens; public: the station's key in DER."""
    key = f'  <publicKey encoding="hex">{public.hex().upper()}</publicKey>\n'
    values = (
        f' <value transactionId="{number}">\n'
        f'  <signedData format="{FORMAT}" encoding="plain">{escape(one.text.decode())}</signedData>\n'
        f"{key if one.own else ''} </value>\n"
        for number, one in enumerate(texts, start=1)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<values>\n{"".join(values)}</values>\n'.encode()


def lines(texts: Sequence[Receipt]) -> bytes:
    """Return texts one after the other, each with a line's end; a meter's own may have more of them inside."""
    return b"".join(one.text + b"\n" for one in texts)


def keep(session: str, place: int, form: str, text: bytes) -> tuple[str, tuple[str, int, str, bytes]]:
    """Return the statement that keeps what a meter signed, byte for byte, before its session's end is committed.

    place: 0 for the beginning of the session, then in order; form: "OCMF", or the name of another one.
    """
    return KEEP, (session, place, form, text)


def _sessions(records: Sequence[Stored]) -> Iterator[JsonObject]:
    for record in records:
        if record.body is not None and record.body.get("kind") == Kind.SESSION:
            yield record.body


def _user(body: JsonObject) -> dict[str, str]:
    level, flags = USERS.get(body["trigger"], ("NONE", ()))
    id_tag = str(body["id_tag"])
    return {
        "IS": "true",
        "IL": _json(level),
        "IF": _json([*flags, "ISO15118_NONE", "PLMN_NONE"]),
        "IT": _json(KINDS.get(body["trigger"]) or _card_kind(id_tag.upper())),
        "ID": _json(id_tag),
    }


def _card_kind(uid: str) -> str:
    if ISO14443.fullmatch(uid):
        return "ISO14443"
    return "ISO15693" if ISO15693.fullmatch(uid) else "UNDEFINED"


def _place(body: JsonObject) -> dict[str, str]:
    if body["evse_id"]:
        return {"CT": _json("EVSEID"), "CI": _json(body["evse_id"])}
    return {"CT": _json("CBIDC"), "CI": _json(f"{body['station']} {body['connector']}")}


def _begin(body: JsonObject, times: JsonObject) -> str:
    """Return the first reading. It was taken when the session began, so relative time (R) says no more than I there."""
    told = times["started"]
    clock = TimeStatus.INFORMATIVE.value if told["clock"] == TimeStatus.RELATIVE else told["clock"]
    return _reading({**told, "clock": clock}, "B", _kwh(body["register_start_wh"], body["step_start_wh"]), ("G", ""))


def _end(body: JsonObject, times: JsonObject) -> str:
    marks = [*body["quality"]]
    known = [state for mark, state in STATES.items() if mark in marks]
    state = ("E", "E") if set(marks) - STATES.keys() or not known else known[0]
    value = _kwh(body["register_stop_wh"], body["step_stop_wh"])
    return _reading(times["stopped"], ENDS.get(body["stop_reason"], "E"), value, state)


def _reading(told: Mapping[str, str], reason: str, value: str, state: tuple[str, str]) -> str:
    """Return a reading with all its fields: some readers do not take them from the one before."""
    meter, unusable = state
    if told["clock"] == TimeStatus.UNKNOWN and "t" not in unusable:
        unusable += "t"
    return _object(
        TM=_json(f"{told['at'].replace('.', ',').removesuffix('Z')}+0000 {told['clock']}"),
        TX=_json(reason),
        RV=value,
        RI=_json(OBIS),
        RU=_json("kWh"),
        RT=_json("AC"),
        EF=_json(unusable),
        ST=_json(meter),
    )


def _kwh(register: str, step: str) -> str:
    """Return a register in kWh, with the places that the meter resolves: at least two, and no whole Wh is cut off.

    A register of binary fractions has more digits than it resolves; what is below is cut, as where it is billed.
    """
    kwh, resolved = Decimal(register).scaleb(-3), Decimal(step).scaleb(-3).adjusted()
    whole = kwh.normalize().as_tuple().exponent
    places = min(TWO_PLACES, resolved)
    if isinstance(whole, int) and places > whole:
        places = max(whole, min(places, WHOLE_WH))
    return f"{kwh.quantize(Decimal(1).scaleb(places), ROUND_FLOOR):f}"


def _object(**members: str) -> str:
    """Return a JSON object of members that are JSON already, in their order."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def _json(value: object) -> str:
    """Return ASCII without the separator of OCMF's sections."""
    return json.dumps(value, separators=(",", ":")).replace("|", "\\u007c")
