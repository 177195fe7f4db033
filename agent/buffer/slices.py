"""The durable slices as rows: one per part that changes by itself, so that a changed card does not rewrite all."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agent.buffer.annotation import Annotation
from agent.buffer.codec import dump, load
from agent.core.booking import Reservation
from agent.core.card import Distribution
from agent.core.charging_profile import Installed
from agent.core.company import Company
from agent.core.facts import SCHEMA
from agent.core.maintenance_state import Jobs
from agent.core.model import EvseId
from agent.core.payment import Payment
from agent.core.security_model import Security
from agent.core.settings import Overrides
from agent.core.state import Availability, Cached, Card, Durable, IdSource, Left, Listed, ListVersion, Session, Tokens

if TYPE_CHECKING:
    from agent.buffer.database import Statement

SLICES: Final = "SELECT kind, key, schema, json FROM slice"
PUT: Final = "INSERT OR REPLACE INTO slice (kind, key, schema, json) VALUES (?, ?, ?, ?)"
DROP: Final = "DELETE FROM slice WHERE kind = ? AND key = ?"

#: kind of row -> its type; those of one row only have the empty key. Annotations are no part of the durable state.
KINDS: Final[Mapping[str, type]] = {
    "session": Session,
    "availability": Availability,
    "card": Card,
    "cache": Cached,
    "listed": Listed,
    "list-version": ListVersion,
    "distribution": Distribution,
    "overrides": Overrides,
    "company": Company,
    "ids": IdSource,
    "station": Availability,
    "left": Left,
    "annotation": Annotation,
    "payment": Payment,
    "charging-profile": Installed,
    "reservation": Reservation,
    "jobs": Jobs,
    "security": Security,
}
CARD: Final = "card"


def changes(before: Durable | None, after: Durable) -> list[Statement]:
    """Return what makes the rows those of ``after``; an object that is the same as before costs nothing."""
    known = {} if before is None else _groups(before)
    return [s for kind, rows in _groups(after).items() for s in _changed(kind, known.get(kind, {}), rows)]


def assembled(rows: Iterable[sqlite3.Row]) -> Durable | None:
    """Return the slices from the rows of ``SLICES``, None without any. Raises: JournalCorrupt."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for kind, key, schema, text in rows:
        found[kind][key] = load(KINDS[kind], schema, text)
    if not found:
        return None
    return Durable(
        sessions={EvseId(int(key)): session for key, session in found["session"].items()},
        availability={EvseId(int(key)): availability for key, availability in found["availability"].items()},
        tokens=Tokens(
            cards=found["card"],
            cache=found["cache"],
            listed=found["listed"],
            list_version=found["list-version"].get("", ListVersion()),
            distribution=found["distribution"].get("", Distribution()),
        ),
        overrides=found["overrides"].get("", Overrides()),
        company=found["company"].get("", Company()),
        ids=found["ids"].get("", IdSource()),
        station=found["station"].get("", Availability()),
        left={EvseId(int(key)): left for key, left in found["left"].items()},
        payments=found["payment"],
        profiles={int(key): installed for key, installed in found["charging-profile"].items()},
        reservations={int(key): reservation for key, reservation in found["reservation"].items()},
        jobs=found["jobs"].get("", Jobs()),
        security=found["security"].get("", Security()),
    )


def _groups(slices: Durable) -> dict[str, Mapping[Any, object]]:
    return {
        "session": slices.sessions,
        "availability": slices.availability,
        "card": slices.tokens.cards,
        "cache": slices.tokens.cache,
        "listed": slices.tokens.listed,
        "list-version": {"": slices.tokens.list_version},
        "distribution": {"": slices.tokens.distribution},
        "overrides": {"": slices.overrides},
        "company": {"": slices.company},
        "ids": {"": slices.ids},
        "station": {"": slices.station},
        "left": slices.left,
        "payment": slices.payments,
        "charging-profile": slices.profiles,
        "reservation": slices.reservations,
        "jobs": {"": slices.jobs},
        "security": {"": slices.security},
    }


def _changed(kind: str, before: Mapping[Any, object], after: Mapping[Any, object]) -> list[Statement]:
    if before is after:
        return []
    puts = [(PUT, (kind, str(k), SCHEMA, dump(v))) for k, v in after.items() if before.get(k) is not v]
    drops = [(DROP, (kind, str(k))) for k in before if k not in after]
    return [*puts, *drops]
