"""``sessions balance``: where the energy of a span of time went."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo
    from decimal import Decimal

    from agent.buffer.balance import Balance
    from agent.cli.context import Commands, Context

DESCRIPTION: Final = """\
For each connector and meter: the register at the first and at the last moment of the span that is on record, what of
the difference went into sessions, and what nobody is charged for (a car without a card, a lamp on the same meter).
The two make up the difference exactly. Another meter, or a register that was reset, begins another line."""


def register(verbs: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command below ``sessions``."""
    parser = verbs.add_parser(
        "balance",
        parents=[shared],
        allow_abbrev=False,
        help="sessions and unattributed energy against the meter's register",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--from", dest="since", metavar="DATE", help="from then on: 2026-11-21, 2026-11 or a time")
    parser.add_argument("--to", dest="until", metavar="DATE", help="until then; the day or month is included")
    parser.set_defaults(run=balance)


def balance(context: Context, options: argparse.Namespace) -> int:
    """Print the accounts."""
    from agent.buffer.balance import balances
    from agent.cli import dates
    from agent.cli.ledger import read
    from agent.cli.render import local_zone

    station = context.config().station
    zone = local_zone(station.timezone)
    since, until = dates.span(options.since, options.until, zone)
    found: Sequence[Balance] = read(station.state_dir, lambda connection: balances(connection, since, until))
    return context.emit([account.to_json() for account in found], lambda: _text(found, zone))


def _text(found: Sequence[Balance], zone: tzinfo) -> str:
    from agent.cli.layout import table

    if not found:
        return "no register is on record in this time"
    head = ("connector", "meter", "from", "to", "register start", "register stop", "sessions", "unattributed")
    rows = [
        (
            str(account.evse),
            account.end.serial or account.begin.serial or "-",
            f"{account.begin.at.wall.astimezone(zone):%Y-%m-%d %H:%M}",
            f"{account.end.at.wall.astimezone(zone):%Y-%m-%d %H:%M}",
            _shown(account.begin.register),
            _shown(account.end.register),
            _shown(account.sessions),
            _shown(account.unattributed),
        )
        for account in found
    ]
    return table(head, rows, right=(4, 5, 6, 7))


def _shown(energy: Decimal) -> str:
    """Return an energy exactly, without the zeros that say nothing."""
    text = f"{energy:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} Wh"
