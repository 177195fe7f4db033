"""What is in a support bundle: configuration, status, log, versions, sessions, queue; nothing secret or private."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from agent.buffer.ledger import cards, kept, sessions, to_json
from agent.buffer.reader import LedgerMissing, open_reader
from agent.core.errors import JournalError
from agent.core.model import Profile
from agent.maintenance.bundle import Confidential
from agent.ocpp.dialect import StationView
from agent.ocpp.v16.configuration import KEYS
from agent.runtime.config import AgentConfig, show
from agent.runtime.foundation import version
from agent.runtime.keys import shown
from agent.runtime.logs import last_four

SESSIONS: Final = 50
"""So many sessions, the newest ones."""
LOOKED_AT: Final = 4 * SESSIONS
"""Among so many; those of private cards do not count."""
LIBRARIES: Final = ("aiosqlite", "ecdsa", "ocpp", "pydantic", "pymodbus", "pyserial", "structlog", "websockets")
SYSTEM: Final = Path("/etc/os-release")
PRIVATE_CARDS: Final = (
    "SELECT DISTINCT json_extract(f.json, '$.id_token.value') FROM session AS s JOIN fact AS f ON f.seq = s.start_fact"
    " WHERE s.profile = 'private'"
)
PRIVATE_SESSIONS: Final = "SELECT id FROM session WHERE profile = 'private'"
QUEUE: Final = (
    "SELECT o.destination, o.state, f.kind, count(*) AS messages, min(f.wall) AS oldest, max(o.attempts) AS attempts,"
    " max(o.error) AS error FROM outbox AS o JOIN fact AS f ON f.seq = o.fact"
    " WHERE o.state <> 'confirmed' GROUP BY o.destination, o.state, f.kind"
)


@dataclass(frozen=True, slots=True)
class Live:
    """What only a running daemon knows; status: the document, None without one; more: other texts, by name."""

    status: Mapping[str, object] | None = None
    log: Sequence[str] = ()
    before: Sequence[str] = ()
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is asked for, UTC; None: no limit."""

    since: datetime | None = None
    until: datetime | None = None


def texts(config: AgentConfig, live: Live, now: datetime, window: Window | None = None) -> dict[str, str]:
    """Return the texts of a bundle by their names. Reads the ledger; what cannot be read is left out and said so."""
    window, faults = window or Window(), list[str]()
    confidential = Confidential(secrets=frozenset(_secrets(config)))
    found: dict[str, str] = {}
    try:
        with open_reader(config.station.state_dir) as ledger:
            confidential = _confidential(ledger, confidential)
            found = _of_ledger(config, ledger, window)
    except LedgerMissing:
        faults.append("there is no ledger yet")
    except (JournalError, sqlite3.Error) as error:
        faults.append(f"the ledger cannot be read, so that no log can be given either: {error}")
        live = Live(live.status and {"cloud": live.status.get("cloud"), "ledger": live.status.get("ledger")})
    about = _about(config, now, window, running=live.status is not None, faults=faults)
    found |= {"about.json": _json(about), "configuration.toml": show(config)}
    if live.status is not None:
        found["status.json"] = _json(_without_private(live.status, confidential))
    logs = {"log.txt": live.log, "log-before.txt": live.before, **live.more}
    return {name: confidential.text(text) for name, text in found.items()} | {
        name: confidential.log(lines) for name, lines in logs.items() if lines
    }


def _about(
    config: AgentConfig, now: datetime, window: Window, *, running: bool, faults: Sequence[str]
) -> Mapping[str, object]:
    return {
        "station": config.station.id,
        "made_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "since": window.since and window.since.isoformat(),
        "until": window.until and window.until.isoformat(),
        "agent": version(),
        "running": running,
        "faults": list(faults),
        "python": sys.version,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "system": _system(),
        "libraries": dict(_libraries()),
    }


def _system() -> str | None:
    with suppress(OSError):
        for line in SYSTEM.read_text(encoding="utf-8").splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip('"')
    return None


def _libraries() -> Iterable[tuple[str, str]]:
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _secrets(config: AgentConfig) -> Iterable[str]:
    """Yield what is configured and must not be seen; tokens of files are read where they can be."""
    if config.password is not None:
        yield config.password.get_secret_value()
    for delivery in config.document.delivery:
        for path in (delivery.token_file, delivery.password_file):
            with suppress(OSError, UnicodeDecodeError):
                if path is not None:
                    yield path.read_text(encoding="utf-8").strip()


def _confidential(ledger: sqlite3.Connection, known: Confidential) -> Confidential:
    """Return what must stay here, with all private cards and their sessions that there ever were."""
    private = {card.id_token.value for card in cards(ledger) if card.profile is Profile.PRIVATE}
    private |= {value for (value,) in ledger.execute(PRIVATE_CARDS)}
    return Confidential(frozenset(private), frozenset(i for (i,) in ledger.execute(PRIVATE_SESSIONS)), known.secrets)


def _of_ledger(config: AgentConfig, ledger: sqlite3.Connection, window: Window) -> dict[str, str]:
    policy, changed = config.policy(), kept(ledger)
    station = StationView(len(config.connectors), changed.overrides.over(policy.settings), changed.company)
    keys = {key.name: shown(key, changed.overrides, station) for key in KEYS.values()}
    found = sessions(ledger, since=window.since, until=window.until, limit=LOOKED_AT)
    shared = [to_json(record) for record in found if record.profile is not Profile.PRIVATE][-SESSIONS:]
    queue = ledger.execute(QUEUE)
    names = [column[0] for column in queue.description]
    return {
        "configuration-keys.json": _json({n: {"value": k.value, "source": k.source.value} for n, k in keys.items()}),
        "sessions.json": _json([_masked(session) for session in shared]),
        "queue.json": _json([dict(zip(names, row, strict=True)) for row in queue]),
    }


def _masked(session: Mapping[str, object]) -> Mapping[str, object]:
    ids = {name: session.get(name) for name in ("id_tag", "card")}
    return {**session, **{name: last_four(one) if isinstance(one, str) else one for name, one in ids.items()}}


def _without_private(status: Mapping[str, object], confidential: Confidential) -> Mapping[str, object]:
    """Return the status without what it tells of a private card's session."""
    connectors = status.get("connectors")
    if not isinstance(connectors, list):
        return status
    return {**status, "connectors": [_connector(connector, confidential) for connector in connectors]}


def _connector(connector: object, confidential: Confidential) -> object:
    session = connector.get("session") if isinstance(connector, Mapping) else None
    if not isinstance(connector, Mapping) or not isinstance(session, Mapping):
        return connector
    private = session.get("id") in confidential.sessions
    return {**connector, "session": {"profile": "private"}} if private else connector


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
