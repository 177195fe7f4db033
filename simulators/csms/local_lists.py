"""What a station's local list has to be after all that it was sent, and where its answers say something else.

Source: OCPP 1.6 ed. 2, sections 5.10, 5.15, 6.41 and 7.47; errata 3.52.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from simulators.csms.state import JsonObject, Station

ACCEPTED, FAILED, MISMATCH, UNSUPPORTED = "Accepted", "Failed", "VersionMismatch", "NotSupported"
NO_LIST: Final = -1
#: Key -> what it bounds.
PER_REQUEST, IN_ALL = "SendLocalListMaxLength", "LocalAuthListMaxLength"


def sent(station: Station, payload: JsonObject, answer: JsonObject) -> Iterator[str]:
    """Yield what is wrong with the answer to a SendLocalList, and take note of the list that the station has now."""
    status = str(answer.get("status"))
    full = payload.get("updateType") == "Full"
    entries = payload.get("localAuthorizationList") or []
    what = f"SendLocalList {'Full' if full else 'Differential'} with version {payload.get('listVersion')}"
    wrong = dict(_expected(station, payload, full=full))
    if wrong and status not in {*wrong, UNSUPPORTED, FAILED}:
        expected, why = next(iter(wrong.items()))
        yield f"answers {what} by {status}: {why}, so {expected} is right"
    if full and status == MISMATCH:
        yield f"answers {what} by {MISMATCH}, which only a differential one can have"
    if status == ACCEPTED:
        kept = {} if full else dict(station.local_list)
        station.local_list = _applied(kept, entries)
        station.list_version = payload["listVersion"]


def version_told(station: Station, answer: JsonObject) -> Iterator[str]:
    """Yield where a GetLocalListVersion says something else than was sent; where nothing was, any is right."""
    told = answer.get("listVersion")
    if not isinstance(told, int) or told == NO_LIST or station.list_version is None:
        return
    expected = station.list_version if station.local_list else 0
    if told != expected:
        yield f"says that its local list has version {told}, it was sent {expected}"


def next_version(station: Station) -> int:
    """Return the version of the next list: one more than was sent, else one that is later than a forgotten one."""
    return int(datetime.now(UTC).timestamp()) % 10**9 if station.list_version is None else station.list_version + 1


def _expected(station: Station, payload: JsonObject, *, full: bool) -> Iterator[tuple[str, str]]:
    """Yield each answer that a request cannot do without, and the reason."""
    version, entries = payload.get("listVersion", 0), payload.get("localAuthorizationList") or []
    tags = [_folded(entry) for entry in entries]
    if version <= 0:
        yield FAILED, f"{version} is no version of a list"
    elif not full and station.list_version is not None and version <= station.list_version:
        yield MISMATCH, f"it has version {station.list_version}"
    if len(set(tags)) < len(tags):
        yield FAILED, "a card is in it twice"
    if full and any("idTagInfo" not in entry for entry in entries):
        yield FAILED, "an entry has no idTagInfo"
    for key, count in (
        (PER_REQUEST, len(entries)),
        (IN_ALL, len(_applied({} if full else station.local_list, entries))),
    ):
        most = station.keys.get(key, "")
        if most.isdecimal() and count > int(most):
            yield FAILED, f"{count} entries are more than {key}"


def _applied(old: Mapping[str, JsonObject], entries: Sequence[JsonObject]) -> dict[str, JsonObject]:
    new = dict(old)
    for entry in entries:
        if "idTagInfo" in entry:
            new[_folded(entry)] = entry["idTagInfo"]
        else:
            new.pop(_folded(entry), None)
    return new


def _folded(entry: JsonObject) -> str:
    return str(entry.get("idTag", "")).upper()
