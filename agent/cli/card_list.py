"""``cards list`` and ``cards distribution``: the cards that the ledger has, and what came of those that were sent."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context
    from agent.core.card import Distribution, Standing
    from agent.core.state import Card

ACTIVE: Final = "active"
BLOCKED: Final = "blocked"
INACTIVE: Final = "inactive"


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    list_parser = commands.add_parser("list", parents=[shared], allow_abbrev=False, help="all cards known locally")
    list_parser.set_defaults(run=list_cards)
    sent_parser = commands.add_parser(
        "distribution", parents=[shared], allow_abbrev=False, help="cards that the central system sent, taken or not"
    )
    sent_parser.set_defaults(run=show_distribution)


def list_cards(context: Context, _options: argparse.Namespace) -> int:
    """Print all cards, from the ledger, with or without a daemon."""
    from agent.buffer.ledger import cards as known
    from agent.cli.ledger import read

    station = context.config().station
    cards = read(station.state_dir, known)

    def text() -> str:
        from agent.cli.render import local_zone
        from agent.cli.render_ledger import cards_table

        zone = local_zone(station.timezone)
        return cards_table([{**to_json(card), "reason": "; ".join(_remarks(card, zone)) or None} for card in cards])

    return context.emit([to_json(card) for card in cards], text)


def show_distribution(context: Context, _options: argparse.Namespace) -> int:
    """Print what came of the cards that the central system sent."""
    from agent.buffer.card_ledger import distribution
    from agent.buffer.ledger import cards as known
    from agent.cli.ledger import read
    from agent.core.card import Distribution

    station = context.config().station
    (last,) = read(station.state_dir, lambda connection: (distribution(connection),)) or (Distribution(),)
    taken = sum(card.standing.sent for card in read(station.state_dir, known))

    def text() -> str:
        from agent.cli.render import local_zone

        return _distribution_text(last, taken, local_zone(station.timezone))

    return context.emit(distribution_to_json(last, taken), text)


def status_of(card: Card) -> str:
    """Return the status of a card: active, blocked (which can be lifted), or inactive."""
    from agent.core.card import Stage

    if card.standing.stage in {Stage.DEACTIVATED, Stage.NEW}:
        return INACTIVE
    return BLOCKED if card.blocked is not None or card.standing.stage is Stage.BLOCKED else ACTIVE


def to_json(card: Card) -> dict[str, object]:
    """Return a card as ``cards list --json`` has it (contract, section 3).

    What only a fleet says of cards is there where it says something: stage tells a new card from one that is out of use
    for good.
    """
    from agent.core.card import Standing

    usual, standing = _standing(Standing()), _standing(card.standing)
    return {
        "id_tag": card.id_token.value,
        "card": card.number,
        "ema_id": card.ema_id,
        "name": card.name,
        "profile": card.profile.value,
        "status": status_of(card),
        "reason": _reason(card),
        **{name: said for name, said in standing.items() if said != usual[name]},
    }


def _standing(standing: Standing) -> dict[str, object]:
    return {
        "kind": standing.kind.value,
        "stage": standing.stage.value,
        "valid_from": _stamp(standing.valid_from),
        "valid_until": _stamp(standing.valid_until),
        "replaces": None if standing.replaces is None else standing.replaces.value,
        "replaced_by": None if standing.replaced_by is None else standing.replaced_by.value,
        "sent": standing.sent,
    }


def distribution_to_json(last: Distribution, taken: int) -> dict[str, object]:
    """Return the document of ``cards distribution --json``."""
    return {
        "version": last.version,
        "at": None if last.at is None else _stamp(last.at.wall),
        "taken": taken,
        "failed": [
            {"id_tag": each.id_token.value if each.id_token else None, "reason": each.reason, "tries": each.tries}
            for each in last.failed
        ],
    }


def _reason(card: Card) -> str | None:
    """Return why a card is blocked or deactivated, None where it is neither, or nobody said."""
    from agent.core.card import Stage

    if card.standing.stage is Stage.DEACTIVATED or card.blocked is None:
        return card.standing.reason if card.standing.stage in {Stage.DEACTIVATED, Stage.BLOCKED} else None
    return card.blocked or None


def _remarks(card: Card, zone: tzinfo) -> Iterator[str]:
    """Yield what a person should know of a card beside its status."""
    from agent.core.card import Stage

    standing, reason = card.standing, _reason(card)
    if standing.stage is Stage.DEACTIVATED:
        yield f"deactivated for good{f': {reason}' if reason else ''}"
    elif standing.stage is Stage.NEW:
        yield "not activated yet"
    if reason and standing.stage is not Stage.DEACTIVATED:
        yield reason
    yield from _circumstances(standing, zone)


def _circumstances(standing: Standing, zone: tzinfo) -> Iterator[str]:
    """Yield what a card is, from when to when it is good, and what came before and after it."""
    from agent.core.card import CardKind

    if standing.kind is not CardKind.CARD:
        yield standing.kind.value
    if standing.valid_from is not None:
        yield f"from {_local(standing.valid_from, zone)}"
    if standing.valid_until is not None:
        yield f"until {_local(standing.valid_until, zone, last=True)}"
    if standing.replaces is not None:
        yield f"replaces {standing.replaces.value}"
    if standing.replaced_by is not None:
        yield f"replaced by {standing.replaced_by.value}"


def _distribution_text(last: Distribution, taken: int, zone: tzinfo) -> str:
    if last.at is None:
        return "the central system has sent no cards"
    rows: Sequence[Mapping[str, object]] = [
        {"id_tag": each.id_token.value if each.id_token else "-", "why": each.reason, "tries": each.tries}
        for each in last.failed
    ]
    head = f"version {last.version} of {_local(last.at.wall, zone)}: {taken} taken, {len(rows)} not"
    if not rows:
        return head
    from agent.cli.layout import plain, table

    body = [(plain(row, "id_tag"), plain(row, "tries"), plain(row, "why")) for row in rows]
    return f"{head}\n\n{table(('UID', 'TRIES', 'WHY NOT'), body, right=(1,))}"


def _local(moment: datetime, zone: tzinfo, *, last: bool = False) -> str:
    """Return a moment in local time, a midnight as its day; last: the day before, which is the last one."""
    local = moment.astimezone(zone)
    if local.time().replace(microsecond=0) != datetime.min.time():
        return f"{local:%Y-%m-%d %H:%M}"
    return f"{local - timedelta(days=1) if last else local:%Y-%m-%d}"


def _stamp(moment: datetime | None) -> str | None:
    """Return RFC 3339 in UTC."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
