"""What a status document says in words, and which of it is another than a moment ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is another than before. bad: something is at fault."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """What one part of a station is. bad: it is at fault."""

    text: str
    bad: bool = False


def between(before: Status, now: Status) -> Iterator[Change]:
    """Yield what changed between two status documents; an empty one is of an agent that does not answer."""
    if not now:
        if before:
            yield Change("the agent does not answer", bad=True)
        return
    old, new = words(before), words(now)
    if not old:
        yield Change(f"the agent answers, version {now['station']['version']}")
    for part, word in new.items():
        if old.get(part) != word:
            yield Change(f"{part}: {word.text}", bad=word.bad)


def words(status: Status) -> dict[str, Word]:
    """Return what each part of a station is, without what changes all the time; empty for an empty document."""
    if not status:
        return {}
    parts = {
        "cloud": cloud(status["cloud"]),
        "company": company(status["company"]),
        "card reader": device(status["rfid"]),
        "ledger": device(status.get("ledger", {"ok": True})),
    }
    for connector in status["connectors"]:
        name = f"connector {connector['id']}"
        parts |= {
            name: shown(connector),
            f"{name} meter": device(connector["meter"]),
            f"{name} controller": controller(connector["evse"]),
            f"{name} session": session(connector),
        }
    return parts


def cloud(view: Status) -> Word:
    """Return the link to the central system in words."""
    if view["state"] != "connected":
        return Word(f"{view['state']}: {view['last_error']}" if view["last_error"] else view["state"], bad=True)
    registration = view["registration"] or "not booted"
    return Word(f"{view['state']} with {view['protocol']}, {registration}", bad=registration != "Accepted")


def company(view: Status) -> Word:
    """Return the company link in words."""
    parts = (view["code"] or "", view["state"], view["name"] or "", view["reason"] or "")
    return Word(" ".join(filter(None, parts)), bad=view["state"] in {"rejected", "unsupported"})


def device(view: Status) -> Word:
    """Return whether a device is well."""
    return Word("ok" if view["ok"] else view.get("last_error") or "not heard yet", bad=not view["ok"])


def controller(view: Status) -> Word:
    """Return what a controller shows of the car and offers it."""
    if not view["ok"]:
        return device(view)
    limit = view["current_limit_a"]
    offer = "" if limit is None else f", offers {limit:g} A" if limit else ", offers nothing"
    faults = f", {', '.join(view['faults'])}" if view["faults"] else ""
    return Word(f"pilot {view['state'] or '-'}{offer}{faults}", bad=bool(view["faults"]))


def shown(connector: Status) -> Word:
    """Return the status that is shown to the driver and the central system."""
    error = connector["error_code"]
    text = connector["status"] or "not known yet"
    wrong = error not in {None, "NoError"}
    return Word(f"{text} ({error})" if wrong else text, bad=wrong)


def session(connector: Status) -> Word:
    """Return the session of a connector, without its energy."""
    view = connector["session"]
    if view is not None:
        number = view["transaction_id"]
        transaction = "no transaction number" if number is None else f"transaction {number}"
        return Word(f"{view['state']}, card {view['id_tag']}, {transaction}")
    waiting = connector.get("waiting")
    return Word("none" if waiting is None else f"none, card {waiting['id_tag']} waits for the {waiting['for']}")
