"""``start``: a session from here. Its acceptance only means that it is tried, so what comes of it is waited for."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from agent.cli.context import REFUSED, USAGE, CommandFailed, connector_number

if TYPE_CHECKING:
    from agent.cli.client import Connection
    from agent.cli.context import Commands, Context
    from agent.cli.layout import Document
    from agent.core.model import IdToken
    from agent.runtime.config import AgentConfig

INTERVAL_S: Final = 0.25
LOOKS: Final = 40
"""So often the station is looked at: for ten seconds, in which a car that wants to charge begins to."""


class Stage(StrEnum):
    """How far a start has come."""

    CHARGING = "charging"
    STARTED = "started"
    WAITING_FOR_CAR = "waiting-for-car"
    WAITING = "waiting"
    REFUSED = "refused"
    ENDED = "ended"


PLUGGED: Final = "Preparing"
FREE: Final = frozenset({"Available", PLUGGED})
"""What a connector shows on which a session may begin, without a car and with one."""
RESERVED: Final = "Reserved"
#: Stages after which nothing more is to be seen soon.
SETTLED: Final = frozenset({Stage.CHARGING, Stage.WAITING_FOR_CAR, Stage.REFUSED, Stage.ENDED})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a status shows of a start; connector, session: None where there is none (any more)."""

    stage: Stage
    connector: int | None = None
    session: str | None = None
    phase: str = ""


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("start", parents=[shared], allow_abbrev=False, help="start a session from here")
    parser.add_argument(
        "--connector", type=connector_number, metavar="N", help="1 or 2; without it the one that is free"
    )
    parser.add_argument("--card", required=True, metavar="UID", help="the card that it is for")
    parser.set_defaults(run=start)


def start(context: Context, options: argparse.Namespace) -> int:
    """Ask for a session, and tell what came of it within ten seconds."""
    from agent.cli.cards import token
    from agent.cli.client import Connection

    card, config = token(options.card), context.config()
    with Connection(config.station.state_dir) as daemon:
        status = daemon.status()
        before = _sessions(status)
        _check_connector(status, options.connector)
        daemon.ask({"command": "start", "connector": options.connector, "card": card.value})
        seen = _followed(daemon, card, before)
    if seen.stage in {Stage.REFUSED, Stage.ENDED}:
        raise CommandFailed(_refusal(config, card, seen), status=REFUSED)
    within = _plug_in_within(config) if seen.stage is Stage.WAITING_FOR_CAR else None
    document = {
        "result": "accepted",
        "state": seen.stage.value,
        "connector": seen.connector,
        "session": seen.session,
        "plug_in_within_s": within,
    }
    return context.emit(document, lambda: _words(seen, within))


def _check_connector(status: Document, wanted: int | None) -> None:
    """Refuse a connector that is not there, or not the only one that may be meant. Raises: CommandFailed."""
    from agent.cli.layout import entries, plain

    connectors = entries(status, "connectors")
    if wanted is not None and wanted not in {connector.get("id") for connector in connectors}:
        there = " and ".join(plain(connector, "id") for connector in connectors)
        raise CommandFailed(f"there is no connector {wanted}: the station has {there}", status=USAGE)
    free = [c for c in connectors if c.get("status") in FREE and not (c.get("session") or c.get("waiting"))]
    free = free or [c for c in connectors if c.get("status") == RESERVED]  # for which card, the agent knows
    plugged = [connector for connector in free if connector.get("status") == PLUGGED]
    meant = [plain(connector, "id") for connector in plugged or free]
    if wanted is None and len(meant) > 1:
        words = f"connectors {' and '.join(meant)} are free: say which one with `--connector N`"
        raise CommandFailed(words, status=USAGE)
    if wanted is None and connectors and not free:
        states = ", ".join(f"{plain(connector, 'id')} {_busy_with(connector)}" for connector in connectors)
        raise CommandFailed(f"no connector is free: {states}; look at `wallbox-agent status`")


def _busy_with(connector: Document) -> str:
    from agent.cli.layout import mapping, plain

    waiting = mapping(connector, "waiting")
    if waiting and not connector.get("session"):
        return f"is kept for card {plain(waiting, 'id_tag')}"
    return f"is {plain(connector, 'status') or 'not known yet'}"


def _followed(daemon: Connection, card: IdToken, before: frozenset[object]) -> Seen:
    """Return how far the start has come in the end; before: ids of the sessions that ran already."""
    seen = _seen(daemon.status(), card, before)
    for _ in range(LOOKS):
        if seen.stage in SETTLED:
            break
        daemon.pause(INTERVAL_S)
        now = _seen(daemon.status(), card, before)
        vanished = now.stage is Stage.REFUSED and seen.session is not None
        seen = dataclasses.replace(seen, stage=Stage.ENDED) if vanished else now
    return seen


def _seen(status: Document, card: IdToken, before: frozenset[object]) -> Seen:
    """Return what one status shows; neither a session nor a token that waits: it was refused."""
    from agent.cli.layout import entries, mapping, plain

    for connector in entries(status, "connectors"):
        number, session, waiting = connector.get("id"), mapping(connector, "session"), mapping(connector, "waiting")
        where = number if isinstance(number, int) else None
        if session.get("id_tag") == card.masked and session.get("id") not in before:
            phase = plain(session, "state")
            stage = {"charging": Stage.CHARGING, "ending": Stage.ENDED}.get(phase, Stage.STARTED)
            return Seen(stage, where, plain(session, "id"), phase)
        if waiting.get("id_tag") == card.masked:
            waits_for = plain(waiting, "for")
            return Seen(Stage.WAITING_FOR_CAR if waits_for == "car" else Stage.WAITING, where, None, waits_for)
    return Seen(Stage.REFUSED)


def _words(seen: Seen, within: int | None) -> str:
    from agent.cli.render import WAITING

    where = f"connector {seen.connector}"
    match seen.stage:
        case Stage.CHARGING:
            return f"charging on {where}"
        case Stage.WAITING_FOR_CAR:
            limit = f" within {within} s" if within else ""
            return f"waiting for the car: plug it in at {where}{limit}"
        case Stage.WAITING:
            return f"accepted; {where} waits for {WAITING.get(seen.phase, seen.phase)}: look at `wallbox-agent status`"
        case _:
            return f"the session on {where} has begun; the car draws nothing yet ({seen.phase})"


def _refusal(config: AgentConfig, card: IdToken, seen: Seen) -> str:
    if seen.stage is Stage.ENDED:
        why = _verdict(config, card) or "the log has the reason: `journalctl -u wallbox-agent`"
        return f"the session on connector {seen.connector} began and was ended at once: {why}"
    why = _verdict(config, card) or "nobody accepts it; the log has the reason: `journalctl -u wallbox-agent`"
    return f"card {card.value} is refused: {why}"


def _verdict(config: AgentConfig, card: IdToken) -> str | None:
    """Return why a central system does not accept a card, as far as it is remembered."""
    from agent.buffer.ledger import last_verdict
    from agent.cli.ledger import read
    from agent.core.authorization import REFUSALS

    (last,) = read(config.station.state_dir, lambda connection: (last_verdict(connection, card),)) or (None,)
    return None if last is None else REFUSALS.get(last.info.status)


def _plug_in_within(config: AgentConfig) -> int | None:
    """Return the seconds that a car is waited for; None: without end."""
    from agent.cli.keys import kept_by

    settings = kept_by(config).overrides.over(config.policy().settings)
    return settings.connection_timeout_s or None


def _sessions(status: Document) -> frozenset[object]:
    from agent.cli.layout import entries, mapping

    return frozenset(mapping(connector, "session").get("id") for connector in entries(status, "connectors"))
